# SPDX-License-Identifier: Apache-2.0
"""MegaBench's metrics of numbers, formulas, boxes and points; coordinates are fractions of the picture."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from finesight.evals.metrics import boxes
from finesight.evals.metrics.expression import evaluate
from finesight.evals.metrics.literal import read_literal, read_python
from finesight.evals.metrics.mega_sets import as_list, simple

_BOX_TAG = re.compile(r"<box>([^<]{0,200})</box>")
_POINT_TAG = re.compile(r"<point>([^<]{0,200})</point>")
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]{0,200}\}){0,400}+)\}")
_ASSIGNED = re.compile(r"(?:=|≈|\\approx)\s{0,9}(.+)")
_DELIMITERS = re.compile(r"\\[()\[\]]|\\(?:begin|end)\{[^{}]{0,40}\}")
_UNITS = (("¥", ""), ("°C", ""), (" C", ""), ("°", ""), ("π", "\\pi "))
_PLACES = (1.37, 0.61, 2.93)
"""Offsets of the values substituted for letters; equal formulas have equal values for all."""


def relative_nearness(pred: Any, gold: Any) -> float:
    """One minus the relative error, at least 0."""
    wanted = _number(gold)
    return max(0.0, 1 - abs((_number(pred) - wanted) / wanted))


def absolute_nearness(pred: Any, gold: Any) -> float:
    """1 for no error, decreasing linearly to 0 at an error of 0.1."""
    return 1 - min(abs(_number(pred) - _number(gold)), 0.1) / 0.1


def angle_nearness(pred: Any, gold: Any) -> float:
    """1 for no error, decreasing linearly to 0 at a mean error of 10; 0 for lists of different lengths."""
    found, wanted = as_list(pred), as_list(gold)
    if len(found) != len(wanted):
        return 0.0
    mean = sum(abs(_number(a) - _number(b)) for a, b in zip(found, wanted, strict=True))
    return 1 - min(mean / len(wanted), 10.0) / 10.0


def positive_int(pred: Any, gold: Any) -> float | None:
    """Equality of integers; None, which leaves the field out, if neither is positive."""
    found, wanted = _spelled(pred), _number(gold)
    if isinstance(found, bool) or not isinstance(found, int):
        return 0.0
    return None if found <= 0 and wanted <= 0 else float(found == wanted)


def numbers_match(pred: Any, gold: Any) -> float:
    """Equality of values within one percent, of sorted lists by element; without values, of texts."""
    found, wanted = _assigned(pred), _assigned(gold)
    first, second = _values(found), _values(wanted)
    if first is None or second is None:
        return simple(found, wanted)
    near = (
        abs(a - b) <= abs(b) * 0.01 for a, b in zip(sorted(first), sorted(second), strict=False)
    )
    return float(len(first) == len(second) and all(near))


def boxed_numbers_match(pred: Any, gold: Any) -> float:
    r"""`numbers_match` of the contents of the first `\boxed{}` of each."""
    parts = []
    for value in (pred, gold):
        match = _BOXED.search(str(value))
        parts.append(match[1] if match else str(value))
    return numbers_match(*parts)


def formulas_equal(pred: Any, gold: Any) -> float:
    """Equality of values for several substitutions of letters; without values, of texts."""
    if not isinstance(pred, str) or not isinstance(gold, str):
        return 0.0
    first, second = (_DELIMITERS.sub("", text).replace("π", "\\pi ") for text in (pred, gold))
    for place in _PLACES:
        letters = {chr(code): place + code % 13 / 7 for code in (*range(65, 91), *range(97, 123))}
        a, b = evaluate(first, symbols=letters), evaluate(second, symbols=letters)
        if a is None or b is None:
            return simple(first, second)
        if not math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9):
            return 0.0
    return 1.0


def box_tuple(pred: Any, gold: Any) -> float:
    """Mean over the predicted boxes of the best IoU with any gold box."""
    return _mean_best(_boxes(pred), _boxes(gold))


def box_single(pred: Any, gold: Any) -> float:
    """IoU of two boxes."""
    return boxes.iou(_spelled(pred), _spelled(gold))


def box_sequence(pred: Any, gold: Any) -> float:
    """Mean IoU of boxes in the same order; 0 if the numbers of boxes differ."""
    found, wanted = _boxes(pred), _boxes(gold)
    if len(found) != len(wanted) or not wanted:
        return 0.0
    return sum(boxes.iou(a, b) for a, b in zip(found, wanted, strict=True)) / len(wanted)


def box_in_tags(pred: Any, gold: Any) -> float:
    """`box_tuple` of boxes in `<box>` tags."""
    return _mean_best(_tagged_boxes(pred), _tagged_boxes(gold))


def point_in_any_box(pred: Any, gold: Any) -> float:
    """Whether the point is in one of the boxes; `gold` is a box or a list, possibly under "bounding_boxes"."""
    listed = gold["bounding_boxes"] if isinstance(gold, dict) else gold
    each = listed if isinstance(listed, (list, tuple)) and not _is_numbers(listed, 4) else [listed]
    regions = [box for item in each for box in _boxes(item)] or _boxes(listed)
    point = _point(pred)
    return float(point is not None and any(boxes.point_in_box(point, box) for box in regions))


def point_nearness(pred: Any, gold: Any) -> float:
    """One minus the distance of two points, at least 0; 0 if one is outside the picture."""
    a, b = _point(pred), _point(gold)
    if a is None or b is None or not all(0 <= value <= 1 for value in (*a, *b)):
        return 0.0
    return max(0.0, 1 - math.dist(a, b))


def coordinates(pred: Any, gold: Any) -> float:
    """Mean of `exp(-10 distance / diagonal)` over points in order; 0 if their numbers differ."""
    found, wanted = ([p for p in as_list(v) if _is_numbers(p, 2)] for v in (pred, gold))
    if len(found) != len(wanted) or not wanted:
        return 0.0
    far = (math.dist(a, b) / math.sqrt(2) for a, b in zip(found, wanted, strict=True))
    return sum(math.exp(-10 * distance) for distance in far) / len(wanted)


def _number(value: Any) -> float:
    """A number, possibly written as text.

    Raises:
        ValueError: the value is not a number.
    """
    spelled = read_literal(value) if isinstance(value, str) else value
    if isinstance(spelled, bool) or not isinstance(spelled, (int, float)):
        raise ValueError(f"{str(value)[:60]!r} is not a number")
    return float(spelled)


def _assigned(value: Any) -> str:
    """The text after the first sign of equality, or the whole text."""
    text = _DELIMITERS.sub("", str(value))
    match = _ASSIGNED.search(text[:2000])
    return match[1].strip() if match else text


def _values(text: str) -> list[float] | None:
    """The value of a formula, or the values of a list of formulas."""
    for unit, plain in _UNITS:
        text = text.replace(unit, plain)
    stripped = text.strip()
    if "," in stripped and stripped[:1] in ("[", "("):
        parts = [evaluate(part) for part in stripped[1:-1].split(",")]
        known = [part for part in parts if part is not None]
        return known if len(known) == len(parts) else None
    value = evaluate(stripped)
    return None if value is None else [value]


def _spelled(value: Any) -> Any:
    """The value of a Python or JSON text such as `1, 2, 3, 4`; None if it has none."""
    if not isinstance(value, str):
        return value
    try:
        return read_python(value.strip())
    except ValueError:
        return read_literal(value)


def _is_numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == count
        and all(isinstance(each, (int, float)) for each in value)
    )


def _boxes(value: Any) -> list[Sequence[float]]:
    """One box or a list of boxes; other elements are ignored."""
    spelled = _spelled(value)
    if _is_numbers(spelled, 4):
        return [spelled]
    return [box for box in spelled or () if _is_numbers(box, 4)]


def _tagged_boxes(value: Any) -> list[Sequence[float]]:
    if not isinstance(value, str):
        return _boxes(value)
    groups = [read_literal(f"[{content}]") for content in _BOX_TAG.findall(value)]
    return [group for group in groups if _is_numbers(group, 4)]


def _point(value: Any) -> Sequence[float] | None:
    if isinstance(value, str):
        found = _POINT_TAG.findall(value)
        value = read_literal(f"[{found[0]}]") if len(found) == 1 else None
    return value if _is_numbers(value, 2) else None


def _mean_best(found: Sequence[Sequence[float]], wanted: Sequence[Sequence[float]]) -> float:
    if not found:
        return 0.0
    best = (max((boxes.iou(box, gold) for gold in wanted), default=0.0) for box in found)
    return sum(best) / len(found)
