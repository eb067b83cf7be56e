# SPDX-License-Identifier: Apache-2.0
"""Scores worked out by hand at the places where a rule turns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from finesight.errors import EvalError
from finesight.evals.metrics.anls import anls, anls_raw_lengths
from finesight.evals.metrics.chars import cer_capped, wer_capped
from finesight.evals.metrics.count import count_hit, count_within_one
from finesight.evals.metrics.detection import coco_average_precision
from finesight.evals.metrics.extras import required
from finesight.evals.metrics.intervals import temporal_iou
from finesight.evals.metrics.kie import kie_score
from finesight.evals.metrics.ocrbench import ocrbench_hit
from finesight.evals.metrics.points import in_region, point_bench_count, pointing_f1
from finesight.evals.metrics.relaxed import relaxed_match
from finesight.evals.metrics.vqa import normalise_answer, vqa_accuracy


def test_a_missing_library_is_named_with_what_to_do():
    with pytest.raises(EvalError) as caught, required("apted", "comparing trees"):
        raise ModuleNotFoundError
    assert caught.value.message == "apted is not installed and comparing trees needs it"
    assert caught.value.hint == "pip install apted"


def test_similarity_without_letters():
    assert anls("", [""]) == 1.0
    assert anls(" \n", ["", "x"]) == 1.0
    assert anls("", ["x"]) == 0.0


@pytest.mark.parametrize("score", [anls, anls_raw_lengths])
def test_case_and_double_blanks_are_no_difference(score):
    assert score("New York", ["NEW york"]) == 1.0
    assert score("NEW YORK", ["new york"]) == 1.0
    assert score("new  york", ["new york"]) == 1.0


def test_capped_error_rates_below_the_cap():
    assert cer_capped("abcx", "abcd") == 0.25
    assert wer_capped("a b c x", "a b c d") == 0.25


def test_a_wrong_count_is_no_hit():
    assert not count_hit(4, 3)
    assert not count_within_one(1, 3)
    assert count_hit(0, 0)


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ((0, 0.5), (0, 0.5), 1.0),  # shorter than a second
        ((0, 0.5), (0.25, 0.75), 1 / 3),
        ((0.2, 0.4), (0.4, 0.6), 0.0),
        ((0, 10, 3), (0, 10), 0.0),
    ],
)
def test_short_stretches_of_time(first, second, share):
    assert temporal_iou(first, second) == pytest.approx(share)


def test_no_answer_is_not_the_word_none():
    assert kie_score({"a": None}, {"a": "none"}) == 0.0
    assert kie_score({"a": "none"}, {"a": None}) == 0.0
    assert kie_score({"a": "A B"}, {"a": "ab"}) == 1.0


@pytest.mark.parametrize(
    ("text", "gold", "is_right"),
    [
        ("0.105", "10%", True),  # 5 percent of 0.1
        ("0.1051", "10%", False),
        ("0.0951", "10%", True),
        ("10%", "10%", True),
        ("10.6%", "10%", False),
        ("5X%", "0.05", False),
    ],
)
def test_relaxed_percentages(text, gold, is_right):
    assert relaxed_match(text, gold) is is_right


def test_a_formula_over_two_lines():
    assert ocrbench_hit("x\ny", ["xy"], "HME100k")
    assert not ocrbench_hit("x y", ["xy"], "docVQA")


# ---------------------------------------------------------------------------------------------------- detection

CAT = ("cat", (0.0, 0.0, 200.0, 200.0))


def precision_of(said, there, **options):
    return coco_average_precision([([("cat", box) for box in said], there)], **options)


@pytest.mark.parametrize(
    ("height", "ap", "ap50", "ap75"),
    [
        (200, 1.0, 1.0, 1.0),
        (104, 0.1, 1.0, 0.0),  # an overlap of .52 reaches the first of ten thresholds
        (154, 0.6, 1.0, 1.0),  # .77 reaches six of them, .75 among them
        (148, 0.5, 1.0, 0.0),  # .74 does not
        (98, 0.0, 0.0, 0.0),
    ],
)
def test_average_precision_of_one_box(height, ap, ap50, ap75):
    found = precision_of([(0, 0, 200, height)], [CAT])
    assert (found["ap"], found["ap50"], found["ap75"]) == pytest.approx((ap, ap50, ap75))


def test_classes_that_are_not_asked_for_do_not_count():
    there = [CAT, ("dog", (300, 300, 500, 500))]
    assert precision_of([CAT[1]], there)["ap"] == pytest.approx(0.5)
    assert precision_of([CAT[1]], there, classes=["cat"])["ap"] == pytest.approx(1.0)
    assert precision_of([CAT[1]], there, classes=["dog"])["ap"] == 0.0


def test_boxes_thinner_than_a_pixel():
    thin, wide = (0.0, 0.0, 0.5, 10.0), (0.0, 0.0, 1.0, 10.0)
    assert precision_of([wide], [("cat", thin)])["ap"] == pytest.approx(0.1)
    assert precision_of([(0, 0, 10, 1)], [("cat", (0.0, 0.0, 10.0, 0.5))])["ap"] == pytest.approx(
        0.1
    )


def test_the_301st_box_still_counts():
    wrong = [(1000.0 + n, 1000.0, 1010.0 + n, 1010.0) for n in range(300)]
    assert precision_of([*wrong, CAT[1]], [CAT])["ap"] == pytest.approx(1 / 301, rel=1e-3)


def test_places_away_from_the_corner():
    box = (300.0, 400.0, 500.0, 700.0)
    assert precision_of([box], [("cat", box)])["ap"] == pytest.approx(1.0)
    assert precision_of([(300, 400, 500, 550)], [("cat", box)])["ap50"] == pytest.approx(1.0)
    assert precision_of([(300, 400, 500, 540)], [("cat", box)])["ap50"] == 0.0


# ---------------------------------------------------------------------------------------------------- points


def test_a_point_that_is_no_number_takes_nobodys_place():
    nan, inf = math.nan, math.inf
    box = [(-1, -1, 1, 1)]
    for lost in ((nan, nan), (inf, 0), (-inf, 0), (0, -inf)):
        assert pointing_f1([lost, (0.5, 0)], [(0, 0)], box) == (
            0.5,
            1.0,
            pytest.approx(2 / 3),
        )


def test_points_far_beyond_the_picture_do_not_overflow():
    boxes = [(0, 0, 10, 10), (20, 20, 30, 30)]
    said = [(1e300, -1e300), (25, 25)]
    assert pointing_f1(said, [(5, 5), (25, 25)], boxes) == (0.5, 0.5, 0.5)


def test_a_mask_begins_at_its_first_pixel_and_ends_at_its_last():
    mask = np.ones((2, 3), dtype=bool)
    for inside in ((0, 0), (2, 1), (2.4, 1.4), (-0.4, -0.4)):
        assert in_region(inside, mask)
    for outside in ((3, 0), (0, 2), (-1, 0), (0, -1), (0,), (0, 0, 0), (math.nan, 0)):
        assert not in_region(outside, mask)


def test_rows_and_columns_of_a_mask():
    mask = np.zeros((2, 3), dtype=bool)
    mask[0, 2] = True
    assert in_region((2, 0), mask)
    assert not in_region((0, 2), mask)


def test_a_box_given_as_an_array_is_a_box():
    assert in_region((5, 5), np.array([0, 0, 10, 10]))
    assert not in_region((15, 5), np.array([0, 0, 10, 10]))


def test_no_points_for_no_things():
    assert point_bench_count([], np.zeros((2, 2), dtype=bool), 0)
    assert not point_bench_count([(0, 0)] * 2, np.ones((2, 2), dtype=bool), 1)


# ---------------------------------------------------------------------------------------------------- VQA


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Yes, it is.", "yes it is"),
        ("is it?", "is it"),
        ("the dog's bone", "dog 's bone"),
        ("red\nblue\tgreen", "red blue green"),
        ("one two ten none", "1 2 10 0"),
        ("an apple a day", "apple day"),
        ("left-right", "left right"),  # between letters a mark becomes a blank
        ("left - right", "left right"),  # beside a blank it vanishes
        ("left- right a-b", "left right ab"),  # and then everywhere
        ("x-y 1,000", "x y 1000"),
        ("3.14.", "3.14"),
        ("mr. x", "mr x"),
        ("U.S.", "us"),
        ("(c) x/y", "c x y"),
        ("`a`", ""),  # the letter left over is an article
        ("Red\nblue\tgreen?", "red blue green"),
        ("a?b", "ab"),
        ("dont", "don't"),
        ("wouldnt've", "wouldn't've"),
        ("wouldn'tve", "wouldn't've"),
        ("wouldntve", "wouldn't've"),
        ("don't", "don't"),
    ],
)
def test_normal_forms(text, normal):
    assert normalise_answer(text) == normal


def test_the_table_of_apostrophes():
    """Every spelling that lacks one or all apostrophes of a contraction leads to it."""
    said = ("youdve", "you'dve", "youd've", "yalldve", "oclock", "cat")
    normal = [normalise_answer(text) for text in said]
    assert normal == [*["you'd've"] * 3, "y'all'd've", "o'clock", "cat"]


@pytest.mark.parametrize(
    ("answers", "score"),
    [
        (["cat"], 0.0),  # nobody is left once the one is left out
        (["cat", "cat"], 1 / 3),
        (["cat"] * 4, 1.0),
        (["cat"] * 3, 2 / 3),
        (["dog"] * 10, 0.0),
    ],
)
def test_agreement_of_few_annotators(answers, score):
    assert vqa_accuracy("cat", answers) == pytest.approx(score)
