# SPDX-License-Identifier: Apache-2.0
"""The worked example of the module, and what windows never do."""

from __future__ import annotations

import pytest

from finesight.config.sizes import named_config
from finesight.processor.windows import patch_positions, window_order

VISION = named_config("3b").vision


def test_worked_example():
    order, lengths = window_order((1, 10, 12), VISION)
    assert lengths.tolist() == [16, 8, 4, 2]
    expected = [6 * row + column for row in range(4) for column in range(4)]
    expected += [6 * row + column for row in range(4) for column in (4, 5)]
    expected += [24, 25, 26, 27, 28, 29]
    assert order.tolist() == expected


@pytest.mark.parametrize("grid", [(1, 2, 2), (1, 8, 8), (3, 8, 16), (2, 18, 34)])
def test_no_window_is_empty_or_padded(grid):
    _, lengths = window_order(grid, VISION)
    assert lengths.min() >= 1
    assert lengths.max() <= 16
    assert int(lengths.sum()) == grid[0] * grid[1] * grid[2] // 4


def test_windows_stay_inside_a_frame_pair():
    order, lengths = window_order((3, 10, 6), VISION)
    per_pair = 15
    start = 0
    for length in lengths.tolist():
        pairs = {token // per_pair for token in order[start : start + length].tolist()}
        assert len(pairs) == 1
        start += length


def test_the_largest_windows_of_each_frame_pair_come_first():
    _, lengths = window_order((2, 18, 10), VISION)
    assert lengths.tolist() == [16, 16, 4, 4, 4, 1] * 2


def test_patch_positions_in_merge_order():
    positions = patch_positions((2, 4, 4)).tolist()
    first_cells = [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    assert positions[:8] == first_cells
    assert positions[8:10] == [[2, 0], [2, 1]]
    assert positions[:16] == positions[16:]  # frame pairs share their positions


def test_results_are_cached():
    assert window_order((1, 6, 6), VISION)[0] is window_order((1, 6, 6), VISION)[0]
    assert patch_positions((1, 6, 6)) is patch_positions((1, 6, 6))
