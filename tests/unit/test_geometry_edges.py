# SPDX-License-Identifier: Apache-2.0
"""Edges, corners and unequal scales: where width and height, first and last must not be mixed up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.errors import LayoutError
from finesight.geometry import Box, Clock, Point, Resize, Size, iou

FLAT = Resize(original=Size(1000, 600), resized=Size(500, 200))
"""Twice as wide and three times as high as what the model saw."""

coordinates = st.floats(-1000, 1000, allow_nan=False)


@pytest.mark.parametrize(
    "point",
    [Point(10, 40), Point(30, 40), Point(20, 20), Point(20, 60), Point(10, 20), Point(30, 60)],
)
def test_a_box_contains_its_edges_and_corners(point):
    assert Box(10, 20, 30, 60).contains(point)


@pytest.mark.parametrize(
    "point",
    [Point(9.99, 40), Point(30.01, 40), Point(20, 19.99), Point(20, 60.01), Point(40, 10)],
)
def test_a_box_does_not_contain_what_lies_beside_it(point):
    assert not Box(10, 20, 30, 60).contains(point)


def test_each_axis_has_its_own_scale():
    assert (FLAT.scale_x, FLAT.scale_y) == (2.0, 3.0)


def test_places_of_a_flattened_picture():
    assert FLAT.point_to_original(Point(100, 100)) == (Point(200, 300), False)
    assert FLAT.point_to_resized(Point(200, 300)) == Point(100, 100)
    assert FLAT.to_original(Box(10, 20, 30, 40)) == (Box(20, 60, 60, 120), False)
    assert FLAT.to_resized(Box(20, 60, 60, 120)) == Box(10, 20, 30, 40)


def test_places_beyond_the_flattened_picture_are_cut_and_flagged():
    assert FLAT.point_to_original(Point(500, 200)) == (Point(1000, 600), False)
    assert FLAT.point_to_original(Point(501, 200)) == (Point(1000, 600), True)
    assert FLAT.point_to_original(Point(500, 201)) == (Point(1000, 600), True)
    assert FLAT.to_original(Box(-1, -2, 600, 300)) == (Box(0, 0, 1000, 600), True)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(coordinates, coordinates, coordinates, coordinates)
def test_a_box_brought_to_the_model_and_back_is_the_same(x, y, width, height):
    box = Box(x, y, x + abs(width), y + abs(height)).clipped(FLAT.original)[0]
    back, _ = FLAT.to_original(FLAT.to_resized(box))  # rounding may carry an edge over the border
    assert (back.x1, back.y1) == pytest.approx((box.x1, box.y1))
    assert (back.x2, back.y2) == pytest.approx((box.x2, box.y2))


@pytest.mark.parametrize(
    ("point", "moved"),
    [
        (Point(-1, 20), Point(0, 20)),
        (Point(101, 20), Point(100, 20)),
        (Point(30, -1), Point(30, 0)),
        (Point(30, 51), Point(30, 50)),
    ],
)
def test_a_point_is_moved_to_the_nearest_edge(point, moved):
    assert point.clipped(Size(100, 50)) == (moved, True)


@pytest.mark.parametrize("point", [Point(0, 0), Point(100, 50), Point(0.5, 49.5)])
def test_a_point_in_the_picture_stays(point):
    assert point.clipped(Size(100, 50)) == (point, False)


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        (Box(-5, 0, 40, 40), Box(0, 0, 40, 40)),
        (Box(5, -5, 40, 40), Box(5, 0, 40, 40)),
        (Box(5, 5, 140, 40), Box(5, 5, 100, 40)),
        (Box(5, 5, 40, 60), Box(5, 5, 40, 50)),
    ],
)
def test_a_box_is_flagged_whichever_corner_was_cut(box, cut):
    assert box.clipped(Size(100, 50)) == (cut, True)


def test_size_and_area():
    assert Size(3, 5).area == 15
    for width, height in ((1, 1), (1, 9), (9, 1)):
        Size(width, height).check()
    with pytest.raises(LayoutError, match="5 x 0"):
        Size(5, 0).check()


def test_both_sizes_of_a_resize_are_checked():
    Resize(Size(1, 1), Size(28, 28)).check()
    with pytest.raises(LayoutError, match="28 x 0"):
        Resize(Size(1, 1), Size(28, 0)).check()
    with pytest.raises(LayoutError, match="0 x 1"):
        Resize(Size(0, 1), Size(28, 28)).check()


def test_a_box_with_swapped_corners_has_no_area():
    assert (Box(5, 1, 2, 3).width, Box(5, 1, 2, 3).area) == (-3, 0.0)
    assert (Box(1, 5, 3, 2).height, Box(1, 5, 3, 2).area) == (-3, 0.0)
    assert Box(5, 5, 2, 2).area == 0.0  # not the product of two negative sides


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        (Box(0, 0, 10, 10), Box(0, 0, 10, 10), 1.0),
        (Box(0, 0, 10, 10), Box(0, 0, 10, 5), 0.5),
        (Box(0, 0, 10, 10), Box(5, 0, 10, 10), 0.5),
        (Box(0, 0, 10, 10), Box(2, 3, 4, 5), 0.04),
        (Box(0, 0, 4, 4), Box(2, 2, 6, 6), 4 / 28),
        (Box(0, 0, 10, 10), Box(0, 10, 10, 20), 0.0),
        (Box(0, 0, 0.5, 0.5), Box(0, 0, 0.5, 0.25), 0.5),  # a union under 1 pixel
        (Box(0, 0, 10, 10), Box(20, 20, 30, 30), 0.0),  # two negative sides make no overlap
    ],
)
def test_iou_of(first, second, share):
    assert iou(first, second) == pytest.approx(share)
    assert iou(second, first) == pytest.approx(share)


def test_times_between_unevenly_spaced_frames():
    clock = Clock(model_seconds=(0.0, 1.0, 3.0, 4.0), source_seconds=(10.0, 12.0, 13.0, 20.0))
    assert clock.to_source(0.25) == (10.5, False)
    assert clock.to_source(1.0) == (12.0, False)
    assert clock.to_source(2.0) == (12.5, False)
    assert clock.to_source(2.5) == (12.75, False)
    assert clock.to_source(3.5) == (16.5, False)
    assert clock.to_source(4.5) == (23.5, False)
    assert clock.to_source(5.0) == (27.0, False)
    assert clock.to_source(5.01) == (27.0, True)
    assert clock.to_source(-0.01) == (10.0, True)


def test_a_clock_of_two_frames():
    clock = Clock(model_seconds=(0.0, 0.5), source_seconds=(7.0, 9.0))
    assert clock.to_source(0.75) == (10.0, False)
    assert clock.to_source(1.0) == (11.0, False)


def test_a_clip_of_one_frame_repeated_knows_one_time():
    clock = Clock(model_seconds=(0.0, 0.5), source_seconds=(7.0, 7.0))
    assert clock.to_source(0.0) == (7.0, False)
    assert clock.to_source(0.5) == (7.0, True)


def test_frames_shown_at_one_time_are_no_run_backwards():
    Clock(model_seconds=(0.0, 0.0, 1.0), source_seconds=(5.0, 5.0, 5.0)).check()
    Clock(model_seconds=(0.0,), source_seconds=(5.0,)).check()


@pytest.mark.parametrize(
    ("model_seconds", "source_seconds", "said"),
    [
        ((0.0, 1.0), (0.0,), "clock has 2 model times and 1 source times"),
        ((0.0,), (0.0, 1.0), "clock has 1 model times and 2 source times"),
        ((), (), "clock has 0 model times and 0 source times"),
        ((0.0, 1.0, 0.5), (0.0, 1.0, 2.0), "model clock runs backwards at frame 2: 1.0 s then 0.5"),
        ((0.0, 1.0), (5.0, 4.0), "source clock runs backwards at frame 1: 5.0 s then 4.0"),
    ],
)
def test_a_clock_that_cannot_be(model_seconds, source_seconds, said):
    with pytest.raises(LayoutError, match=re.escape(said)):
        Clock(model_seconds=model_seconds, source_seconds=source_seconds).check()
