# SPDX-License-Identifier: Apache-2.0
"""Positions: the worked example, absolute time at slow and fast rates, and collisions."""

from __future__ import annotations

import pytest
import torch

from finesight.errors import LayoutError
from finesight.processor.mrope import (
    VisionSpan,
    colliding_pairs,
    mrope_position_ids,
    temporal_positions,
)


def test_worked_example():
    positions, delta = mrope_position_ids([3, VisionSpan((1, 2, 3)), 2], tokens_per_second=2)
    assert positions.dtype == torch.int64
    assert positions.tolist() == [
        [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7],
        [0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7],
        [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7],
    ]
    assert delta == 8 - 11


def test_worked_example_of_raster_positions():
    positions, delta = mrope_position_ids(
        [3, VisionSpan((1, 2, 3)), 2], tokens_per_second=2, raster=True
    )
    assert positions.tolist() == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        [0, 1, 2, 3, 3, 3, 4, 4, 4, 9, 10],
        [0, 1, 2, 3, 4, 5, 3, 4, 5, 9, 10],
    ]
    assert delta == 0


def test_raster_positions_of_a_video_go_on_from_frame_to_frame():
    span = VisionSpan((2, 1, 2), (0.0, 10.0))
    positions, delta = mrope_position_ids([1, span, 1], tokens_per_second=2, raster=True)
    assert positions[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert positions[2].tolist() == [0, 1, 2, 1, 2, 5]
    assert delta == 0


def test_text_alone_counts_up():
    positions, delta = mrope_position_ids([5], tokens_per_second=2)
    assert positions.tolist() == [[0, 1, 2, 3, 4]] * 3
    assert delta == 0


def test_nothing():
    positions, delta = mrope_position_ids([], tokens_per_second=2)
    assert positions.shape == (3, 0)
    assert delta == 0


def test_text_after_a_long_video_starts_past_its_last_second():
    span = VisionSpan((3, 1, 1), (0.0, 4.5, 10.0))
    positions, delta = mrope_position_ids([1, span, 1], tokens_per_second=2)
    assert positions[0].tolist() == [0, 1, 10, 21, 22]
    assert positions[1].tolist() == [0, 1, 1, 1, 22]
    assert delta == 23 - 5


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (0.25, [0, 16, 32, 48]),
        (0.3, [0, 13, 26, 40]),  # 40, where float32 gives 39
        (1, [0, 4, 8, 12]),
        (2, [0, 2, 4, 6]),
        (3, [0, 1, 2, 4]),
        (4, [0, 1, 2, 3]),  # all 0 if the step is cut to a whole number first
        (8, [0, 0, 1, 1]),
    ],
)
def test_absolute_time(fps, expected):
    seconds = [2 * index / fps for index in range(4)]
    assert temporal_positions(seconds, 2).tolist() == expected


def test_other_clock_rates():
    assert temporal_positions([0, 1.5, 2], 25).tolist() == [0, 37, 50]


@pytest.mark.parametrize(("fps", "colliding"), [(2, 0), (4, 0), (5, 2), (8, 4), (10, 5)])
def test_collisions_are_counted(fps, colliding):
    assert colliding_pairs([2 * index / fps for index in range(9)], 2) == colliding


def test_one_second_per_pair():
    with pytest.raises(LayoutError, match="3 frame pairs have 2 position seconds"):
        mrope_position_ids([VisionSpan((3, 1, 1), (0.0, 1.0))], tokens_per_second=2)
