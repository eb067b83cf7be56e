# SPDX-License-Identifier: Apache-2.0
"""Reading order from the places of blocks, and how far another order agrees with it.

A page is cut recursively (XY-cut): into columns where a vertical gap separates blocks that stand beside each other,
else into rows at horizontal gaps. Rows that share their gap between columns stay together, so that a column is read to
its end before the next one begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from finesight.geometry import Box

__all__ = ["agreement", "geometric_order", "is_right_to_left"]

_OVERLAP = 0.2
"""Boxes of neighbours may overlap by this share of the smaller one and still count as separate."""


def geometric_order(boxes: Sequence[Box], *, right_to_left: bool = False) -> list[int]:
    """Indices of the boxes in reading order.

    Args:
        boxes: of the blocks of a page.
        right_to_left: whether the right column is read first.
    """
    return _cut(list(range(len(boxes))), boxes, right_to_left)


def is_right_to_left(char: str) -> bool:
    """Whether a character is of Hebrew, Arabic or a script between them in Unicode, digits included."""
    return "\u0590" <= char <= "\u08ff"


def agreement(order: Sequence[int]) -> float | None:
    """Share of pairs that a permutation of 0, 1, ... leaves in their order; None for fewer than two indices."""
    if len(order) < 2:
        return None
    places = np.asarray(order)
    swapped = np.triu(places[:, None] > places[None, :]).sum()
    return 1.0 - float(swapped) / (len(order) * (len(order) - 1) / 2)


def _cut(indices: list[int], boxes: Sequence[Box], right_to_left: bool) -> list[int]:
    if len(indices) < 2:
        return indices
    columns = _columns(indices, boxes)
    if len(columns) > 1:
        parts = columns[::-1] if right_to_left else columns
    else:
        parts = _joined_rows(_groups(indices, boxes, is_rows=True), boxes)
    if len(parts) == 1:
        return sorted(indices, key=lambda index: (boxes[index].y1, boxes[index].x1))
    return [index for part in parts for index in _cut(part, boxes, right_to_left)]


def _columns(indices: list[int], boxes: Sequence[Box]) -> list[list[int]]:
    """Groups between vertical gaps; one group if they do not stand beside each other."""
    groups = _groups(indices, boxes, is_rows=False)
    spans = [
        (min(boxes[one].y1 for one in group), max(boxes[one].y2 for one in group))
        for group in groups
    ]
    is_beside = all(
        min(first[1], second[1]) > max(first[0], second[0]) for first, second in pairwise(spans)
    )
    return groups if is_beside else [indices]


def _groups(indices: list[int], boxes: Sequence[Box], *, is_rows: bool) -> list[list[int]]:
    """Groups of boxes that overlap along one axis, in the order of that axis."""

    def span(index: int) -> tuple[float, float]:
        box = boxes[index]
        return (box.y1, box.y2) if is_rows else (box.x1, box.x2)

    groups: list[list[int]] = []
    end = 0.0
    for index in sorted(indices, key=span):
        low, high = span(index)
        if groups and low < end - _OVERLAP * min(high - low, end - span(groups[-1][0])[0]):
            groups[-1].append(index)
            end = max(end, high)
        else:
            groups.append([index])
            end = high
    return groups


def _joined_rows(rows: list[list[int]], boxes: Sequence[Box]) -> list[list[int]]:
    """Neighbouring rows that have a gap between columns in common, put together."""
    joined: list[list[int]] = []
    for row in rows:
        if joined and len(_columns(joined[-1] + row, boxes)) > 1:
            joined[-1] += row
        else:
            joined.append(row)
    return joined
