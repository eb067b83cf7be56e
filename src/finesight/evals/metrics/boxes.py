# SPDX-License-Identifier: Apache-2.0
"""IoU of boxes, and points in boxes.

A box is `(x1, y1, x2, y2)`; the caller gives all values in one coordinate space. Invalid boxes (NaN, swapped corners,
another length) score 0 and never raise.
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
    """Whether the IoU is at least the threshold."""
    return iou(pred, gold) >= threshold


def point_in_box(point: Sequence[float], box: Sequence[float]) -> bool:
    """Whether a point is inside a box or on its edge."""
    if not (_is_numbers(2, point) and _is_numbers(4, box)):
        return False
    x, y = point
    x1, y1, x2, y2 = box
    return x1 <= x <= x2 and y1 <= y <= y2


def are_finite(values: Sequence[float]) -> bool:
    """Whether every value is a finite number within the range of a float."""
    try:
        return all(isfinite(value) for value in values)
    except (OverflowError, TypeError):  # an int beyond the range of a float; not a number
        return False


def _is_numbers(count: int, values: Sequence[float] | None) -> bool:
    return values is not None and len(values) == count and are_finite(values)


def _box(values: Sequence[float]) -> Box | None:
    return Box(*values) if _is_numbers(4, values) else None
