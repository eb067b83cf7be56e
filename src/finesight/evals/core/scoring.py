# SPDX-License-Identifier: Apache-2.0
"""Parse and score answers; a failure is counted under a reason and does not stop the run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Any

import numpy as np

from finesight.errors import (
    AppError,
    EvalError,
    FinesightError,
    MediaError,
    PromptTooLong,
    RemoteError,
)
from finesight.evals.core.journal import Sample
from finesight.evals.core.task import Answered, Extractor, Scored, Space, Task

REASONS = {
    "broken_row": "a row of the copy could not be used",
    "duplicate_id": "an id occurs more than once",
    "missing_media": "a picture or video is not there or cannot be read",
    "endpoint": "the endpoint did not answer",
    "too_long": "prompt and answer exceed the context",
    "no_answer": "there is no stored output",
    "environment": "the environment failed, or its record contradicts itself",
    "engine": "the model failed",
    "no_size": "the size of a picture, needed for coordinates, is not known",
    "extractor": "the extractor failed",
    "score": "the score failed",
}
"""Descriptions of the reasons of failed items."""

_NUMPY = (np.generic, np.ndarray)
_NO_SIZE = "its size is not known; put it into the copy, or state another --space"
NO_QUESTION = frozenset({"broken_row", "duplicate_id"})
"""Reasons of unusable rows: counted, but not part of any metric."""


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """One parsed and scored answer.

    Attributes:
        parsed: the parsed answer; None if there is none.
        parts: parts of the score; empty if extractor or score failed.
        error: one of `REASONS`; None if nothing failed.
        message: of the error.
    """

    parsed: Any = None
    parts: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    message: str | None = None


def score_answer(task: Task, extractor: Extractor, answered: Answered) -> AnswerScore:
    """Parse and score an answer.

    Any exception of extractor or score is recorded as an error of this answer.
    """
    try:
        parsed = extractor.read(answered)
        plain = json.loads(json.dumps(parsed, default=_plain))
        parsed = plain if isinstance(parsed, _NUMPY) else parsed
    except Exception as error:
        return AnswerScore(error="extractor", message=_described(error))
    try:
        parts = {name: float(value) for name, value in task.score(parsed, answered.truth).items()}
    except Exception as error:
        return AnswerScore(parsed=plain, error="score", message=_described(error))
    lost = [name for name, value in parts.items() if isnan(value)]
    if lost:  # one would make the mean of all items NaN
        return AnswerScore(parsed=plain, error="score", message=f"{lost[0]} is NaN")
    return AnswerScore(plain, parts)


def rescored(task: Task, extractor: Extractor, sample: Sample, space: Space) -> Sample:
    """A sample with its answer parsed and scored again; a sample without an answer only gets the extractor's name."""
    named = replace(sample, extractor=extractor.name, extractor_version=extractor.version)
    if sample.text is None:
        return named
    frames = sample.frames(space)
    if extractor.is_placed and not frames:
        lost = next((each for each in sample.media if each["kind"] == "image"), None)
        name = lost["source"] if lost else "no picture was shown"
        return replace(named, parsed=None, parts={}, error="no_size", message=f"{name}: {_NO_SIZE}")
    found = score_answer(task, extractor, Answered(sample.text, sample.truth, frames))
    return replace(
        named, parsed=found.parsed, parts=found.parts, error=found.error, message=found.message
    )


def scored(samples: Iterable[Sample]) -> list[Scored]:
    """Samples as input of metrics, without unusable rows."""
    return [
        Scored(item=each.item(), parsed=each.parsed, parts=each.parts, error=each.error)
        for each in samples
        if each.error not in NO_QUESTION
    ]


def reason_of(error: Exception) -> str:
    """The reason under which an error is counted."""
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (MediaError, "missing_media"),
        (RemoteError, "endpoint"),
        (PromptTooLong, "too_long"),
        (AppError, "environment"),
        (EvalError, "no_answer"),
    )
    return next((reason for kind, reason in kinds if isinstance(error, kind)), "engine")


def message_of(error: Exception) -> str:
    """Message of an error without its hint."""
    return error.message if isinstance(error, FinesightError) else _described(error)


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as plain JSON values.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, _NUMPY):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
