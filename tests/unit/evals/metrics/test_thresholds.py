# SPDX-License-Identifier: Apache-2.0
"""What reaches a threshold exactly is a hit."""

from __future__ import annotations

import pytest

from finesight.evals.metrics.boxes import are_finite, box_hit, iou, point_in_box
from finesight.evals.metrics.detection import f1_at

WHOLE = (0, 0, 10, 10)
HALF = (0, 0, 10, 5)
THREE_QUARTERS = (0, 0, 10, 7.5)
LESS_THAN_HALF = (0, 0, 10, 4.999)


@pytest.mark.parametrize(
    ("box", "threshold", "hit"),
    [
        (HALF, 0.5, True),
        (LESS_THAN_HALF, 0.5, False),
        (THREE_QUARTERS, 0.75, True),
        (THREE_QUARTERS, 0.751, False),
        (WHOLE, 1.0, True),
    ],
)
def test_an_overlap_at_the_threshold(box, threshold, hit):
    assert box_hit(box, WHOLE, threshold) is hit
    assert f1_at([([("cat", box)], [("cat", WHOLE)])], threshold=threshold) == float(hit)


def test_the_usual_threshold_is_a_half():
    for box, hit in ((HALF, True), (LESS_THAN_HALF, False)):
        assert box_hit(box, WHOLE) is hit
        assert f1_at([([("cat", box)], [("cat", WHOLE)])]) == float(hit)


def test_f1_over_two_pictures():
    """3 boxes said, 5 there, 2 hits: 2 * 2 / (3 + 5)."""
    images = [
        ([("cat", WHOLE), ("dog", HALF)], [("Cat", WHOLE), ("cat", (50, 50, 60, 60))]),
        ([("DOG", HALF)], [("dog", WHOLE), ("dog", (90, 0, 99, 9)), ("cat", WHOLE)]),
    ]
    assert f1_at(images) == pytest.approx(0.5)


def test_a_box_said_twice_hits_once():
    assert f1_at([([("cat", WHOLE), ("cat", WHOLE)], [("cat", WHOLE)])]) == pytest.approx(2 / 3)


def test_a_truth_is_hit_once():
    assert f1_at([([("cat", WHOLE)], [("cat", WHOLE), ("cat", WHOLE)])]) == pytest.approx(2 / 3)


def test_the_best_overlap_is_taken_first():
    """In the order said, the first box would take the second truth from the better one and leave it none."""
    first, second = (0, 0, 10, 10), (0, 3, 10, 13)
    between = (0, 2, 10, 12)
    assert f1_at([([("a", between), ("a", second)], [("a", second), ("a", first)])]) == 1.0


@pytest.mark.parametrize(
    ("images", "score"),
    [
        ([], 0.0),
        ([([], [])], 0.0),
        ([([("cat", WHOLE)], [])], 0.0),
        ([([], [("cat", WHOLE)])], 0.0),
        ([([("cat", WHOLE)], [("dog", WHOLE)])], 0.0),
    ],
)
def test_f1_without_a_hit(images, score):
    assert f1_at(images) == score


@pytest.mark.parametrize("point", [(0, 5), (10, 5), (5, 0), (5, 10), (0, 0), (10, 10), (5, 5)])
def test_a_point_on_the_edge_is_inside(point):
    assert point_in_box(point, WHOLE)


@pytest.mark.parametrize("point", [(-0.01, 5), (10.01, 5), (5, -0.01), (5, 10.01), (5,), (5, 5, 5)])
def test_a_point_outside_or_no_point(point):
    assert not point_in_box(point, WHOLE)


def test_a_point_in_no_box():
    assert not point_in_box((0, 0), (0, 0, 10))


def test_what_is_no_box_overlaps_nothing():
    assert iou(WHOLE, (0, 0, 10)) == 0.0
    assert iou((0, 0, 10, 10, 1), WHOLE) == 0.0
    assert iou(WHOLE, (0, 0, float("nan"), 10)) == 0.0
    assert iou(WHOLE, (10, 0, 0, 10)) == 0.0
    assert iou(WHOLE, (0, 10, 10, 0)) == 0.0
    assert iou(WHOLE, (0, 0, 0, 10)) == 0.0
    assert iou((0, 0, 1e200, 1e200), (0, 0, 1e200, 1e200)) == 0.0  # areas that no float holds


def test_numbers_that_a_float_can_hold():
    assert are_finite((1, 2.5, -3))
    assert not are_finite((1, float("inf")))
    assert not are_finite((10**400, 1))
