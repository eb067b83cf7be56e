# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from finesight.errors import EvalError
from finesight.evals.metrics.boxes import box_hit, iou, point_in_box
from finesight.evals.metrics.detection import coco_average_precision, f1_at
from finesight.evals.metrics.intervals import temporal_iou
from finesight.evals.metrics.points import point_bench_binary, point_bench_count, pointing_f1

NAN = math.nan
A, B = ("thing", (0, 0, 20, 20)), ("thing", (50, 50, 70, 70))
NOTHING_THERE = ("thing", (100, 100, 120, 120))


def _shifted(pixels):
    return [(label, (x1 + pixels, y1, x2 + pixels, y2)) for label, (x1, y1, x2, y2) in (A, B)]


def test_overlap():
    assert iou((0, 0, 10, 10), (0, 0, 10, 5)) == 0.5
    assert iou((0, 0, 10, 10), (5, 5, 15, 15)) == pytest.approx(0.1429, abs=5e-5)
    assert iou((50, 50, 150, 150), (60, 60, 140, 140)) == 0.64
    assert box_hit((0, 0, 10, 10), (0, 0, 10, 5))
    assert not box_hit((0, 0, 10, 10), (5, 5, 15, 15))


@pytest.mark.parametrize(
    "box",
    [
        *((NAN, 0, 1, 1), (10, 10, 0, 0), (0, 0, math.inf, 1), (), (1, 2, 3), (0, 0, 0, 0)),
        *((10**400, 0, 1, 1), (-1e300, -1e300, 1e300, 1e300), (10, 0, 0, 10), (0, 10, 10, 0)),
    ],
)
def test_what_is_no_box_overlaps_nothing(box):
    assert iou(box, box) == 0.0
    assert iou(box, (0, 0, 10, 10)) == 0.0
    assert iou((0, 0, 10, 10), box) == 0.0
    assert not box_hit(box, (0, 0, 10, 10))


def test_edges_belong_to_a_box():
    box = (10, 10, 20, 20)
    assert point_in_box((20, 20), box)
    assert not point_in_box((20.5, 15), box)
    assert not point_in_box((NAN, 15), box)
    assert not point_in_box((), box)


@pytest.mark.parametrize(
    ("pred", "scores"),
    [
        ([A, B], (1, 1, 1)),
        ([A], (0.505, 0.505, 0.505)),
        ([A, B, NOTHING_THERE], (1, 1, 1)),
        ([NOTHING_THERE, A, B], (0.6667, 0.6667, 0.6667)),
        (_shifted(2), (0.7, 1, 1)),
        ([A, A, B], (0.835, 0.835, 0.835)),
        ([], (0, 0, 0)),
        ([("thing", (NAN, 0, 1, 1)), ("thing", ())], (0, 0, 0)),
    ],
)
def test_average_precision_depends_on_order(pred, scores, capsys):
    found = coco_average_precision([(pred, [A, B])])
    assert tuple(found.values()) == pytest.approx(scores, abs=5e-4)
    assert list(found) == ["ap", "ap50", "ap75"]
    assert capsys.readouterr().out == ""


def test_pictures_without_an_answer_lower_recall():
    assert coco_average_precision([([A], [A]), ([], [A])])["ap"] == pytest.approx(0.505, abs=5e-4)


def test_labels_beyond_the_classes_are_dropped():
    stray = ("other", (0, 0, 5, 5))
    assert coco_average_precision([([stray, A], [A])])["ap"] == pytest.approx(1.0)
    found = coco_average_precision([([("THING", A[1])], [A])], classes=["Thing", "absent"])
    assert found["ap"] == pytest.approx(1.0)  # a class that is nowhere has no precision


def test_f1_knows_no_order():
    assert f1_at([([A, B, NOTHING_THERE], [A, B])]) == pytest.approx(0.8)
    assert f1_at([([NOTHING_THERE, A, B], [A, B])]) == pytest.approx(0.8)
    assert f1_at([([A], [A, B])]) == pytest.approx(2 / 3)
    assert f1_at([(_shifted(10), [A, B])]) == 0.0
    assert f1_at([(_shifted(10), [A, B])], threshold=0.3) == 1.0
    assert f1_at([([], [])]) == 0.0


@pytest.mark.parametrize(
    ("said", "there", "score"),
    [
        ((24.3, 30.4), (24.3, 30.4), 1.0),
        ((5, 15), (0, 10), 1 / 3),
        ((0, 5), (0, 10), 0.5),
        ((20, 10), (10, 20), 1.0),
        ((0, 1), (5, 6), 0.0),
        ((NAN, 1), (0, 1), 0.0),
        ((0, math.inf), (0, 1), 0.0),
        ((), (0, 1), 0.0),
        ((3, 3), (3, 3), 0.0),
    ],
)
def test_stretches_of_time(said, there, score):
    assert temporal_iou(said, there) == pytest.approx(score)
    assert temporal_iou(there, said) == pytest.approx(score)


def _mask(*rows):
    return np.array([[sign == "x" for sign in row] for row in rows])


def test_points_are_matched_before_they_are_judged():
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10)]
    gold = [(5, 5), (25, 5)]
    assert pointing_f1([(24, 6), (4, 4)], gold, boxes) == (1.0, 1.0, 1.0)
    assert pointing_f1([(4, 4), (5, 6)], gold, boxes) == (0.5, 0.5, 0.5)
    precision, recall, f1 = pointing_f1([(4, 4), (25, 5), (90, 90)], gold, boxes)
    assert (precision, recall) == (pytest.approx(2 / 3), 1.0)
    assert f1 == pytest.approx(0.8)


def test_points_where_there_is_nothing():
    assert pointing_f1([], [], []) == (1.0, 1.0, 1.0)
    assert pointing_f1([(1, 1)], [], []) == (0.0, 0.0, 0.0)
    assert pointing_f1(None, [(1, 1)], [(0, 0, 2, 2)]) == (0.0, 0.0, 0.0)
    assert pointing_f1(None, [], []) == (0.0, 0.0, 0.0)


def test_points_are_rounded_to_pixels_of_a_mask():
    mask = _mask("...", ".x.", "...")
    assert pointing_f1([(1.4, 0.6)], [(1, 1)], [mask]) == (1.0, 1.0, 1.0)
    assert pointing_f1([(1.6, 1)], [(1, 1)], [mask])[2] == 0.0
    for outside in ((-5, 1), (1, 99), (NAN, 1), (1e300, 1)):
        assert pointing_f1([outside], [(1, 1)], [mask])[2] == 0.0


def test_points_and_regions_come_in_pairs():
    with pytest.raises(EvalError, match="1 points are meant and 2"):
        pointing_f1([(1, 1)], [(1, 1)], [(0, 0, 1, 1)] * 2)


def test_point_bench():
    mask = _mask("xx.", "...", "..x")
    assert point_bench_binary([(0, 0), (1, 1)], mask)
    assert not point_bench_binary([(1, 1), (0, 0)], mask)
    assert not point_bench_binary(None, mask)
    assert not point_bench_binary([], mask)
    assert point_bench_count([(0, 0), (2, 2)], mask, 2)
    assert not point_bench_count([(0, 0), (1, 1)], mask, 2)
    assert not point_bench_count([(0, 0)], mask, 2)
    assert not point_bench_count(None, mask, 0)
