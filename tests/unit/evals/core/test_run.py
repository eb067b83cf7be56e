# SPDX-License-Identifier: Apache-2.0
"""A run keeps every answer, survives its end at any byte, and counts what goes wrong without stopping."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from finesight.conversation import Conversation, Message, Sampling, TextPart
from finesight.errors import ConfigError, EngineError, EvalError, PromptTooLong, RemoteError
from finesight.evals.core.journal import Journal, read_samples
from finesight.evals.core.responders import Baseline
from finesight.evals.core.results import load_result
from finesight.evals.core.rows import broken_item
from finesight.evals.core.run import run
from finesight.evals.live.stored import stored_successes
from finesight.evals.responders.model import FromModel
from finesight.evals.responders.replay import Replay
from finesight.remote.client import Endpoint
from tests.support.fake_endpoint import completion, serving
from tests.support.replies import picture_record, reply
from tests.support.toy_eval import BAD, PROMPT, TOY, WHOLE, group_hit, item

ROOT = Path(__file__).parents[4]


class Asked:
    """Answers right, and remembers what it was asked."""

    name, reads_media, declares_resize = "asked", True, True

    def __init__(self, failures=None):
        self.ids = []
        self.failures = failures or {}

    def answer(self, item, sampling):
        self.ids.append(item.id)
        if item.id in self.failures:
            raise self.failures[item.id]
        return reply(item.truth["answer"])


def go(items, responder, folder, **options):
    return run(TOY, PROMPT, items, responder, folder=folder, space="resized", **options)


def lines(folder, name="samples.jsonl"):
    found = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in found]


def test_a_line_holds_all_of_an_item(tmp_path):
    done = go([item(3, cluster="c")], Asked(), tmp_path)
    (line,) = lines(tmp_path)
    assert line | {"request": ""} == {
        "id": "q3",
        "number": 0,
        "question": "What is 3 + 3?",
        "request": "",
        "text": "6",
        "num_tokens": 3,
        "finish_reason": "stop",
        "extractor": "first-number",
        "extractor_version": "1",
        "parsed": "6",
        "parts": {"hit": 1.0},
        "media": [],
        "error": None,
        "message": None,
        "truth": {"answer": "6", "choices": ["1", "2", "4"], "oracle": "6"},
        "group": None,
        "cluster": "c",
        "tags": {"kind": "odd"},
    }
    assert done.result.value == 1.0
    assert load_result(tmp_path) == done.result


def test_the_file_cut_at_any_byte_is_completed(tmp_path):
    whole = tmp_path / "whole"
    go(map(item, range(6)), Asked(), whole)
    content = (whole / "samples.jsonl").read_bytes()
    for cut in range(0, len(content), 37):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "samples.jsonl").write_bytes(content[:cut])
        (folder / "run.json").write_bytes((whole / "run.json").read_bytes())
        responder = Asked()
        done = go(map(item, range(6)), responder, folder)
        assert lines(folder) == lines(whole)
        assert done.num_asked == len(responder.ids) == 6 - content[:cut].count(b"\n")


CHILD = """
import sys, time
from pathlib import Path
from finesight.evals.core.responders import Baseline
from finesight.evals.core.run import run
from tests.support.toy_eval import PROMPT, TOY, item

def slow(item):
    time.sleep(0.01)
    return item.truth["answer"]

run(TOY, PROMPT, map(item, range(60)), Baseline("slow", slow), folder=Path(sys.argv[1]),
    space="original", workers=int(sys.argv[2]))
