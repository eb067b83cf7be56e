# SPDX-License-Identifier: Apache-2.0
"""`finesight batch` as a user runs it: killed and continued, with pictures, with items that fail."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

COMMAND = "import sys; from finesight.cli.main import main; sys.exit(main())"


def line(custom_id, *content, **body):
    messages = [{"role": "user", "content": list(content)}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"messages": messages, "max_tokens": 6, **body},
    }


def picture(address):
    return {"type": "image_url", "image_url": {"url": str(address)}}


def text(words="What is this?"):
    return {"type": "text", "text": words}


def write(path, *lines):
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))


def results(path):
    found = [json.loads(each) for each in path.read_bytes().splitlines()]
    by_id = {each["custom_id"]: each for each in found}
    assert len(by_id) == len(found)
    return by_id


def said(result):
    (choice,) = result["response"]["body"]["choices"]
    return choice["message"]["content"]


@pytest.fixture
def batch(finesight, tiny_model_folder):
    return lambda *words: finesight("batch", *words, "--model", tiny_model_folder)


def test_pictures_by_path_and_by_data(batch, picture_file, tmp_path):
    shutil.copy(picture_file, tmp_path / "shapes.png")
    data = base64.b64encode(picture_file.read_bytes()).decode()
    address = f"data:image/png;base64,{data}"
    write(
        tmp_path / "in.jsonl",
        line("relative", picture("shapes.png"), text()),
        line("absolute", picture(picture_file), text()),
        line("data", picture(address), text()),
    )
    done = batch("in.jsonl", "out.jsonl")
    assert done.code == 0, done.err
    assert "3 of 3 items, " in done.err
    found = results(tmp_path / "out.jsonl")
    assert len({said(each) for each in found.values()}) == 1
    media = found["data"]["response"]["body"]["media"]
    assert media[0]["original"] == {"width": 112, "height": 84}
    again = batch("in.jsonl", "out.jsonl", "--json")
    assert json.loads(again.out)["before"] == 3
    assert json.loads(again.out)["tokens"] == 0


def test_an_item_answers_as_ask_does(batch, finesight, tiny_model_folder, picture_file, tmp_path):
    write(tmp_path / "in.jsonl", line("a", picture(picture_file), text()))
    assert batch("in.jsonl", "out.jsonl").code == 0
    words = ("What is this?", "--image", picture_file, "--max-new-tokens", "6")
    asked = finesight("ask", *words, "--model", tiny_model_folder)
    assert said(results(tmp_path / "out.jsonl")["a"]) + "\n" == asked.out


def test_deterministic_items_have_the_same_log_probabilities_in_any_company(
    batch, picture_file, tmp_path
):
    asked = {"logprobs": True, "top_logprobs": 2}
    lines = [
        line(f"{index}", picture(picture_file), text("a " * index), **asked)
        for index in range(1, 6)
    ]
    write(tmp_path / "in.jsonl", *lines)
    write(tmp_path / "one.jsonl", lines[3])
    assert batch("in.jsonl", "many.jsonl", "--deterministic", "--concurrency", "5").code == 0
    assert batch("one.jsonl", "alone.jsonl", "--deterministic").code == 0
    together, alone = (
        results(tmp_path / name)["4"]["response"]["body"]["choices"]
        for name in ("many.jsonl", "alone.jsonl")
    )
    assert alone[0]["logprobs"]
    assert together == alone


def test_items_that_fail_do_not_stop_the_others(batch, picture_file, tmp_path):
    (tmp_path / "broken.png").write_bytes(picture_file.read_bytes()[:60])
    lines = [
        line("good", picture(picture_file), text()),
        line("broken", picture("broken.png")),
        line("missing", picture("missing.png")),
        line("private", picture("http://127.0.0.1:9/a.png")),
        line("long", text("word " * 5000)),
        line("name", text(), model="gpt-4o"),
        line("field", text(), logit_bias={"1": 5}),
    ]
    write(tmp_path / "in.jsonl", *lines)
    with (tmp_path / "in.jsonl").open("a") as file:
        file.write("nonsense\n")
    done = batch("in.jsonl", "out.jsonl")
    assert done.code == 1
    assert "error: 7 of 8 items failed; out.jsonl says why" in done.err
    found = results(tmp_path / "out.jsonl")
    assert found["good"]["error"] is None
    codes = {name: each["error"]["code"] for name, each in found.items() if each["error"]}
    assert codes == {
        "broken": "DecodeError",
        "missing": "MediaError",
        "private": "FetchRefused",
        "long": "PromptTooLong",
        "name": "ConfigError",
        "field": "ConfigError",
        None: "ConfigError",
    }
    assert all(found[name]["response"]["status_code"] == 400 for name in codes)
    write(tmp_path / "in.jsonl", *lines[:1])
    assert batch("in.jsonl", "out.jsonl").code == 0
    assert len(results(tmp_path / "out.jsonl")) == 1


def test_another_name_is_served(batch, tmp_path):
    write(tmp_path / "in.jsonl", line("a", text(), model="gpt-4o"))
    done = batch("in.jsonl", "out.jsonl", "--served-model-name", "gpt-4o")
    assert done.code == 0, done.err
    assert results(tmp_path / "out.jsonl")["a"]["response"]["body"]["model"] == "gpt-4o"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((".", "out.jsonl"), ". is not a regular file"),
        (("in.jsonl", "in.jsonl"), "in.jsonl is both input and output"),
        (("in.jsonl", "/proc/out.jsonl"), "cannot be written"),
        (("twice.jsonl", "out.jsonl"), "custom_id 'a' of an earlier line, but another request"),
        (("in.jsonl", "notes.txt"), "line 1 was not written by finesight batch"),
        (("in.jsonl", "out.jsonl", "--concurrency", "0"), "Invalid value for '--concurrency'"),
    ],
)
def test_wrong_files_are_refused_before_the_model_is_loaded(finesight, tmp_path, words, expected):
    write(tmp_path / "in.jsonl", line("a", text()))
    write(tmp_path / "twice.jsonl", line("a", text("one")), line("a", text("two")))
    (tmp_path / "notes.txt").write_text("notes")
    done = finesight("batch", *words, "--model", "no/such-model")
    assert done.code == 2
    assert expected in done.err
    assert not (tmp_path / "out.jsonl").exists()
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_a_batch_that_was_killed_is_continued(batch, tiny_model_folder, tmp_path):
    count = 120
    lines = [
        line(f"item {number}", text(f"Number {number}"), max_tokens=12) for number in range(count)
    ]
    write(tmp_path / "in.jsonl", *lines)
    out = tmp_path / "cut.jsonl"
    words = ("batch", "in.jsonl", "cut.jsonl", "--model", tiny_model_folder, "--threads", "1")
    with subprocess.Popen([sys.executable, "-c", COMMAND, *map(str, words)], cwd=tmp_path) as run:
        deadline = time.monotonic() + 120
        while not out.exists() or out.read_bytes().count(b"\n") < 10:
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
    before = out.read_bytes()
    assert 10 <= before.count(b"\n") < count
    whole = before[: before.rindex(b"\n") + 1]
    out.write_bytes(whole + whole[:50])  # torn, as a write that was interrupted
    done = batch("in.jsonl", "cut.jsonl")
    assert done.code == 0, done.err
    assert "note: the last line of cut.jsonl was incomplete; its item is asked again" in done.err
    finished = whole.count(b"\n")
    assert f"{finished} of {count} items are already finished" in done.err
    assert out.read_bytes().startswith(whole)
    assert batch("in.jsonl", "whole.jsonl").code == 0
    unbroken = results(tmp_path / "whole.jsonl")
    resumed = results(out)
    assert set(resumed) == {each["custom_id"] for each in lines}
    assert {name: said(each) for name, each in resumed.items()} == {
        name: said(each) for name, each in unbroken.items()
    }
