# SPDX-License-Identifier: Apache-2.0
"""Boxes and times come home: to the original pixels, to the true seconds."""

from __future__ import annotations

import pytest

from finesight.errors import LayoutError
from finesight.geometry import Box, Clock, Point, Resize, Size, iou


def test_iou_of_half_overlapping_boxes():
    assert iou(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Box(0, 0, 10, 10), Box(10, 0, 20, 10)),  # they touch
        (Box(0, 0, 10, 10), Box(50, 50, 60, 60)),
        (Box(3, 3, 3, 3), Box(3, 3, 3, 3)),  # no area at all
        (Box(9, 9, 1, 1), Box(0, 0, 10, 10)),  # corners swapped
    ],
)
def test_iou_without_overlap_is_zero(first, second):
    assert iou(first, second) == 0.0


def test_a_box_has_area_center_and_inside():
    box = Box(10, 20, 30, 60)
    assert (box.width, box.height, box.area) == (20, 40, 800)
    assert box.center == Point(20, 40)
    assert box.contains(Point(10, 20))
    assert not box.contains(Point(9.9, 20))


def test_a_box_is_cut_to_the_picture_and_flagged():
    size = Size(100, 50)
    assert Box(-5, 0, 40, 60).clipped(size) == (Box(0, 0, 40, 50), True)
    assert Box(0, 0, 100, 50).clipped(size) == (Box(0, 0, 100, 50), False)


def test_a_box_comes_home_from_the_resized_picture():
    resize = Resize(original=Size(1000, 600), resized=Size(500, 300))
    assert resize.to_original(Box(10, 20, 30, 40)) == (Box(20, 40, 60, 80), False)
    assert resize.to_original(Box(10, 20, 999, 40)) == (Box(20, 40, 1000, 80), True)
    assert resize.point_to_original(Point(250, 150)) == (Point(500, 300), False)
    assert resize.point_to_original(Point(-1, 150)) == (Point(0, 300), True)
    assert resize.to_resized(Box(20, 40, 60, 80)) == Box(10, 20, 30, 40)
    assert resize.point_to_resized(Point(500, 300)) == Point(250, 150)


@pytest.mark.parametrize("size", [Size(0, 5), Size(5, 0), Size(-1, 5)])
def test_a_picture_without_pixels_is_refused(size):
    with pytest.raises(LayoutError, match="side under 1 pixel"):
        Resize(original=size, resized=Size(28, 28)).check()


def test_a_time_between_frames_is_interpolated():
    clock = Clock(model_seconds=(0.0, 1.0, 2.0), source_seconds=(60.0, 61.0, 63.0))
    clock.check()
    assert clock.to_source(1.5) == (62.0, False)
    assert clock.to_source(0.0) == (60.0, False)


def test_the_last_frame_lasts_as_long_as_the_step_before_it():
    clock = Clock(model_seconds=(0.0, 1.0, 2.0), source_seconds=(60.0, 61.0, 63.0))
    assert clock.to_source(2.5) == (64.0, False)
    assert clock.to_source(3.0) == (65.0, False)
    assert clock.to_source(9.0) == (65.0, True)
    assert clock.to_source(-1.0) == (60.0, True)


def test_a_repeated_padding_frame_adds_no_time():
    clock = Clock(model_seconds=(0.0, 0.5, 1.0, 1.5), source_seconds=(0.0, 2.0, 4.0, 4.0))
    assert clock.to_source(1.5) == (6.0, False)
    assert clock.to_source(1.6) == (6.0, True)


def test_a_clock_of_one_frame_knows_one_time():
    clock = Clock(model_seconds=(0.0,), source_seconds=(7.0,))
    assert clock.to_source(0.0) == (7.0, False)
    assert clock.to_source(1.0) == (7.0, True)


@pytest.mark.parametrize(
    ("model_seconds", "source_seconds", "said"),
    [
        ((0.0, 1.0), (0.0,), "2 model times and 1 source times"),
        ((), (), "0 model times"),
        ((0.0, 1.0, 0.5), (0.0, 1.0, 2.0), "model clock runs backwards at frame 2"),
        ((0.0, 1.0), (5.0, 4.0), "source clock runs backwards at frame 1"),
    ],
)
def test_a_clock_that_cannot_be_is_refused(model_seconds, source_seconds, said):
    with pytest.raises(LayoutError, match=said):
        Clock(model_seconds=model_seconds, source_seconds=source_seconds).check()
