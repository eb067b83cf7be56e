# SPDX-License-Identifier: Apache-2.0
"""The same answers, scored as `finesight eval` scores them: by a task's own rule and metric, or another rule of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from finesight.evals.core import registry
from finesight.evals.core.task import Answered, CoordinateFrame, Task
from finesight.evals.metrics.detection import coco_average_precision
from finesight.evals.metrics.maths import is_equal, is_equal_tight
from finesight.evals.metrics.mega import score_field
from finesight.evals.tasks.grounding.odinw13 import said_boxes
from finesight.geometry import Size
from tests.interop.pairs import Pair

Ours = Callable[[Pair], Any]


@cache
def _task(name: str) -> Task:
    return registry.task(name)


def _answered(pair: Pair) -> Answered:
    """The answer with the picture it is about, if any: numbers are pixels of the file."""
    size = pair.truth.get("size")
    frames = (CoordinateFrame("original", Size(*size), Size(*size)),) if size else ()
    return Answered(pair.answer, pair.truth, frames)


def scored_by(task: str, part: str, extractor: str | None = None) -> Ours:
    """A part of the score that a task gives."""

    def score(pair: Pair) -> float:
        benchmark = _task(task)
        parsed = registry.find_extractor(benchmark, extractor).read(_answered(pair))
        return float(benchmark.score(parsed, pair.truth)[part])

    return score


def read_by(task: str, extractor: str | None = None) -> Ours:
    """What a rule of a task reads; None where it reads nothing."""

    def read(pair: Pair) -> Any:
        return registry.find_extractor(_task(task), extractor).read(_answered(pair))

    return read


def equal(pair: Pair) -> float:
    """Mathematical equality."""
    return float(is_equal(pair.answer, pair.truth["answer"]))


def equal_tight(pair: Pair) -> float:
    """Mathematical equality to a millionth."""
    return float(is_equal_tight(pair.answer, pair.truth["answer"]))


def average_precision_read(pair: Pair) -> float:
    """The same for the boxes that are read from an answer about one picture, all categories asked at once."""
    task, truth = _task("odinw13"), pair.truth
    parsed = registry.find_extractor(task, None).read(_answered(pair))
    there = [(label, list(box)) for label, box in truth["gold"]]
    images = [(said_boxes(parsed, truth["names"]), there)]
    return coco_average_precision(images, classes=truth["names"])["ap"]


def mega_field(pair: Pair) -> float | None:
    """One field of an answer of MEGA-Bench; None where its score is left out."""
    said = json.loads(pair.answer) if pair.truth.get("is_json") else pair.answer
    return score_field(pair.truth["metric"], said, pair.truth["gold"])


def average_precision(pair: Pair) -> float:
    """Mean over thresholds of the boxes of a few pictures."""
    images = [
        ([tuple(each) for each in one["pred"]], [tuple(each) for each in one["gold"]])
        for one in pair.truth["pictures"]
    ]
    return coco_average_precision(images, classes=pair.truth["names"])["ap"]
