# SPDX-License-Identifier: Apache-2.0
"""Window order of visual tokens for the windowed layers of the vision tower.

A frame pair is tiled with windows of 4 x 4 merged cells (112 x 112 pixels). Windows at the right
and lower edge may be smaller: there is no padding, and no empty window. Tokens are
reordered so that windows are contiguous, row by row inside a window. Frame pairs stay one after the
other; inside a frame pair the largest windows come first, equal ones left to right and top to
bottom, so that attention computes windows of equal length together without a gather.

Results depend only on the grid and are cached; the tensors are shared and must not be written to.

Worked example, a grid of 5 x 6 merged cells: windows of 4x4, 4x2, 1x4 and 1x2 cells,
`window_lengths = [16, 8, 4, 2]`, `window_order = [0, 1, 2, 3, 6, 7, 8, 9, ..., 4, 5, 10, 11, ...,
24, 25, 26, 27, 28, 29]`.

Source: Qwen2.5-VL report, section 2.1.1; parity: tests/parity/test_integers.py.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from finesight.config.model import VisionConfig


def window_order(grid_thw: tuple[int, int, int], vision: VisionConfig) -> tuple[Tensor, Tensor]:
    """Order of visual tokens that makes windows contiguous.

    Args:
        grid_thw: frame pairs, patch rows, patch columns.
        vision: merge and window sizes.

    Returns:
        int64[M], the visual token at each place, and int64[W], visual tokens per window.
    """
    pairs, rows, columns = grid_thw
    merge = vision.spatial_merge_size
    return _window_order(pairs, rows // merge, columns // merge, vision.window_cells)


@lru_cache(maxsize=512)
def _window_order(
    pairs: int, cell_rows: int, cell_columns: int, window_cells: int
) -> tuple[Tensor, Tensor]:
    windows_wide = -(-cell_columns // window_cells)
    row_window = torch.arange(cell_rows) // window_cells
    column_window = torch.arange(cell_columns) // window_cells
    window_of = (
        row_window[:, None] * windows_wide + column_window
    ).flatten()  # [cells of one pair]
    lengths = torch.bincount(window_of)
    by_length = torch.argsort(lengths, descending=True, stable=True)
    rank = torch.argsort(by_length)[window_of]  # place of each cell's window, largest first
    order = torch.argsort(rank, stable=True)  # stable: row by row inside a window
    starts = torch.arange(pairs) * (cell_rows * cell_columns)
    return (starts[:, None] + order).flatten(), lengths[by_length].repeat(pairs)


def patch_positions(grid_thw: tuple[int, int, int], merge: int = 2) -> Tensor:
    """Row and column of each patch inside its frame, int64[N, 2], in merge order.

    Args:
        grid_thw: frame pairs, patch rows, patch columns; frame pairs share their positions.
        merge: patches per visual token side.
    """
    return _patch_positions(*grid_thw, merge)


@lru_cache(maxsize=512)
def _patch_positions(pairs: int, rows: int, columns: int, merge: int) -> Tensor:
    row = torch.arange(rows)[:, None].expand(rows, columns)
    column = torch.arange(columns).expand(rows, columns)
    both = torch.stack([row, column], dim=-1)  # [h, w, 2]
    cells = both.reshape(rows // merge, merge, columns // merge, merge, 2).transpose(1, 2)
    return cells.reshape(-1, 2).repeat(pairs, 1)
