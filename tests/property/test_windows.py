# SPDX-License-Identifier: Apache-2.0
"""Windows over every grid shape: each token in exactly one, none empty, none across frames or too wide."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from finesight.config.sizes import named_config
from finesight.processor.windows import patch_positions, window_order

VISION = named_config("3b").vision
GRIDS = st.tuples(
    st.integers(1, 6),
    st.integers(1, 40).map(lambda n: 2 * n),
    st.integers(1, 40).map(lambda n: 2 * n),
)


@given(grid=GRIDS)
def test_order_is_a_permutation_by_windows(grid):
    order, lengths = window_order(grid, VISION)
    t, h, w = grid[0], grid[1] // 2, grid[2] // 2
    assert torch.equal(order.sort().values, torch.arange(t * h * w))
    assert int(lengths.min()) >= 1
    assert int(lengths.sum()) == t * h * w
    assert len(lengths) == t * -(-h // 4) * -(-w // 4)
    start = 0
    for length in lengths.tolist():
        tokens = order[start : start + length]
        frame, row, column = tokens // (h * w), tokens // w % h, tokens % w
        assert (frame == frame[0]).all()
        assert (row // 4 == row[0] // 4).all()
        assert (column // 4 == column[0] // 4).all()
        assert (tokens.diff() > 0).all()  # row by row
        start += length


@given(grid=GRIDS)
def test_positions_come_in_blocks_of_four(grid):
    t, h, w = grid
    positions = patch_positions(grid).view(t, h // 2, w // 2, 2, 2, 2)
    for pair in range(t):
        row = positions[pair, ..., 0].permute(0, 2, 1, 3).reshape(h, w)
        column = positions[pair, ..., 1].permute(0, 2, 1, 3).reshape(h, w)
        assert torch.equal(row, torch.arange(h)[:, None].expand(h, w))
        assert torch.equal(column, torch.arange(w).expand(h, w))
