# SPDX-License-Identifier: Apache-2.0
"""Boxes and points against the truth.

A box is `(x1, y1, x2, y2)`, all values in one space; which space that is, is the caller's knowledge. Nothing here
raises on what a model wrote: a box with NaN in it, with swapped corners or of another length is worth 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from finesight import geometry
from finesight.geometry import Box


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union, 0..1."""
    first, second = _box(a), _box(b)
    overlap = geometry.iou(first, second) if first and second else 0.0
    return overlap if isfinite(overlap) else 0.0  # areas beyond the range of a float


def box_hit(pred: Sequence[float], gold: Sequence[float], threshold: float = 0.5) -> bool:
    """Whether the overlap reaches the threshold; reaching it exactly is a hit."""
    return iou(pred, gold) >= threshold


def point_in_box(point: Sequence[float], box: Sequence[float]) -> bool:
    """Whether a point lies inside a box or on its edge."""
    if not (_are(2, point) and _are(4, box)):
        return False
    x, y = point
    x1, y1, x2, y2 = box
    return x1 <= x <= x2 and y1 <= y <= y2


def are_finite(values: Sequence[float]) -> bool:
    """Whether every value is a number that a float can hold."""
    try:
        return all(isfinite(value) for value in values)
    except (OverflowError, TypeError):  # an int of hundreds of digits; no number
        return False


def _are(count: int, values: Sequence[float] | None) -> bool:
    """Whether these are so many numbers."""
    return values is not None and len(values) == count and are_finite(values)


def _box(values: Sequence[float]) -> Box | None:
    """None for what is no box."""
    return Box(*values) if _are(4, values) else None
