# SPDX-License-Identifier: Apache-2.0
"""Computed rewards against examples worked out by hand."""

from __future__ import annotations

from typing import get_args

import pytest

from finesight.conversation import MediaRecord, Reply, Usage
from finesight.errors import EvalError
from finesight.evals.rewards import REWARDS
from finesight.geometry import Clock, Resize, Size
from finesight.train.rewards import RewardName

PICTURE = MediaRecord(
    kind="image", source="a.png", resize=Resize(Size(200, 100), Size(112, 56)), visual_tokens=8
)
VIDEO = MediaRecord(
    kind="video",
    source="a.mp4",
    resize=Resize(Size(112, 84), Size(112, 84)),
    visual_tokens=12,
    clock=Clock(model_seconds=(0.0, 0.5, 1.0, 1.5), source_seconds=(0.0, 0.5, 1.0, 1.5)),
    sample_fps=2.0,
)


def reward(name, text, truth, media=(), meta=None) -> float:
    reply = Reply(
        text=text, token_ids=(1,), finish_reason="stop", usage=Usage(1, 0, 1), media=media
    )
    return REWARDS[name](reply, truth, meta or {})


def test_recipes_know_every_reward() -> None:
    assert set(get_args(RewardName)) == set(REWARDS)


@pytest.mark.parametrize(
    ("name", "text", "truth", "wanted"),
    [
        ("exact", " A  Cat.", "a cat", 1.0),
        ("exact", "a cat sits", "a cat", 0.0),
        ("exact", "<think>a dog?</think>a cat", "a cat", 1.0),
        ("exact", "<think>a cat", "a cat", 0.0),
        ("numeric", "so 1/2 + 1/4 = 0.75", "3/4", 1.0),
        ("numeric", "about 1,200", "1200.0", 1.0),
        ("numeric", "12", "1200", 0.0),
        ("numeric", "none", "3", 0.0),
        ("count", "There are three cats", "3", 1.0),
        ("count", "2", "three", 0.0),
        ("count", "2", "no number", 0.0),
        ("cer", "cats", "cat", 1 - 1 / 3),
        ("cer", "something else", "ab", 0.0),
    ],
)
def test_texts_and_numbers(name, text, truth, wanted) -> None:
    assert reward(name, text, truth) == pytest.approx(wanted)


def boxes(*items) -> str:
    listed = ", ".join(
        '{"bbox_2d": [%s], "label": "%s"}' % (", ".join(map(str, box)), label)  # noqa: UP031  # braces
        for box, label in items
    )
    return f"[{listed}]"


def test_boxes_are_matched_by_label_and_overlap() -> None:
    truth = boxes(((0, 0, 40, 40), "cat"), ((60, 0, 100, 40), "dog"))
    assert reward("iou", truth, truth, (PICTURE,)) == pytest.approx(1)
    half = boxes(((0, 0, 40, 20), "cat"), ((60, 0, 100, 40), "dog"))
    assert reward("iou", half, truth, (PICTURE,)) == pytest.approx(0.75)
    assert reward("iou", boxes(((0, 0, 40, 40), "cat")), truth, (PICTURE,)) == pytest.approx(0.5)
    swapped = boxes(((0, 0, 40, 40), "dog"), ((60, 0, 100, 40), "cat"))
    assert reward("iou", swapped, truth, (PICTURE,)) == 0
    twice = boxes(((0, 0, 40, 40), "cat"), ((0, 0, 40, 40), "cat"))
    one = boxes(((0, 0, 40, 40), "cat"))
    assert reward("iou", twice, one, (PICTURE,)) == pytest.approx(0.5)
    assert reward("iou", "I see nothing", truth, (PICTURE,)) == 0


def test_events_are_compared_in_seconds() -> None:
    truth = "The given query happens in 0.0 - 1.0 seconds."
    assert reward("time_iou", "It happens in 0.5 - 1.0 seconds.", truth, (VIDEO,)) == pytest.approx(
        0.5
    )
    assert reward("time_iou", "Never.", truth, (VIDEO,)) == 0


def test_tables() -> None:
    truth = "<table><tr><td>ab</td><td>c</td></tr></table>"
    assert reward("teds", f"Here: {truth}", truth) == 1
    assert 0 < reward("teds", truth.replace(">ab<", ">xy<"), truth) < 1


def test_schemas() -> None:
    meta = {"schema": {"type": "object", "required": ["total"]}}
    assert reward("schema", '{"total": 3}', "", meta=meta) == 1
    assert reward("schema", '```json\n{"total": 3}\n```', "", meta=meta) == 1
    assert reward("schema", '{"sum": 3}', "", meta=meta) == 0
    assert reward("schema", 'So: {"total": 3}', "", meta=meta) == 0
    assert reward("schema", "[" * 5000, "", meta=meta) == 0
    with pytest.raises(EvalError, match="needs a JSON Schema in the meta"):
        reward("schema", "{}", "")
