# SPDX-License-Identifier: Apache-2.0
"""M-RoPE position ids: time, row and column of each token.

Text advances all three together. A picture or video spans a box: rows and columns count merged
cells, time counts ids per second of video, and the token after it starts one past the largest
position used. Time is absolute: a frame pair at second s has the position `floor(s *
tokens_per_second)` after the video's start. The product is taken in float64 and rounded down last;
rounding the seconds first would give too small positions at some frame rates.

Worked example, 3 text tokens, a picture of 2 x 3 cells, 2 text tokens:
time   `0 1 2 | 3 3 3 3 3 3 | 6 7`, row `0 1 2 | 3 3 3 4 4 4 | 6 7`, column `0 1 2 | 3 4 5 3 4 5 | 6
7`; `rope_delta` is 8 - 11.

Raster positions are for a decoder that was pre-trained on text alone. Time counts the visual tokens of
a picture row by row, rows and columns stay. In the example time is `0 1 2 | 3 4 5 6 7 8 | 9 10`. With
the positions of Qwen2.5-VL, neighbours in a picture have the same time, and time has the highest
rotary frequencies: attention to "the token before", which such a decoder knows from text, does not
work on visual tokens (docs/decisions/0058-raster-positions.md).

Source: Qwen2.5-VL report, section 2.1.3; parity: tests/parity/test_integers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finesight.errors import LayoutError


@dataclass(frozen=True, slots=True)
class VisionSpan:
    """The box one picture or video spans.

    Attributes:
        cells: frame pairs, cell rows, cell columns (merged: the patch grid halved).
        position_seconds: second of each frame pair from the clip's start; empty for a picture,
            whose time is 0.
    """

    cells: tuple[int, int, int]
    position_seconds: tuple[float, ...] = ()

    @property
    def num_tokens(self) -> int:
        """Visual tokens of the box."""
        return self.cells[0] * self.cells[1] * self.cells[2]


def mrope_position_ids(
    runs: Sequence[int | VisionSpan], *, tokens_per_second: int, raster: bool = False
) -> tuple[Tensor, int]:
    """Position ids of one sample.

    Args:
        runs: in reading order, either a number of text tokens or the box of a picture or video.
        tokens_per_second: positions per second of video.
        raster: time counts visual tokens instead of seconds (`TextConfig.raster_positions`).

    Returns:
        int64[3, L] positions, and the delta to add to a token's index once generation starts.

    Raises:
        LayoutError: the number of seconds is not that of the frame pairs.
    """
    lengths = [run if isinstance(run, int) else run.num_tokens for run in runs]
    positions = np.empty((3, sum(lengths)), dtype=np.int64)
    filled = following = 0
    for run, length in zip(runs, lengths, strict=True):
        place = positions[:, filled : filled + length]
        if isinstance(run, int):
            place[:] = np.arange(following, following + length)
            following += length
        else:
            largest = _number_box(place, run, tokens_per_second, raster=raster)
            place += following
            following += largest + 1
        filled += length
    return torch.from_numpy(positions), following - filled


def _number_box(
    place: np.ndarray, span: VisionSpan, tokens_per_second: int, *, raster: bool
) -> int:
    """Write the positions of one box, from 0, into int64[3, M]; returns the largest."""
    pairs, rows, columns = span.cells
    times = temporal_positions(span.position_seconds or (0.0,), tokens_per_second)
    if len(times) != pairs:
        raise LayoutError(f"{pairs} frame pairs have {len(times)} position seconds")
    box = place.reshape(3, pairs, rows, columns)  # a view: only the last axis is split
    box[0] = times[:, None, None]
    box[1] = np.arange(rows)[:, None]
    box[2] = np.arange(columns)
    if raster:
        place[0] = np.arange(span.num_tokens)
        return span.num_tokens - 1
    return max(int(times[-1]), rows - 1, columns - 1)


def temporal_positions(position_seconds: Sequence[float], tokens_per_second: int) -> np.ndarray:
    """Time position of each frame pair, int64[T], counted from the video's first."""
    return np.floor(np.asarray(position_seconds, dtype=np.float64) * tokens_per_second).astype(
        np.int64
    )


def colliding_pairs(position_seconds: Sequence[float], tokens_per_second: int) -> int:
    """Number of frame pairs with the same time position as the pair before."""
    times = temporal_positions(position_seconds, tokens_per_second)
    return int((np.diff(times) == 0).sum())
