# SPDX-License-Identifier: Apache-2.0
"""Kept answers are found by what was asked, and never by anything less."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

from PIL import Image

from finesight.conversation import Conversation, Message, Sampling, TokenLogprob
from finesight.evals.core.digests import folder_digest, request_digest, sampling_values
from finesight.evals.responders.cache import read_reply, reply_path, write_reply
from finesight.evals.responders.model import FromModel
from tests.support.replies import picture_record, reply, video_record
from tests.support.toy_eval import item


class Counting:
    """Gives another reply each time."""

    def __init__(self):
        self.times = 0

    def respond(self, conversations, sampling):
        return [self.one() for _ in conversations]

    def one(self):
        self.times += 1
        whole = reply(f"answer {self.times}", picture_record(), video_record())
        entry = TokenLogprob(1, "a", -0.5, ((1, "a", -0.5),), (0, 1))
        return replace(whole, logprobs=(entry,), notes=("it was cut",))


def cached(inner, folder, name="model 1"):
    return FromModel(inner, name, cache=folder)


def key(asked, sampling=None, *, name="model 1"):
    return reply_path(Path("cache"), name, asked.conversation, sampling or Sampling())


def picture(path, colour):
    Image.new("RGB", (20, 10), colour).save(path)
    return path


def test_a_kept_reply_is_the_reply(tmp_path):
    inner = Counting()
    model = cached(inner, tmp_path)
    first = model.answer(item(1), Sampling())
    assert model.answer(item(1), Sampling()) == first
    assert cached(Counting(), tmp_path).answer(item(1), Sampling()) == first
    assert inner.times == 1


def test_an_entry_from_before_notes_and_spans_is_read(tmp_path):
    path = tmp_path / "entry.json"
    whole = Counting().one()
    write_reply(path, whole)
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["notes"], values["logprobs"][0]["span"]
    path.write_text(json.dumps(values), encoding="utf-8")
    entry = replace(whole.logprobs[0], span=(0, 0))
    assert read_reply(path) == replace(whole, logprobs=(entry,), notes=())


def test_the_key_is_that_of_versions_without_the_newer_options():
    values = sampling_values(Sampling(temperature=0.5, stop=("a",)))
    assert values == {
        "max_new_tokens": 1024,
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "stop": ["a"],
        "seed": None,
        "logprobs": None,
        "loop_guard": True,
    }
    assert sampling_values(Sampling(choice=("a", "b")))["choice"] == ("a", "b")


def test_everything_that_decides_the_answer_is_in_the_key(tmp_path):
    path = picture(tmp_path / "a.png", "red")
    asked = item(1, image=path)
    keys = [
        key(asked),
        key(asked, Sampling(max_new_tokens=5)),
        key(item(2, image=path)),
        key(item(1)),
        key(asked, name="model 2"),
        key(item(1, image=picture(tmp_path / "b.png", "blue"))),
    ]
    part = asked.conversation.messages[0].parts[0]
    message = replace(asked.conversation.messages[0], parts=(replace(part, max_pixels=784),))
    smaller = replace(asked, conversation=replace(asked.conversation, messages=(message,)))
    keys.append(key(smaller))
    assert len(set(keys)) == len(keys)


def test_the_order_of_keys_counts_where_the_model_sees_it():
    """A tool and a call are shown as JSON in the order of their keys."""
    plain = item(1)
    turn = plain.conversation.messages[0]

    def with_tool(tool):
        return replace(plain, conversation=replace(plain.conversation, tools=(tool,)))

    def with_call(arguments):
        call = {"name": "look", "arguments": arguments}
        said = Message("assistant", (), tool_calls=(call,))
        return replace(plain, conversation=Conversation((turn, said, turn)))

    asked = [
        plain,
        with_tool({"name": "look", "description": "d"}),
        with_tool({"description": "d", "name": "look"}),
        with_call({"x": 1, "y": 2}),
        with_call({"y": 2, "x": 1}),
    ]
    keys = [key(each) for each in asked]
    assert len(set(keys)) == len(keys)


def test_pixels_count_not_paths(tmp_path):
    first = picture(tmp_path / "a.png", "red")
    second = picture(tmp_path / "b.png", "red")
    digests = {
        request_digest(item(1, image=source).conversation)
        for source in (first, str(second), first.read_bytes())
    }
    assert len(digests) == 1
    before = request_digest(item(1, image=first).conversation)
    picture(first, "green")
    assert request_digest(item(1, image=first).conversation) != before
    named = [
        request_digest(item(1, image=p).conversation, reads_media=False) for p in (first, second)
    ]
    assert named[0] != named[1]


def test_only_certain_answers_are_kept(tmp_path):
    inner = Counting()
    model = cached(inner, tmp_path)
    for _ in range(2):
        model.answer(item(1), Sampling(temperature=0.7, seed=1))
    assert inner.times == 2
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_entry_is_written_anew(tmp_path):
    inner = Counting()
    model = cached(inner, tmp_path)
    model.answer(item(1), Sampling())
    (entry,) = tmp_path.rglob("*.json")
    whole = entry.read_text()
    for damage in (whole[:40], "", "[]", "{}"):
        entry.write_text(damage)
        model.answer(item(1), Sampling())
    assert inner.times == 5
    assert model.answer(item(1), Sampling()).text == "answer 5"
    assert list(tmp_path.rglob("*.part")) == []


def test_many_threads_share_a_folder(tmp_path):
    model = cached(Counting(), tmp_path)
    threads = [
        threading.Thread(target=model.answer, args=(item(n % 5), Sampling())) for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.rglob("*.json"))) == 5


def test_the_digest_of_a_checkpoint_sees_every_file(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    before = folder_digest(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"12346")
    assert folder_digest(tmp_path) != before
