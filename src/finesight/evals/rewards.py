# SPDX-License-Identifier: Apache-2.0
"""Computed rewards: how well an answer agrees with the truth, 0..1, for rejection sampling and policy optimisation.

Thoughts are not rewarded: only the part of a reply after them counts. Places and times are compared in pixels and
seconds of the source, so the truth may have been written for the resized picture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import isclose
from types import MappingProxyType
from typing import Any, TypeVar

from finesight import geometry
from finesight.conversation import Reply
from finesight.errors import EvalError
from finesight.evals.extract.numbers import last_value_text
from finesight.evals.metrics.chars import cer_capped
from finesight.evals.metrics.count import count_hit, last_count
from finesight.evals.metrics.extras import required
from finesight.evals.metrics.intervals import temporal_iou
from finesight.evals.metrics.tables import teds
from finesight.evals.metrics.texts import as_float
from finesight.parse.answer import AnswerBox, read_answer
from finesight.parse.thinking import answer_part

__all__ = ["REWARDS", "Reward"]

Reward = Callable[[Reply, str, Mapping[str, Any]], float]
"""`(reply, truth, meta)` to 0..1; `truth` is the right answer, `meta` that of its record."""

_CLOSENESS = 1e-6
"""Relative difference of equal numbers."""

_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)

ItemT = TypeVar("ItemT")


def exact(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """1 for the same text, but for case, white space and a full stop at the end."""
    return float(_plain(_answer(reply)) == _plain(truth))


def numeric(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """1 if the last numbers of both texts are equal; fractions and powers of ten are read."""
    found, wanted = (last_value_text(text) for text in (_answer(reply), truth))
    if found is None or wanted is None:
        return 0.0
    numbers = as_float(found), as_float(wanted)
    if None in numbers:
        return 0.0
    return float(isclose(*numbers, rel_tol=_CLOSENESS))  # type: ignore[arg-type]  # neither is None


def count(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """1 if the last whole numbers of both texts are equal, in digits or words."""
    wanted = last_count(truth)
    return float(wanted is not None and count_hit(last_count(_answer(reply)), wanted))


def cer(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """1 less the character error rate, at least 0."""
    return 1 - cer_capped(_answer(reply), truth)


def iou(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """Mean intersection over union of the boxes of both texts.

    The best pairs of boxes with equal labels are taken first; a box without a partner counts 0. Boxes of a truth
    without labels have any label.
    """
    found, wanted = (_boxes(text) for text in (reply, replace(reply, text=truth)))

    def similarity(one: AnswerBox, other: AnswerBox) -> float:
        if other.label and _plain(one.label) != _plain(other.label):
            return 0.0
        return geometry.iou(_place(one), _place(other))

    return _matched(found, wanted, similarity)


def time_iou(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """Mean temporal intersection over union of the events of both texts, matched as in `iou`."""
    found, wanted = (_events(text) for text in (reply, replace(reply, text=truth)))
    return _matched(found, wanted, temporal_iou)


def table(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """TEDS of the first HTML table of both texts."""
    return teds(_answer(reply), truth)


def schema(reply: Reply, truth: str, meta: Mapping[str, Any]) -> float:
    """1 if the answer is JSON that `meta["schema"]` accepts; a fence around it is allowed.

    Raises:
        EvalError: the record has no schema, or jsonschema is not installed.
    """
    if "schema" not in meta:
        raise EvalError(
            "the reward schema needs a JSON Schema in the meta of each record",
            hint='store it as meta = {"schema": {...}}, or leave this reward out',
        )
    with required("jsonschema", "the reward schema"):
        from jsonschema import Draft202012Validator
    text = _answer(reply)
    fenced = _FENCED.fullmatch(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return 0.0
    return float(Draft202012Validator(meta["schema"]).is_valid(value))


REWARDS: Mapping[str, Reward] = MappingProxyType(
    {
        "exact": exact,
        "numeric": numeric,
        "count": count,
        "cer": cer,
        "iou": iou,
        "time_iou": time_iou,
        "teds": table,
        "schema": schema,
    }
)
"""All rewards by name."""


def _answer(reply: Reply) -> str:
    """The reply without thoughts; empty if a thought was cut."""
    return answer_part(reply.text) or ""


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold().removesuffix(".")


def _boxes(reply: Reply) -> Sequence[AnswerBox]:
    return read_answer(reply).boxes


def _place(box: AnswerBox) -> geometry.Box:
    return box.original or box.box_resized


def _events(reply: Reply) -> list[tuple[float, float]]:
    return [
        each.source_seconds or (each.model_start_seconds, each.model_end_seconds)
        for each in read_answer(reply).events
    ]


def _matched(
    found: Sequence[ItemT], wanted: Sequence[ItemT], similarity: Callable[[ItemT, ItemT], float]
) -> float:
    """Sum of the similarities of matched items over the larger number of items; 1 if there are none."""
    if not found and not wanted:
        return 1.0
    pairs = product(range(len(found)), range(len(wanted)))
    scores = sorted(((similarity(found[a], wanted[b]), a, b) for a, b in pairs), reverse=True)
    total, used_found, used_wanted = 0.0, set[int](), set[int]()
    for score, a, b in scores:
        if a not in used_found and b not in used_wanted:
            total += score
            used_found.add(a)
            used_wanted.add(b)
    return total / max(len(found), len(wanted))
