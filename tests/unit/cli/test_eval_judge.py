# SPDX-License-Identifier: Apache-2.0
"""`--judge` judges what was answered, over HTTP, and prints both scores."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from finesight.cli.app import build
from tests.support.benchmark_copies import jsonl, text64, tsv
from tests.support.fake_endpoint import completion, serving

OPTIONS = {"A": "a cat", "B": "a dog", "C": "a bird", "D": "a fish"}


def finesight(*words, env=None):
    return CliRunner().invoke(build(), [str(each) for each in words], env=env)


@pytest.fixture
def copy(tmp_path):
    rows = [
        {"index": n, "question": f"Who sits on picture {n}?", **OPTIONS, "answer": "B"}
        for n in range(3)
    ]
    folder = tmp_path / "realworldqa"
    tsv(folder / "RealWorldQA.tsv", [{**row, "image": text64(n)} for n, row in enumerate(rows)])
    texts = ["B", "whoever barks", "whoever barks or sings"]
    stored = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    return folder, jsonl(tmp_path / "outputs.jsonl", stored)


def answers(*said):
    return [(200, completion(each), {}) for each in said]


def test_a_run_and_its_rescoring_are_judged(copy, tmp_path):
    data, stored = copy
    run = ["eval", "run", "realworldqa", "--data", data, "--replay", stored, "--space", "original"]
    with serving() as server:
        server.script = answers("CHOICE: B", "CHOICE: AMBIGUOUS")
        judge = ["--judge", server.url, "--judge-model", "wise"]
        env = {"FINESIGHT_JUDGE_KEY": "secret"}
        done = finesight(*run, "--out", tmp_path / "out", *judge, env=env)
        assert done.exit_code == 0, done.output
        by_rule, judged = done.stdout.splitlines()
        assert "accuracy 33.33" in by_rule
        assert by_rule.endswith("by rule letter-or-line 2+4")
        assert "accuracy 66.67" in judged
        assert judged.endswith("judged by wise (open-answer 1): ambiguous 1, plain 1, read 1")
        assert len(server.requests) == 2
        _, headers, body = server.requests[0]
        assert headers["Authorization"] == "Bearer secret"
        assert (body["model"], body["temperature"]) == ("wise", 0.0)
        again = finesight("eval", "rescore", tmp_path / "out", *judge, "--workers", 2, "--json")
        assert len(server.requests) == 2
    (found,) = json.loads(again.stdout)["results"]
    assert found["metrics"]["accuracy"] == pytest.approx(1 / 3)
    assert found["judged"]["judge"]["endpoint"] == server.url
    assert found["judged"]["result"]["identity"] != found["identity"]
    assert "secret" not in (tmp_path / "out" / "realworldqa" / "judged.json").read_text()


def test_a_judge_that_is_refused_leaves_the_rule_and_says_so(copy, tmp_path):
    data, stored = copy
    run = ["eval", "run", "realworldqa", "--data", data, "--replay", stored, "--space", "original"]
    with serving() as server:
        server.script = [(401, b"no", {})]
        judge = ["--judge", server.url, "--judge-model", "wise"]
        done = finesight(*run, "--out", tmp_path / "out", *judge)
    assert done.exit_code == 0
    assert "score by rule kept: endpoint 2" in done.stdout
    assert "2 x endpoint: the judge's endpoint did not answer" in done.stderr


def test_what_is_missing_is_said_before_anything_is_asked(copy, tmp_path):
    data, stored = copy
    run = ["eval", "run", "realworldqa", "--data", data, "--replay", stored, "--space", "original"]
    run += ["--out", tmp_path / "out"]
    half = finesight(*run, "--judge", "http://127.0.0.1:9/v1")
    assert (half.exit_code, "needs --judge-model" in half.stderr) == (2, True)
    judge = ["--judge", "http://127.0.0.1:9/v1", "--judge-model", "wise"]
    part = finesight(*run, *judge, "--shard", "0/2")
    assert (part.exit_code, "not for shard 0 of 2" in part.stderr) == (2, True)
    other = finesight(
        *["eval", "run", "docvqa", "--data", data, "--replay", stored, "--space", "original"],
        *judge,
    )
    assert (other.exit_code, "docvqa is scored by rule alone" in other.stderr) == (1, True)
    assert not (tmp_path / "out").exists()
