# SPDX-License-Identifier: Apache-2.0
import math

import jiwer
import numpy as np
import pytest

from finesight.errors import EvalError
from finesight.evals.extract.mmmu_open import is_open_correct
from finesight.evals.metrics.anls import anls, anls_raw_lengths
from finesight.evals.metrics.boxes import iou, point_in_box
from finesight.evals.metrics.chars import cer, cer_capped, wer, wer_capped
from finesight.evals.metrics.count import (
    count_error,
    count_hit,
    count_within_one,
    last_count,
)
from finesight.evals.metrics.intervals import temporal_iou
from finesight.evals.metrics.kie import kie_score
from finesight.evals.metrics.maths import is_equal, is_equal_tight
from finesight.evals.metrics.ocrbench import ocrbench_hit
from finesight.evals.metrics.relaxed import relaxed_match
from finesight.evals.metrics.vqa import normalise_answer, vqa_accuracy

HOSTILE = ("", " ", "\n" * 1000, "nan", "-inf", "\ud800", "x" * 100_000, "1" * 100_000)
PIX2STRUCT = (
    *(("abc", "abc"), ("abc", "Abc"), ("Abc", "abc"), ("100%", "96%"), ("100%", "94%")),
    *(("100%", "0.96"), ("100%", "0.94"), ("Don't", "Won't")),
)


@pytest.mark.parametrize(
    ("golds", "text", "score"),
    [
        (["Dec 3, 1998"], "dec 3,  1998", 1.0),
        (["0.28"], "0.25", 0.75),
        (["hello world"], "hello  wrld", 0.909),
        (["x", "ITC Limited"], "itc ltd", 0.636),
        (["abcd"], "a", 0.0),
        (["abcd"], "ab", 0.5),
        (["abcd"], "abcx", 0.75),
        (["abcd"], "abcx      ", 0.75),
        (["university of california"], "The answer is university of california", 0.632),
    ],
)
def test_anls(golds, text, score):
    assert anls(text, golds) == pytest.approx(score, abs=5e-4)


def test_anls_keeps_a_similarity_of_exactly_the_threshold():
    assert anls("ab", ["abcd"]) == 0.5
    assert anls("ab", ["abcd"], threshold=0.51) == 0.0


def test_anls_over_raw_lengths_rewards_blanks():
    assert anls_raw_lengths("abcx", ["abcd"]) == 0.75
    assert anls_raw_lengths("abcx      ", ["abcd"]) == pytest.approx(0.90)
    assert anls_raw_lengths("ab", ["abcd"]) == 0.5


def test_numbers_of_pix2struct():
    exact = sum(text == gold for text, gold in PIX2STRUCT)
    relaxed = sum(relaxed_match(text, gold) for text, gold in PIX2STRUCT)
    similar = sum(anls(text, [gold]) for text, gold in PIX2STRUCT)
    assert exact / 8 == 0.125
    assert relaxed / 8 == 0.625
    assert similar / 8 == pytest.approx(0.475)
    with_case = sum(anls(text, [gold], case_sensitive=True) for text, gold in PIX2STRUCT)
    assert with_case / 8 == pytest.approx((1 + 2 / 3 + 2 / 3 + 0.8) / 8)


@pytest.mark.parametrize("score", [anls, anls_raw_lengths, vqa_accuracy])
def test_no_gold_answer_is_an_error(score):
    with pytest.raises(EvalError, match="0"):
        score("x", [])


@pytest.mark.parametrize(
    ("gold", "text", "is_right"),
    [
        ("10", "10.5", True),
        ("10", "10.51", False),
        ("100", "95", True),
        ("100", "94.9", False),
        ("5%", "0.05", True),
        ("5%", "5", False),
        ("0", "0", True),
        ("0", "0.0", False),
        ("1,000", "1000", False),
        ("2019", "2020", True),
        ("Blue", "Blue.", False),
        ("Blue", "BLUE", True),
        ("-5", "5", False),
        ("12", "$12", False),
        ("nan", "5", False),
        ("5", "nan", False),
    ],
)
def test_relaxed_accuracy(gold, text, is_right):
    assert relaxed_match(text, gold) is is_right


@pytest.mark.parametrize(
    ("agreeing", "score"), [(10, 1.0), (4, 1.0), (3, 0.9), (2, 0.6), (1, 0.3), (0, 0.0)]
)
def test_vqa_accuracy_leaves_each_annotator_out(agreeing, score):
    answers = ["cat"] * agreeing + [f"other {number}" for number in range(10 - agreeing)]
    assert vqa_accuracy("cat", answers) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("two", "2"),
        ("none", "0"),
        ("sun.", "the sun"),
        ("dont", "don't"),
        ("A cat", "cat"),
        ("1,000", "1000"),
        ("north-west", "north west"),
        ("Is it?", "is it"),
        ("3.5", "3.5"),
    ],
)
def test_answers_that_mean_the_same(text, same):
    assert normalise_answer(text) == normalise_answer(same)
    assert vqa_accuracy(text, [same] * 10) == 1.0


