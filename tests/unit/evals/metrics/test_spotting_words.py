# SPDX-License-Identifier: Apache-2.0
"""Words with their boxes, and outlines, worked out by hand."""

from __future__ import annotations

import pytest

from finesight.evals.metrics.spotting import outline_similarity, spotting_hmean

BOX, FAR, FARTHER = (0, 0, 20, 10), (100, 100, 140, 120), (300, 0, 320, 10)


def score(said: str, there: str, box=BOX) -> float:
    return spotting_hmean([(box, said)], [(BOX, there)])


@pytest.mark.parametrize(
    ("said", "there", "is_right"),
    [
        ("word", "word", True),
        ("Word", "wORD", True),
        ("word", "word!", True),
        ("word", "(word", True),
        ("word", "(word)", True),
        ("(word)", "(word)", True),
        ("(word", "(word)", True),
        ("word!", "word", False),  # a mark may be left out, not made up
        ("word", "word!!", False),
        ("word", "((word", False),
        ("ord", "word", False),  # only marks may be left out
        ("wor", "word", False),
        ("or", "word", False),
        ("word", "word-", False),
    ],
)
def test_one_mark_at_either_end_may_be_missing(said, there, is_right):
    assert score(said, there) == float(is_right)


@pytest.mark.parametrize(
    ("box", "is_pair"),
    [
        ((0, 0, 20, 10), True),
        ((0, 0, 11, 10), True),  # .55
        ((0, 0, 10, 10), False),  # exactly one half is not enough
        (FAR, False),
    ],
)
def test_more_than_half_makes_a_pair(box, is_pair):
    assert score("word", "word", box) == float(is_pair)


def test_each_word_is_used_once():
    gold = [(BOX, "a"), (FAR, "b"), (FARTHER, "c")]
    assert spotting_hmean(gold, gold) == 1.0
    assert spotting_hmean(gold[:2], gold) == pytest.approx(2 * 2 / 5)
    assert spotting_hmean([*gold, (BOX, "a")], gold) == pytest.approx(2 * 3 / 7)
    assert spotting_hmean([(BOX, "a")], [(BOX, "a"), (BOX, "a")]) == pytest.approx(2 / 3)


def test_the_first_box_over_a_place_is_its_pair_whatever_it_says():
    assert spotting_hmean([(BOX, "x"), (BOX, "a")], [(BOX, "a")]) == 0.0
    assert spotting_hmean([(BOX, "a"), (BOX, "x")], [(BOX, "a")]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ([], []),
        ([], [(BOX, "a")]),
        ([(BOX, "a")], []),
        ([(BOX, "a")], [(BOX, "###")]),
        ([((0, 0, float("nan"), 1), "a")], [(BOX, "a")]),
    ],
)
def test_nothing_to_compare_scores_nothing(said, there):
    assert spotting_hmean(said, there) == 0.0


REGION = (30, 40, 50, 60)
"""A region that nobody is asked to read."""


@pytest.mark.parametrize(
    ("extra", "is_ignored"),
    [
        (REGION, True),
        ((32, 42, 40, 48), True),  # within
        ((30, 40, 70, 50), False),  # exactly half of it
        ((30, 40, 69, 50), True),  # 20 of 39 columns
        ((30, 50, 40, 69), True),  # 10 of 19 rows
        ((30, 50, 40, 71), False),
        ((11, 40, 50, 50), True),
        ((9, 40, 50, 50), False),
        ((30, 21, 40, 60), True),
        ((30, 19, 40, 60), False),
        ((60, 70, 80, 90), False),  # beside it on both sides
        ((60, 40, 80, 60), False),
        ((30, 70, 50, 90), False),
        ((45, 45, 45, 45), False),  # no area
        ((30.0, 40.0, 30.5, 40.5), True),  # less than a pixel
    ],
)
def test_words_within_a_region_of_nobody_do_not_count(extra, is_ignored):
    gold = [(BOX, "a"), (REGION, "###")]
    found = spotting_hmean([(BOX, "a"), (extra, "x")], gold)
    assert found == pytest.approx(1.0 if is_ignored else 2 / 3)


@pytest.mark.parametrize(
    ("said", "there", "similarity"),
    [
        # root, titles, "# A" and its line make four nodes
        ("# A\nx", "# A\nx", 1.0),
        ("# B\ny", "# A\nx", 1.0),  # words do not matter
        ("# A", "# A\nx", 3 / 4),
        ("# A\nx\ny", "# A\nx", 4 / 5),
        ("x", "# A\nx", 3 / 4),  # a heading is missing
        ("# A\nx", "", 2 / 4),  # a heading too many, and a line where a blank one is
        (
            "# A\n# A\nx\ny",
            "# A\nx\n# A\ny",
            1.0,
        ),  # lines hang below the first heading of these words
        ("# A\nx\n# B\ny\nz", "# A\nx\ny\n# B\nz", 5 / 7),  # a line goes here and comes there
        ("#\nx", "x", 3 / 4),  # a heading without words takes no lines, but is there
        ("**x**", "x", 1.0),
        ("***", "x", 2 / 3),  # nothing is left of it
    ],
)
def test_outlines(said, there, similarity):
    assert outline_similarity(said, there) == pytest.approx(similarity)
