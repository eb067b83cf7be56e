# SPDX-License-Identifier: Apache-2.0
"""The report's rule for M-RoPE positions, one token at a time and as literally as it can be written.

The slow twin of `finesight.processor.mrope`: exact fractions, no arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

Run = int | tuple[tuple[int, int, int], Sequence[float]]


def paper_positions(
    runs: Sequence[Run], tokens_per_second: int
) -> tuple[list[tuple[int, int, int]], int]:
    """Positions of every token, and the delta for generation.

    Args:
        runs: a number of text tokens, or merged cells (t, h, w) and the second of each frame pair
            (no seconds for a picture).
        tokens_per_second: positions per second.
    """
    positions: list[tuple[int, int, int]] = []
    largest = -1
    for run in runs:
        start = largest + 1
        if isinstance(run, int):
            offsets = [(index, index, index) for index in range(run)]
        else:
            (pairs, rows, columns), seconds = run
            times = [floor(Fraction(s) * tokens_per_second) for s in seconds] or [0] * pairs
            offsets = [
                (time, row, column)
                for time in times
                for row in range(rows)
                for column in range(columns)
            ]
        for time, row, column in offsets:
            positions.append((start + time, start + row, start + column))
            largest = max(largest, *positions[-1])
    return positions, largest + 1 - len(positions)
