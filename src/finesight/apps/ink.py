# SPDX-License-Identifier: Apache-2.0
"""Places of the words of a printed line, from the gaps between its ink."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from finesight.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["word_boxes"]

_LEAST_CONTRAST = 40
"""Difference of grey levels (0 to 255) between ink and paper."""
_MARGIN = 1
"""Pixels left and right of the ink that belong to a word."""
_CLEAR = 1.15
"""A gap between words is at least this much wider than any gap within words."""


def word_boxes(words: int, box: Box, pixels: NDArray[np.uint8]) -> list[Box] | None:
    """Boxes of the words of one line, from left to right.

    Args:
        words: number of words of the line.
        box: around the line, in pixels of the page.
        pixels: uint8[H, W, 3], the page.

    Returns:
        One box a word; None if the gaps do not show where the words are.
    """
    top, left = max(int(box.y1), 0), max(int(box.x1), 0)
    part = pixels[top : int(np.ceil(box.y2)), left : int(np.ceil(box.x2))]
    if part.size == 0 or words < 1:
        return None
    grey = part.mean(2)
    paper = np.median(grey)
    ink = np.abs(grey - paper) > _LEAST_CONTRAST
    columns = np.flatnonzero(ink.any(0))
    if not len(columns):
        return None
    gaps = [(second - first, index) for index, (first, second) in enumerate(pairwise(columns), 1)]
    widest = sorted(gaps, reverse=True)
    chosen, rest = widest[: words - 1], widest[words - 1 :]
    if len(chosen) < words - 1 or (chosen and rest and chosen[-1][0] < _CLEAR * rest[0][0]):
        return None
    starts = [0, *sorted(index for _, index in chosen), len(columns)]
    found = []
    for first, last in pairwise(starts):
        x1, x2 = int(columns[first]), int(columns[last - 1]) + 1
        rows = np.flatnonzero(ink[:, x1:x2].any(1))
        y1, y2 = int(rows[0]), int(rows[-1]) + 1
        found.append(Box(left + x1 - _MARGIN, top + y1, left + x2 + _MARGIN, top + y2))
    return found
