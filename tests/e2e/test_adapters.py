# SPDX-License-Identifier: Apache-2.0
"""`--adapter` of the commands."""

from __future__ import annotations

import io
import json

import pytest

from tests.e2e.test_batch import line, results, said, text, write
from tests.support.adapter_folders import write_adapter


@pytest.fixture(scope="module")
def folders(tiny_model_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    return [
        write_adapter(tiny_model_folder, root / name, seed=seed)
        for seed, name in ((1, "one"), (2, "two"))
    ]


def test_ask_and_locate(finesight, tiny_model_folder, folders, picture_file):
    common = ("--model", tiny_model_folder, "--image", picture_file, "--max-new-tokens", 6)
    plain = finesight("ask", "What is this?", *common)
    changed = finesight("ask", "What is this?", *common, "--adapter", folders[0])
    assert plain.code == changed.code == 0
    assert plain.out != changed.out
    found = [
        json.loads(finesight("locate", "square", *common, "--json", *more).out)["text"]
        for more in ((), ("--adapter", folders[0]))
    ]
    assert found[0] != found[1]
    both = finesight("ask", "?", *common, "--adapter", folders[0], "--adapter", folders[1])
    assert both.code == 2
    assert "several --adapter are given for one answer" in both.err


def test_chat_switches_between_adapters(finesight, tiny_model_folder, folders, monkeypatch):
    lines = (
        *("/set max_new_tokens 5", "What?", "/reset", "/set adapter one", "What?", "/reset"),
        *("/set adapter b", "What?", "/reset", "/set adapter", "What?", "/set adapter c"),
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{each}\n" for each in lines)))
    done = finesight(
        *("chat", "--model", tiny_model_folder),
        *("--adapter", folders[0], "--adapter", f"b={folders[1]}"),
    )
    texts = done.out.split("\n")
    assert "adapter one\n" in done.err
    assert done.out.strip()
    assert texts[0] != texts[1]
    assert "there is no adapter 'c'" in done.err


def test_batch_takes_the_adapter_from_the_model_of_a_request(
    finesight, tiny_model_folder, folders, tmp_path
):
    write(
        tmp_path / "in.jsonl",
        line("base", text()),
        line("one", text(), model="one"),
        line("b", text(), model="b"),
        line("lost", text(), model="c"),
    )
    words = ("batch", "in.jsonl", "out.jsonl", "--model", tiny_model_folder)
    given = ("--adapter", folders[0], "--adapter", f"b={folders[1]}")
    done = finesight(*words, *given)
    assert done.code == 1
    found = results(tmp_path / "out.jsonl")
    assert "--adapter c=FOLDER" in json.dumps(found["lost"])
    assert len({said(found[name]) for name in ("base", "one", "b")}) == 3
    assert found["b"]["response"]["body"]["model"] == "b"
    again = finesight(*words, *given, "--json")
    assert json.loads(again.out)["before"] == 4


def test_an_adapter_that_does_not_fit(finesight, folders, tmp_path):
    done = finesight("ask", "?", "--adapter", folders[0])
    assert done.code == 1
    assert "was trained on" in done.err
    assert "whose weights differ" in done.err
    done = finesight("ask", "?", "--adapter", tmp_path / "nowhere")
    assert done.code == 2
    assert "does not exist" in done.err
