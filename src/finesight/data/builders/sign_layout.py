# SPDX-License-Identifier: Apache-2.0
"""Where pieces of text are placed in a picture, and how large the picture is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from finesight.data.builders.options import CELL

__all__ = ["MAX_SIDE", "Layout", "arrange", "picture_size"]

Layout = Literal["column", "row", "corners"]
"""Arrangement of the pieces: top to bottom, left to right, or two by two."""

MAX_SIDE = 1008
"""Largest side of a picture, in pixels."""


def arrange(
    rng: random.Random, sizes: Sequence[tuple[int, int]], columns: int, gap: int
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Left and top of each piece in a grid with random gaps, row by row, and the size of the whole."""
    rows = len(sizes) // columns
    widths = [max(width for width, _ in sizes[column::columns]) for column in range(columns)]
    heights = [
        max(high for _, high in sizes[row * columns : (row + 1) * columns]) for row in range(rows)
    ]
    lefts, tops = [0], [0]
    for width in widths:
        lefts.append(lefts[-1] + width + gap + rng.randint(0, gap))
    for high in heights:
        tops.append(tops[-1] + high + gap + rng.randint(0, gap))
    places = []
    for index, (width, high) in enumerate(sizes):
        row, column = divmod(index, columns)
        x = lefts[column] + rng.randint(0, widths[column] - width)
        y = tops[row] + rng.randint(0, heights[row] - high)
        places.append((x, y))
    right = max(x + width for (x, _), (width, _) in zip(places, sizes, strict=True))
    bottom = max(y + high for (_, y), (_, high) in zip(places, sizes, strict=True))
    return places, (right, bottom)


def picture_size(
    rng: random.Random, content: tuple[int, int], tokens: tuple[int, int], height: float
) -> tuple[int, int] | None:
    """Sides of a picture in whole cells, with random margins around the content.

    Args:
        rng: random generator; small pictures are drawn more often.
        content: width and height of the text, in pixels.
        tokens: fewest and most cells.
        height: letter height; larger letters get larger margins.

    Returns:
        Width and height in pixels, or None if the content does not fit.
    """
    fewest, most = tokens
    wanted = fewest * (most / fewest) ** (rng.random() ** 2)
    margin = 0.6 * height + 48
    cells = [-(-round(side + rng.random() ** 2 * margin) // CELL) for side in content]
    while cells[0] * cells[1] < min(wanted, most):  # background around the text
        is_narrow = cells[0] < 1.6 * cells[1] or cells[0] * CELL >= MAX_SIDE
        grows_wider = (is_narrow and rng.random() < 0.8) or rng.random() < 0.3
        cells[0 if grows_wider else 1] += 1
    if cells[0] * cells[1] > most or max(cells) * CELL > MAX_SIDE:
        cells = [-(-side // CELL) for side in content]
    if not fewest <= cells[0] * cells[1] <= most or max(cells) * CELL > MAX_SIDE:
        return None
    return cells[0] * CELL, cells[1] * CELL
