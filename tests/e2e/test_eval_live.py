# SPDX-License-Identifier: Apache-2.0
"""Episodes from the command line: played without a model, by an endpoint, and scored where others played them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finesight.evals.live import miniwob as environment
from finesight.evals.tasks.screens import episodes
from tests.support.benchmark_copies import as_json, jsonl
from tests.support.fake_endpoint import completion, serving
from tests.support.miniwob_pages import PAGES, write_pages
from tests.support.pages import needs_browser

CLICK = (
    '<tool_call>\n{"name": "computer_use", "arguments":'
    ' {"action": "left_click", "coordinate": [1, 1]}}\n</tool_call>'
)


@pytest.fixture
def pages(monkeypatch, tmp_path):
    """Two pages of our own in the place of the thirty."""
    copy = write_pages(tmp_path / "pages")
    monkeypatch.setattr(environment, "read_pages", lambda: PAGES)
    monkeypatch.setattr(episodes, "read_pages", lambda: PAGES)
    monkeypatch.setattr(environment, "SOLUTIONS", copy / "solutions.js")
    return copy


@needs_browser
def test_episodes_are_played_resumed_reported_and_scored_again(finesight, pages):
    words = ("eval", "live", "miniwob", "--data", "pages", "--out", "out", "--baseline", "oracle")
    assert finesight(*words, "--limit", 2).out.startswith("miniwob: success 100.00")
    told = json.loads(finesight(*words, "--limit", 4, "--json").out)["runs"][0]
    assert (told["items"], told["asked"]) == (4, 2)
    assert told["result"]["settings"]["environment"]["steps"] == 10
    assert told["result"]["metrics"]["point_in_box"] == 1.0
    assert finesight("eval", "report", "out", "--out", "page.html", "--data", "pages").code == 0
    stored = ("eval", "live", "miniwob", "--data", "pages", "--out", "again", "--limit", 4)
    replayed = finesight(*stored, "--replay", "out/miniwob/samples.jsonl")
    assert replayed.out.startswith("miniwob: success 100.00")
    refused = finesight(*words, "--steps", 3)
    assert refused.code == 1
    assert "holds a run with environment=" in refused.err
    settings = json.loads((Path("out") / "miniwob" / "run.json").read_text())
    settings["environment"]["wording"] = "of an earlier version"
    (Path("out") / "miniwob" / "run.json").write_text(json.dumps(settings))
    refused = finesight(*words, "--limit", 4)
    assert (refused.code, "of an earlier version" in refused.err) == (1, True)


@needs_browser
def test_an_endpoint_plays(finesight, pages):
    words = ("eval", "live", "miniwob", "--data", "pages", "--out", "out", "--limit", 2)
    with serving() as server:
        server.script = [(200, completion(CLICK), {})]
        given = ("--endpoint", server.url, "--endpoint-model", "m", "--space", "original")
        outcome = finesight(*words, *given, "--steps", 2)
    assert outcome.out.startswith("miniwob: success 0.00")
    asked = server.requests[0][2]
    assert asked["tools"][0]["function"]["name"] == "computer_use"


def test_stored_runs_are_scored_without_any_screen(finesight, tmp_path):
    content = {"id": "a", "instruction": "Do.", "evaluator": {"func": "check"}}
    as_json(tmp_path / "tasks" / "gimp" / "a.json", content)
    place = tmp_path / "results" / "gimp" / "a"
    place.mkdir(parents=True)
    (place / "result.txt").write_text("1.0\n")
    given = ("--data", "tasks", "--replay", "results", "--out", "out")
    assert finesight("eval", "live", "osworld", *given).out.startswith("osworld: success 100.00")
    jsonl(tmp_path / "run.jsonl", [{"task": "Tap", "success": 1}, {"task": "Fly", "success": 0}])
    given = ("--data", "run.jsonl", "--replay", "run.jsonl", "--out", "out")
    done = finesight("eval", "live", "android_world", *given)
    assert done.out.startswith("android_world: success 50.00")


def test_questions_and_episodes_are_not_mixed_up(finesight, tmp_path):
    jsonl(tmp_path / "run.jsonl", [{"task": "Tap"}])
    asked = finesight("eval", "run", "android_world", "--data", "run.jsonl", "--out", "out")
    assert asked.code == 2
    assert "finesight eval live android_world" in asked.err
    played = finesight("eval", "live", "mathvision", "--data", "run.jsonl")
    assert played.code == 2
    assert "task mathvision has no episodes to play" in played.err
    both = finesight(
        "eval", "live", "miniwob", "--data", ".", "--baseline", "oracle", "--model", "tiny"
    )
    assert "both --model and --baseline" in both.err