@pytest.mark.parametrize(
    ("gold", "text", "kind", "is_hit"),
    [
        ("CENTRE", "The word is Centre.", "Regular Text Recognition", True),
        ("12", "2012", "Scene Text-centric VQA", True),
        ("x ^ { 2 }", "x^{2}", "HME100k", True),
        ("A", "a", "HME100k", False),
        ("A", "a", "Handwritten Mathematical Expression Recognition", False),
        ("CENTRE", "CENTER", "IIIT5K", False),
        ("a\nb", "A B", "docVQA", True),
        ("", "anything", "docVQA", False),
    ],
)
def test_ocrbench(gold, text, kind, is_hit):
    assert ocrbench_hit(text, [gold], kind) is is_hit


@pytest.mark.parametrize(
    ("pred", "gold", "score"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, 0.5),
        ({"a": 1, "c": 2}, {"a": 1, "b": 2}, 1 / 3),
        ({"price": "$ 5.00"}, {"price": "$5.00"}, 1.0),
        ({"a": "Two"}, {"a": ["one", "two"]}, 1.0),
        ({}, {}, 0.0),
        ({"a": None}, {"a": "x"}, 0.0),
    ],
)
def test_fields(pred, gold, score):
    assert kie_score(pred, gold) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "gold"),
    [("hello world", "hallo welt"), ("", "abc"), ("abc def ghi", "abc"), ("a b", "a b")],
)
def test_error_rates_agree_with_jiwer(text, gold):
    assert cer(text, gold) == pytest.approx(jiwer.cer(gold, text))
    assert wer(text, gold) == pytest.approx(jiwer.wer(gold, text))


def test_error_rates_are_capped_on_request():
    assert cer("abcdef", "ab") == 2.0
    assert cer_capped("abcdef", "ab") == 1.0
    assert wer("a b c d", "a") == 3.0
    assert wer_capped("a b c d", "a") == 1.0
    assert (cer("", ""), cer("x", "")) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("3", 3),
        ("three", 3),
        ("3.", 3),
        ("There are 3", 3),
        ("I see 2 rows of 4, so 8.", 8),
        ("none", 0),
        ("many", None),
        ("", None),
    ],
)
def test_the_last_number_is_the_count(text, count):
    assert last_count(text) == count


def test_counts():
    assert count_hit(3, 3)
    assert not count_hit(None, 0)
    assert [count_within_one(pred, 3) for pred in (2, 4, 5, None)] == [True, True, False, False]
    assert [count_error(pred, 3) for pred in (3, 5, None)] == [0.0, 2.0, 3.0]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:3]))
def test_hostile_texts_get_a_score(text):
    scores = [
        anls(text, ["gold"]),
        anls_raw_lengths(text, ["gold"]),
        vqa_accuracy(text, ["gold"] * 10),
        float(relaxed_match(text, "12")),
        float(ocrbench_hit(text, ["gold"], "docVQA")),
        cer_capped(text, "gold"),
        wer_capped(text, "gold"),
    ]
    assert all(math.isfinite(score) and 0 <= score <= 1 for score in scores)


ODD = (
    *(np.float64(3.5), np.float32("nan"), np.int64(7), np.bool_(True), np.str_("7"), math.nan),
    *(math.inf, None, True, 7, 3.5, 10**400, "7", "nan", "inf", "1e999", "", [1, None]),
)


@pytest.mark.parametrize("said", ODD, ids=repr)
def test_values_of_any_kind_are_compared_and_never_crash(said):
    for gold in ODD:
        for score in (
            *(anls(said, [gold]), anls_raw_lengths(said, [gold]), vqa_accuracy(said, [gold] * 10)),
            *(relaxed_match(said, gold), ocrbench_hit(said, [gold], "x"), is_equal(said, gold)),
            *(count_hit(said, gold), count_within_one(said, gold), is_equal_tight(said, gold)),
            *(kie_score({"a": said}, {"a": gold}), is_open_correct([said], [gold])),
        ):
            assert 0 <= float(score) <= 1
        for error in (cer(said, gold), wer(said, gold), count_error(said, gold)):
            assert error >= 0
        assert iou([said] * 4, [gold] * 4) == 0.0
        assert point_in_box([said, 1], [gold] * 4) in (True, False)
        assert temporal_iou([said, 1], [gold, 2]) >= 0.0


def test_numbers_of_numpy_are_read_as_those_of_python():
    assert relaxed_match(np.float64(3.5), "3.5")
    assert relaxed_match("3.4", np.float32(3.5))
    assert not relaxed_match("3", np.float64("nan"))
    assert anls(np.int64(12), ["12"]) == 1.0
    assert is_equal(np.float64(0.5), r"\frac{1}{2}")
    assert count_hit(np.int64(3), 3)
    assert not count_hit(np.float64(3.5), 3)
    assert not count_hit(3, math.nan)
    assert count_error(None, np.int64(4)) == 4.0
    assert not count_hit(10**20, 10**20 + 1)
    assert is_open_correct([np.float64(2.0)], [np.int64(2)])
