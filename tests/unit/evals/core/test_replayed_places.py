# SPDX-License-Identifier: Apache-2.0
"""Stored answers in pixels that a model saw: how large a picture was then is stored, computed, or an error."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from finesight.errors import ConfigError, EvalError
from finesight.evals.core import registry
from finesight.evals.core.rescore import rescore
from finesight.evals.core.results import load_result
from finesight.evals.core.run import run
from finesight.evals.core.task import Budget
from finesight.evals.responders.harness_logs import load_outputs
from finesight.evals.responders.replay import Replay
from tests.support.benchmark_copies import jsonl, save

TASK = registry.task("refcoco_val")
PROMPT = TASK.prompts[0]
BOX = '{{"bbox_2d": [{0}, {0}, {1}, {1}], "label": "cup"}}'


@pytest.fixture
def copy(tmp_path):
    """Two pictures of 400 x 300 pixels, each with its box."""
    rows = [
        {
            "question_id": str(n),
            "image": f"{n}.png",
            "answer": ["cup"],
            "bbox": [100.0, 100.0, 100.0, 100.0],
            "file_name": f"{n}.png",
        }
        for n in range(2)
    ]
    folder = tmp_path / "copy"
    folder.mkdir()
    jsonl(folder / "val.jsonl", rows)
    for n in range(2):
        save(folder / f"{n}.png", n, size=(400, 300))
    return folder


def stored(path, items, text, **more):
    jsonl(path, [{"id": item.id, "response": text, **more} for item in items])
    return path


def scored(responder, copy, out, budget=None):
    task = replace(TASK, budget=budget or TASK.budget)
    items = PROMPT.items(copy, task.budget)
    return run(task, PROMPT, items, responder, folder=out, space="resized").result


def test_sizes_follow_from_the_pixels_that_are_given(copy, tmp_path):
    budget = Budget(min_pixels=784, max_pixels=100 * 784)  # 400 x 300 becomes 308 x 224
    items = list(PROMPT.items(copy, budget))
    text = '{"bbox_2d": [77, 74.7, 154, 149.3], "label": "cup"}'
    path = stored(tmp_path / "outputs.jsonl", items, text)
    responder = Replay.load(path, declares_resize=True)
    assert responder.declares_resize
    result = scored(responder, copy, tmp_path / "small", budget)
    assert (result.value, result.parse_fail_rate, result.errors) == (1.0, 0.0, {})
    (line, *_) = (tmp_path / "small" / "samples.jsonl").read_text().splitlines()
    (media,) = json.loads(line)["media"]
    assert (media["original"], media["resized"]) == ([400, 300], [308, 224])
    as_it_is = Budget(max_pixels=10_000 * 784)  # 392 x 308
    assert (
        scored(Replay.load(path, declares_resize=True), copy, tmp_path / "as", as_it_is).value
        == 0.0
    )
    assert rescore(tmp_path / "small", TASK).value == 1.0


def test_sizes_that_are_stored_count_whatever_the_pixels_now(copy, tmp_path):
    items = list(PROMPT.items(copy, TASK.budget))
    media = [{"kind": "image", "original": [400, 300], "resized": [800, 600]}]
    path = stored(tmp_path / "samples.jsonl", items, BOX.format(200, 400), media=media)
    assert scored(Replay.load(path, declares_resize=True), copy, tmp_path / "out").value == 1.0
    cut = [{"kind": "image", "original": [400, 300], "resized": None}]
    path = stored(tmp_path / "samples.jsonl", items, BOX.format(102, 205), media=cut)
    assert scored(Replay.load(path, declares_resize=True), copy, tmp_path / "other").value == 1.0


@pytest.mark.parametrize("kind", [{"kind": "image"}, {}])
def test_sizes_are_read_as_answers_in_json_say_them(copy, tmp_path, kind):
    items = list(PROMPT.items(copy, TASK.budget))
    original, resized = {"width": 400, "height": 300}, {"width": 800.0, "height": 600}
    media = [{"kind": "video", "original": "?"}, {**kind, "original": original, "resized": resized}]
    path = stored(tmp_path / "samples.jsonl", items, BOX.format(200, 400), media=media)
    assert scored(Replay.load(path, declares_resize=True), copy, tmp_path / "out").value == 1.0


@pytest.mark.parametrize(
    "size",
    [
        *([80], [80, 100, 3], "100x80", 80, [84, None], [0, 112], [84, -1], [True, 2], [1.5, 2]),
        *({}, {"width": 84}, {"width": 84, "height": "112"}, {"w": 84, "h": 112}, False, []),
    ],
)
@pytest.mark.parametrize("field", ["original", "resized"])
def test_what_is_no_size_is_refused_by_row_and_field(tmp_path, size, field):
    media = {"kind": "image", "original": [84, 112], "resized": [84, 112]}
    rows = [
        {"id": "1", "text": "x", "media": [media]},
        {"id": "2", "text": "x", "media": [media, {**media, field: size}]},
    ]
    path = jsonl(tmp_path / "outputs.jsonl", rows)
    with pytest.raises(EvalError, match=rf"outputs.jsonl, .*media\[1\]\.{field} is .*not a size"):
        Replay.load(path, declares_resize=True)
    assert Replay.load(path).stored == {"1": "x", "2": "x"}  # sizes are not needed
    jsonl(path, [{"id": "1", "text": "x", "media": media}])
    with pytest.raises(EvalError, match="media holds one object, not a list"):
        Replay.load(path, declares_resize=True)


def test_a_folder_is_stored_answers_only_if_it_is_a_run(copy, tmp_path):
    items = list(PROMPT.items(copy, TASK.budget))
    path = stored(tmp_path / "outputs.jsonl", items, BOX.format(102, 205))
    first = scored(Replay.load(path, declares_resize=True), copy, tmp_path / "run")
    again = Replay.load(tmp_path / "run", declares_resize=True)
    assert again == Replay.load(tmp_path / "run" / "samples.jsonl", declares_resize=True)
    assert scored(again, copy, tmp_path / "again").value == first.value == 1.0
    for folder in (copy, tmp_path):
        with pytest.raises(ConfigError, match="is a folder without samples") as caught:
            Replay.load(folder)
        assert "give the file of answers" in caught.value.hint


def test_outputs_of_another_harness_are_placed_likewise(copy, tmp_path):
    items = list(PROMPT.items(copy, TASK.budget))
    text = BOX.format(102, 205)
    lines = [{"doc_id": n, "target": "", "filtered_resps": text} for n in range(len(items))]
    outputs = load_outputs(jsonl(tmp_path / "samples_refcoco.jsonl", lines), declares_resize=True)
    assert outputs.declares_resize
    replay, _ = outputs.match(items)
    assert scored(replay, copy, tmp_path / "out").value == 1.0


def test_a_picture_that_is_not_there_is_an_error_of_its_item(copy, tmp_path):
    items = list(PROMPT.items(copy, TASK.budget))
    path = stored(tmp_path / "outputs.jsonl", items, BOX.format(102, 205))
    (copy / "1.png").unlink()
    result = scored(Replay.load(path, declares_resize=True), copy, tmp_path / "out")
    assert (result.value, result.errors) == (0.5, {"no_size": 1})
    assert load_result(tmp_path / "out").errors == {"no_size": 1}
    last = json.loads((tmp_path / "out" / "samples.jsonl").read_text().splitlines()[-1])
    assert (
        "1.png: its size is not known; put it into the copy, or state another --space"
        in last["message"]
    )


def test_without_places_no_picture_is_needed(copy, tmp_path):
    task = registry.task("mathvision")
    row = {"id": "1", "question": "?", "options": [], "answer": "60", "image": "no.png"}
    jsonl(copy / "test.jsonl", [{**row, "level": 1, "subject": "algebra"}])
    items = list(task.prompts[0].items(copy, task.budget))
    path = stored(tmp_path / "outputs.jsonl", items, r"\boxed{60}")
    replay = Replay.load(path, declares_resize=True)
    done = run(task, task.prompts[0], items, replay, folder=tmp_path / "out", space="resized")
    assert done.result.value == 1.0