"""


@pytest.mark.parametrize("workers", [1, 4])
def test_a_killed_process_is_resumed(tmp_path, workers):
    """Killed in the middle, then called again: the same file as if nothing had happened."""
    path = tmp_path / "cut" / "samples.jsonl"
    command = [sys.executable, "-c", CHILD, path.parent, str(workers)]
    child = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size > 2000):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    before = path.read_bytes()
    assert before.count(b"\n") < 60
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    assert path.read_bytes().startswith(before[: before.rindex(b"\n") + 1])
    subprocess.run([*command[:3], tmp_path / "whole", "1"], cwd=ROOT, check=True, timeout=60)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_a_finished_run_asks_nothing(tmp_path):
    first = go(map(item, range(4)), Asked(), tmp_path)
    responder = Asked()
    again = go(map(item, range(4)), responder, tmp_path)
    assert responder.ids == []
    assert again.result == first.result


def test_failures_are_counted_under_a_reason(tmp_path):
    failures = {
        "q1": RemoteError("gone"),
        "q2": PromptTooLong("9 tokens, 8 fit"),
        "q3": EngineError("bad"),
        "q4": RuntimeError("CUDA out of memory"),
    }
    missing = item(5, image=tmp_path / "no.png")
    items = [*map(item, range(5)), missing, item(0), broken_item("row 7", "not JSON"), item(8)]
    done = go(items, Asked(failures), tmp_path / "run")
    assert done.result.errors == {
        "broken_row": 1,
        "duplicate_id": 1,
        "endpoint": 1,
        "engine": 2,
        "missing_media": 1,
        "too_long": 1,
    }
    assert done.result.n == 7  # the broken row and the second q0 are no questions
    assert done.result.value == pytest.approx(2 / 7)
    by_id = {each["id"]: each for each in lines(tmp_path / "run")}
    assert by_id["q2"]["message"] == "9 tokens, 8 fit"
    assert "no.png" in by_id["q5"]["message"]
    assert by_id["q0#2"]["message"] == "id 'q0' occurs 2 times"
    assert by_id["row 7"]["message"] == "not JSON"


def test_a_rule_that_fails_is_counted_and_its_answer_kept(tmp_path):
    done = go(map(item, range(2)), Asked(), tmp_path, extractor=BAD)
    assert done.result.errors == {"extractor": 2}
    assert [line["text"] for line in lines(tmp_path)] == ["0", "2"]
    assert lines(tmp_path)[0]["message"] == "ZeroDivisionError: 0"
    again = go(map(item, range(2)), Asked(), tmp_path)
    assert (again.num_asked, again.result.value, again.result.errors) == (0, 1.0, {})
    assert lines(tmp_path)[0]["extractor"] == "first-number"


def test_pictures_that_changed_under_their_names_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 30), "red").save(path)
    asked = [item(1), item(2, image=path)]
    folder = tmp_path / "run"
    go(asked, Asked(), folder)
    before = lines(folder)
    assert go(asked, Asked(), folder).num_asked == 0
    Image.new("RGB", (40, 30), "blue").save(path)
    with pytest.raises(EvalError, match="item q2 was asked with other pictures, videos, tools"):
        go(asked, Asked(), folder)
    path.unlink()
    with pytest.raises(
        EvalError, match=r"q2 was answered, but its media cannot be read .*a\.png"
    ) as raised:
        go(asked, Asked(), folder)
    assert "rescore" in raised.value.hint
    assert lines(folder) == before


def test_stored_answers_go_on_without_their_pictures(tmp_path):
    asked = [item(2, image=tmp_path / "not_here.png")]
    responder = Replay("r", {"q2": "4"}, {})
    assert go(asked, responder, tmp_path / "run").result.value == 1.0
    assert go(asked, responder, tmp_path / "run").num_asked == 0


def test_failed_items_are_asked_again_on_demand(tmp_path):
    go(map(item, range(4)), Asked({"q1": RemoteError("gone")}), tmp_path)
    assert go(map(item, range(4)), Asked(), tmp_path).num_asked == 0
    responder = Asked()
    done = go(map(item, range(4)), responder, tmp_path, retry_errors=True)
    assert responder.ids == ["q1"]
    assert done.result.value == 1.0
    assert [line["id"] for line in lines(tmp_path)] == ["q0", "q1", "q2", "q3"]


def grouped_items():
    """Rotations lie far apart, as in MMBench."""
    return [item(n, group=f"g{n % 3}") for n in range(9)] + [item(9), item(10, group="g0")]


def test_a_limit_keeps_groups_whole(tmp_path):
    task = replace(TOY, aggregate=group_hit)
    options = {"folder": tmp_path, "space": "resized"}
    responder = Asked()
    run(task, PROMPT, grouped_items(), responder, limit=2, **options)
    assert responder.ids == ["q0", "q1", "q3", "q4", "q6", "q7", "q10"]
    more = run(task, PROMPT, grouped_items(), responder, **options)
    assert more.num_asked == 4
    assert [line["number"] for line in lines(tmp_path)] == list(range(11))


def test_a_smaller_limit_does_not_replace_a_larger_result(tmp_path):
    items = [item(n) for n in range(8)]
    go(items, Asked(), tmp_path, limit=8)
    before = load_result(tmp_path)
    responder = Asked()
    with pytest.raises(
        EvalError, match="holds 8 answers, and with a limit of 3 its result"
    ) as caught:
        go(items, responder, tmp_path, limit=3)
    assert "--limit" in caught.value.hint
    assert responder.ids == []
    assert load_result(tmp_path) == before
    assert go(items, responder, tmp_path, limit=8).result == before
    assert go([*items, item(8)], responder, tmp_path, limit=9).result.n == 9


def test_a_copy_that_has_lost_items_does_not_replace_the_result(tmp_path):
    """Rescoring and comparisons would still include the stored answers to the lost items."""
    items = [item(n) for n in range(8)]
    before = go(items, Asked(), tmp_path).result
    with pytest.raises(
        EvalError, match=r"holds 8 answers, 1 of them .* no longer has, such as q3;"
    ):
        go([each for each in items if each.id != "q3"], Asked(), tmp_path)
    assert load_result(tmp_path) == before


def test_a_limit_without_groups_stops_reading(tmp_path):
    def endless():
        number = 0
        while True:
            yield item(number)
            number += 1

    assert go(endless(), Asked(), tmp_path, limit=5).result.n == 5


def test_shards_share_the_items_and_come_together(tmp_path):
    whole = go(grouped_items(), Asked(), tmp_path / "whole")
    parts = [
        go(grouped_items(), Asked(), tmp_path / "parts", shard=(index, 3)) for index in range(3)
    ]
    assert sum(part.num_asked for part in parts) == 11
    groups = [{each.group for each in part.samples if each.group} for part in parts]
    assert sum(len(each) for each in groups) == 3
    assert not (tmp_path / "parts" / "result.json").exists()
    ids = [sample.id for sample in read_samples(tmp_path / "parts")]
    assert ids == [sample.id for sample in whole.samples]
    (tmp_path / "parts" / "samples-001-of-003.jsonl").unlink()
    with pytest.raises(EvalError, match=r"holds shards \[0, 2\] of \[3\]"):
        read_samples(tmp_path / "parts")


def test_threads_keep_the_order(tmp_path):
    class Uneven(Asked):
        def answer(self, item, sampling):
            with lock:
                running.append(item.id)
                most.append(len(running))
            time.sleep(0.02 if item.id in ("q0", "q5") else 0.001)
            with lock:
                running.remove(item.id)
            return super().answer(item, sampling)

    lock, running, most = threading.Lock(), [], []
    go(map(item, range(20)), Uneven(), tmp_path, workers=4)
    assert [line["id"] for line in lines(tmp_path)] == [f"q{n}" for n in range(20)]
    assert max(most) > 1


def test_other_settings_are_refused(tmp_path):
    go([item(1)], Asked(), tmp_path)
    longer = replace(TOY, sampling=Sampling(max_new_tokens=7))
    with pytest.raises(EvalError, match="holds a run with sampling="):
        run(longer, PROMPT, [item(1)], Asked(), folder=tmp_path, space="resized")
    with pytest.raises(EvalError, match="holds a run with prompt='paper', now it is 'terse'"):
        run(TOY, TOY.prompts[1], [item(1)], Asked(), folder=tmp_path, space="resized")


def with_tool(**function):
    tools = ({"type": "function", "function": function},)
    return replace(item(1), conversation=replace(item(1).conversation, tools=tools))


def test_a_tool_in_another_order_of_keys_is_another_question(tmp_path):
    """The model reads a tool as JSON in the order of its keys."""
    go([with_tool(name="look", description="a")], Asked(), tmp_path)
    assert go([with_tool(name="look", description="a")], Asked(), tmp_path).num_asked == 0
    with pytest.raises(EvalError, match=r"q1 was asked with other .*tools.* or options"):
        go([with_tool(description="a", name="look")], Asked(), tmp_path)


def test_another_system_text_is_another_question(tmp_path):
    def with_system(text):
        turns = item(1).conversation.messages
        asked = Conversation((Message("system", (TextPart(text),)), *turns))
        return replace(item(1), conversation=asked)

    go([with_system("You are a helpful assistant.")], Asked(), tmp_path)
    with pytest.raises(EvalError, match=r"q1 was asked with other .*system text"):
        go([with_system("You are a helpful assistant")], Asked(), tmp_path)


def test_a_copy_that_changed_is_refused(tmp_path):
    go([item(1)], Asked(), tmp_path)
    with pytest.raises(
        EvalError, match=r"item q1 was asked 'What is 1 \+ 1\?', now it is 'What is 2"
    ):
        go([item(2, item_id="q1")], Asked(), tmp_path)


def test_resized_pixels_need_a_known_resize(tmp_path):
    endpoint = FromModel(None, "somewhere", declares_resize=False)
    with pytest.raises(EvalError, match="somewhere does not state the resized sizes"):
        go([item(1)], endpoint, tmp_path)
    with pytest.raises(ConfigError, match="shard 3 of 3"):
        go([item(1)], Asked(), tmp_path, shard=(3, 3))
    with pytest.raises(ConfigError, match="workers=0"):
        go([item(1)], Asked(), tmp_path, workers=0)


def test_two_processes_do_not_share_a_journal(tmp_path):
    with (
        Journal(tmp_path / "samples.jsonl"),
        pytest.raises(EvalError, match="another process writes"),
    ):
        go([item(1)], Asked(), tmp_path)


def test_a_line_broken_in_the_middle_is_named(tmp_path):
    go(map(item, range(3)), Asked(), tmp_path)
    path = tmp_path / "samples.jsonl"
    good = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([good[0], b"{}\n", good[2]]))
    with pytest.raises(EvalError, match="line 2 is broken"):
        go(map(item, range(3)), Asked(), tmp_path)


def test_frames_come_from_the_reply_or_from_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (60, 40)).save(path)

    class Seeing(Asked):
        def answer(self, item, sampling):
            return reply("2", picture_record(original=(60, 40), resized=(56, 28)))

    seen = go([item(1, image=path)], Seeing(), tmp_path / "a").samples[0]
    (frame,) = seen.frames("resized")
    assert (frame.original.width, frame.resized.width) == (60, 56)
    constant = Baseline("two", lambda _: "2")
    options = {"folder": tmp_path / "b", "space": "original"}
    here, gone = run(
        TOY, PROMPT, [item(1, image=path), item(2, image="no.png")], constant, **options
    ).samples
    assert here.frames("relative_1000")[0].original.height == 40
    assert here.frames("resized") == ()
    assert (gone.error, gone.frames("original")) == (None, ())


def test_half_a_surrogate_pair_stays_raw(tmp_path):
    done = run(
        TOY,
        PROMPT,
        [item(1)],
        Baseline("c", lambda _: "\ud83d 2"),
        folder=tmp_path,
        space="original",
    )
    assert done.samples[0].text == read_samples(tmp_path)[0].text == "\ud83d 2"


def test_stored_outputs_are_replayed(tmp_path):
    path = tmp_path / "outputs.jsonl"
    stored = [{"id": f"q{n}", "model_answer": str(2 * n)} for n in range(3)]
    stored[2]["finish_reason"] = "length"
    path.write_text("".join(json.dumps(each) + "\n" for each in stored))
    options = {"folder": tmp_path / "run", "space": "original"}
    done = run(TOY, PROMPT, map(item, range(4)), Replay.load(path), **options)
    assert done.result.value == 0.75
    assert done.result.errors == {"no_answer": 1}
    assert done.result.truncated_rate == pytest.approx(1 / 3)
    again = Replay.load(tmp_path / "run" / "samples.jsonl")
    assert again.stored == {"q0": "0", "q1": "2", "q2": "4"}  # q3 had no answer
    assert again.reasons["q2"] == "length"
    path.write_text('{"id": "q1", "words": "x"}\n')
    with pytest.raises(EvalError, match="no column for the answer, such as text, response"):
        Replay.load(path)
    path.write_text('{"id": "q1", "text": "x"}\n' * 2)
    with pytest.raises(EvalError, match="a second output for item 'q1'"):
        Replay.load(path)
    for read in (Replay.load, stored_successes):
        with pytest.raises(EvalError, match=r"there is no file .*nowhere.json") as caught:
            read(tmp_path / "nowhere.json")
        assert "the file of stored answers" in caught.value.hint


def test_an_endpoint_under_pressure_answers_everything(tmp_path):
    """Every third request is limited, cut off or dropped; eight threads ask at once."""
    trouble = [(429, b"", {}), "hang up", (200, completion()[:9], {"Content-Length": 99})]
    with serving() as server:
        fine = (200, completion("4"), {})
        server.script = [each for n in range(20) for each in (fine, trouble[n % 3], fine)]
        # One item may meet all the trouble there is, so tries are not what ends it.
        endpoint = Endpoint(url=server.url, model="m", max_tries=21, sleep=lambda seconds: None)
        who = FromModel(endpoint, "m", declares_resize=False)
        options = {"folder": tmp_path, "space": "original", "workers": 8}
        done = run(TOY, PROMPT, map(item, range(40)), who, **options)
    assert done.result.errors == {}
    assert [sample.id for sample in done.samples] == [f"q{n}" for n in range(40)]
    assert done.result.metrics["accuracy"] == 1 / 40
    assert len(server.requests) == 60


def test_a_baseline_may_look_at_the_truth():
    oracle = Baseline("oracle", lambda item: item.truth["answer"])
    assert oracle.answer(item(4), Sampling()).text == "8"
    assert (oracle.reads_media, oracle.declares_resize) == (False, False)


def test_whole_answers_count_as_not_read_when_empty(tmp_path):
    done = run(
        TOY,
        PROMPT,
        [item(1)],
        Baseline("c", lambda _: ""),
        folder=tmp_path,
        space="original",
        extractor=WHOLE,
    )
    assert (done.result.parse_fail_rate, done.result.errors) == (1.0, {})


def test_ids_and_answers_of_many_digits_stay_exact(tmp_path):
    """From a stored answer through the journal to a score: 20 digits are five more than a double tells apart."""
    large = 12_345_678_901_234_567_890
    (tmp_path / "stored.json").write_text(f'[{{"id": {large}, "text": {large + 1}}}]')
    stored = Replay.load(tmp_path / "stored.json")
    asked = replace(item(0), id=str(large), truth={"number": large, "near": {"value": large - 1}})
    run(TOY, PROMPT, [asked], stored, folder=tmp_path / "run", space="original", extractor=WHOLE)
    (sample,) = read_samples(tmp_path / "run")
    assert (sample.id, sample.text) == (str(large), str(large + 1))
    assert sample.truth == {"number": large, "near": {"value": large - 1}}
    assert f'"value": {large - 1}' in (tmp_path / "run" / "samples.jsonl").read_text()
