# SPDX-License-Identifier: Apache-2.0
"""Pointing: precision, recall and F1 of points, and the two rules of Point-Bench.

A region is a mask (`bool[H, W]`, a point is rounded to its pixel) or a box `(x1, y1, x2, y2)`, edges included. Points
are `(x, y)` in pixels of the original.

Sources: "Molmo and PixMo" (2024) for matching, "PointArena" (2025) for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from finesight.errors import EvalError
from finesight.evals.metrics.boxes import are_finite, point_in_box
from finesight.evals.metrics.extras import required

Region: TypeAlias = Sequence[float] | NDArray[Any]
"""A box of four numbers, or a mask."""


def pointing_f1(
    pred: Sequence[Sequence[float]] | None,
    gold_points: Sequence[Sequence[float]],
    masks_or_boxes: Sequence[Region],
) -> tuple[float, float, float]:
    """Precision, recall and F1 of one picture.

    Predicted and gold points are matched one to one with the least sum of distances; a match is a hit if the predicted
    point is in the region of the gold point.

    Args:
        pred: predicted points; None for an unreadable answer.
        gold_points: one point per object; may be empty.
        masks_or_boxes: the region of each object, in the same order.

    Returns:
        All 1 if there are neither predicted nor gold points, all 0 if only one of them is empty.

    Raises:
        EvalError: points and regions differ in number, or scipy is not installed.
    """
    if len(gold_points) != len(masks_or_boxes):
        raise EvalError(
            f"{len(gold_points)} points are meant and {len(masks_or_boxes)} regions given"
        )
    if pred is None or bool(pred) != bool(gold_points):
        return 0.0, 0.0, 0.0
    if not pred:
        return 1.0, 1.0, 1.0
    hits = sum(in_region(pred[p], masks_or_boxes[g]) for p, g in _matches(pred, gold_points))
    precision, recall = hits / len(pred), hits / len(gold_points)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return precision, recall, f1


def point_bench_binary(pred: Sequence[Sequence[float]] | None, region: Region) -> bool:
    """Whether the first point is in the region."""
    return bool(pred) and pred is not None and in_region(pred[0], region)


def point_bench_count(pred: Sequence[Sequence[float]] | None, region: Region, count: int) -> bool:
    """Whether there are `count` points, all in the region of the objects."""
    return (
        pred is not None and len(pred) == count and all(in_region(point, region) for point in pred)
    )


def in_region(point: Sequence[float], region: Region) -> bool:
    """Whether a point is in a mask or a box; False for NaN and points outside the picture."""
    if len(point) != 2 or not are_finite(point):
        return False
    if not isinstance(region, np.ndarray) or region.ndim != 2:
        return point_in_box(point, [float(value) for value in region])
    column, row = round(point[0]), round(point[1])
    height, width = region.shape
    return 0 <= row < height and 0 <= column < width and bool(region[row, column])


def _matches(
    pred: Sequence[Sequence[float]], gold: Sequence[Sequence[float]]
) -> list[tuple[int, int]]:
    """Index pairs with the least sum of distances; all points of the smaller side are matched."""
    with required("scipy", "matching points"):
        from scipy.optimize import linear_sum_assignment
    points = np.clip(np.nan_to_num(np.asarray(pred, dtype=float), nan=1e9), -1e9, 1e9)
    steps = points[:, None, :] - np.asarray(gold, dtype=float)[None, :, :]
    rows, columns = linear_sum_assignment(np.sqrt((steps**2).sum(-1)))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
