# SPDX-License-Identifier: Apache-2.0
"""Types of OCRBench v2 at the places where a rule turns."""

from __future__ import annotations

import pytest

from finesight.evals.metrics.ocrbench_v2 import official_total, score_v2

FIVE = "one two three four five"


@pytest.mark.parametrize(
    ("kind", "text", "golds", "score"),
    [
        (
            "diagram QA en",
            "a ONE two three four b",
            ["one two three four"],
            1.0,
        ),  # four words: short
        ("diagram QA en", f"so {FIVE}", [FIVE], 1 - 3 / 26),  # five are long: by edits
        ("diagram QA en", FIVE[:11], [FIVE], 0.0),  # 11 of 23 letters
        ("diagram QA en", FIVE[:12], [FIVE], 12 / 23),
        ("diagram QA en", " one\ntwo ", ["one two"], 1.0),
        ("diagram QA en", "x", ["a", "b", "x"], 1.0),
        ("diagram QA en", "x", ["x", "b"], 1.0),
        ("diagram QA en", "42", [42], 1.0),
        ("cognition VQA cn", "一 二", ["一二"], 1.0),
        ("cognition VQA cn", "前一,二,三后", ["一,二,三"], 1.0),  # up to three parts: short
        ("cognition VQA cn", "前一,二,三,四", ["一,二,三,四"], 1 - 1 / 8),
        ("cognition VQA cn", "AB", ["ab"], 1.0),
    ],
)
def test_questions(kind, text, golds, score):
    assert score_v2(kind, text, {"answers": golds}) == pytest.approx(score)


def test_one_gold_answer_need_not_be_a_list():
    assert score_v2("diagram QA en", "it is x", {"answers": "x"}) == 1.0


def test_a_choice_is_its_letters_and_the_first_gold_answer():
    def score(text: str, golds: list[str]) -> float:
        return score_v2("science QA en", text, {"answers": golds, "eval": "multiple choice"})

    assert score("B.", ["B"]) == 1.0
    assert score("1 B)", ["B"]) == 1.0
    assert score("b", ["B"]) == 0.0
    assert score("B", ["A", "B"]) == 0.0
    assert score("B", []) == 0.0


def test_case_sensitive_questions_of_chinese_keep_their_blanks():
    truth = {"answers": ["a b"], "eval": "case sensitive"}
    assert score_v2("cognition VQA cn", "x a b", truth) == 1.0
    assert score_v2("cognition VQA cn", "x ab", truth) == 0.0


@pytest.mark.parametrize(
    ("text", "golds", "score"),
    [
        ("10", ["10"], 1.0),
        ("6", ["10"], 0.6),
        ("5", ["10"], 0.0),  # half is not enough
        ("14", ["10"], 0.6),
        ("19", ["10"], 0.0),
        ("0", ["10"], 0.0),
        ("I count 12 and 10", ["10"], 0.8),  # the first number
        ("9", ["20", "10"], 0.9),
        ("9", ["10.0"], 0.9),
        ("none", ["10"], 0.0),
    ],
)
def test_counting_by_the_error(text, golds, score):
    truth = {"answers": golds, "eval": "regression"}
    assert score_v2("text counting en", text, truth) == pytest.approx(score)


def test_counting_by_the_words():
    truth = {"answers": [" Ten\nWords "], "eval": "exact match"}
    assert score_v2("text counting en", "there are ten words", truth) == 1.0
    assert score_v2("text counting en", "10", truth) == 0.0


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("[0, 0, 10, 10]", 1.0),
        ("(0,0,10,5)", 0.5),
        ("( 0 , 0 , 10 , 10 )", 1.0),
        ("[0, 0, 10, 10] or [0, 0, 10, 5]", 0.5),  # the last one
        ("[0, 0, 10, 10] of [0, 0, 1001, 1001]", 1.0),  # beyond a thousand is no box
        ("[0, 0, 1000, 1000]", 1e-4),
        ("0, 0, 10, 10", 0.0),
        ("", 0.0),
    ],
)
def test_grounding(text, score):
    assert score_v2("text grounding en", text, {"answers": [0, 0, 10, 10]}) == pytest.approx(score)
    as_text = {"answers": ["0", "0", "10", "10"]}
    assert score_v2("text grounding en", text, as_text) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"answer": "cat", "bbox": [0, 0, 10, 10]}', 1.0),
        ('{"answer": "cat"}', 0.5),
        ('{"answer": "dog", "bbox": [0, 0, 10, 10]}', 0.5),
        ('{"bbox": [0, 0, 10, 10]}', 0.5),
        ('{"answer": "cat", "bbox": [0, 0, 10, 5]}', 0.75),
        ('{"answer": "cat", "bbox": "[0, 0, 10, 10]"}', 1.0),
        ('{"answer": "cat", "bbox": [0, 0, 10]}', 0.5),
        ('{"answer": "cat", "bbox": ["a", 0, 10, 10]}', 0.5),
        ('{"answer": "cat", "bbox": []}', 0.5),
        ('{"answer": "cat", "bbox": 7}', 0.5),
        ('{"answer": "cat", "bbox": [0.9, 0.9, 10.9, 10.9]}', 1.0),  # whole thousandths
        ("cat", 0.0),
    ],
)
def test_questions_with_a_place(text, score):
    truth = {"answers": ["Cat"], "bbox": [0, 0, 10, 10]}
    assert score_v2("VQA with position en", text, truth) == pytest.approx(score)


SPOTTED = {
    "bbox": [[10, 10, 50, 12, 48, 20, 12, 18], [100, 100, 200, 100, 200, 120, 100, 120]],
    "content": ["Hello", "There"],
}


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('[[10, 10, 50, 20, "Hello"], [100, 100, 200, 120, "There"]]', 1.0),
        ("[10, 10, 50, 20, Hello] (100, 100, 200, 120, There)", 1.0),
        ("[10, 10, 50, 20, 'Hello'] [100, 100, 200, 120, \"There\"]", 1.0),
        ("[10, 10, 50, 20, Hel\nlo] [100, 100, 200, 120, There]", 1.0),
        ('[[10, 10, 50, 20, "Hello"]]', 2 / 3),
        ('[[10, 10, 50, 20, "Hello"], [10, 10, 50, 20, "Hello"]]', 2 / 3),  # said twice
        ('[[10, 10, 50, 20, "Hello"], [10, 10, 50, 20, "Hullo"]]', 0.5),
        ('[[10, 10, 50, 20, "Hello"], [50, 10, 10, 20, "x"]]', 2 / 3),  # no box at all
        ('[[10, 10, 50, 20, "Hello"], [10, 20, 50, 10, "x"]]', 2 / 3),
        ('[[10, 10, 50, 20, "Hello"], [10, 20, 10, 30, "x"]]', 2 / 3),
        ('[[10, 10, 50, 20, "Hello"], [10, 20, 30, 20, "x"]]', 2 / 3),
        ('[[10, 10, 50, 20, "Hello"], [10, 10, 1001, 20, "x"]]', 2 / 3),
        ('[[10, 10, 50, 20, "Hello"], [500, 500, 1000, 1000, "x"]]', 0.5),
        ('[[10, 10, 50, 20, "Hello"], [1, 2]]', 2 / 3),
        ('[[10, 10, 50, 20, "Hello", 0.9]]', 2 / 3),
        ('[[10.5, 10, 50, 20, "Hello"]]', 0.0),
        ("nothing", 0.0),
    ],
)
def test_spotting(text, score):
    assert score_v2("text spotting en", text, SPOTTED) == pytest.approx(score)


def test_outlines_of_words_may_stand_under_another_name():
    truth = {"bbox": [], "bbox_list": SPOTTED["bbox"], "content": SPOTTED["content"]}
    assert score_v2("text spotting en", '[[10, 10, 50, 20, "Hello"]]', truth) == pytest.approx(
        2 / 3
    )


def test_pages_are_the_mean_of_four_scores():
    """BLEU 1, METEOR 1 - .5 / 5^3, F1 1 and no edits; then nothing in common."""
    kind = "full-page OCR en"
    assert score_v2(kind, FIVE, {"answers": [FIVE]}) == pytest.approx((4 - 0.5 / 125) / 4)
    assert score_v2(kind, "zzz", {"answers": ["aaa"]}) == 0.0
    assert score_v2(kind, "", {"answers": [FIVE]}) == 0.0
    assert score_v2(kind, FIVE, {"answers": [""]}) == 0.0
    # one word of two: BLEU 0, METEOR of one match in one chunk, F1 1/2, 1 of 3 letters wrong
    precision = recall = 0.5
    meteor = precision * recall / (0.9 * precision + 0.1 * recall) * 0.5
    expected = (0 + meteor + 0.5 + 1 - 1 / 3) / 4
    assert score_v2(kind, "a x", {"answers": ["a b"]}) == pytest.approx(expected)


def test_a_page_with_one_chinese_letter_is_cut_into_chinese_words():
    kind = "full-page OCR cn"
    same = score_v2(kind, "我们喜欢读书", {"answers": ["我们喜欢读书"]})
    assert same > 0.7  # several words; cut at blanks it would be one
    assert score_v2(kind, "我们喜欢读书x", {"answers": ["我们喜欢读书"]}) > 0.5


@pytest.mark.parametrize(
    ("text", "question", "is_right"),
    [
        ("A、B", "选择题", True),
        ("AB", "选择题", True),
        ("so A, B", "选择题", True),
        ("A和B", "选择题", True),
        ("A B", "选择题", True),
        ("A;B", "选择题", True),
        ("A-B", "选择题", False),
        ("BA", "选择题", False),
    ],
)
def test_handwritten_choices(text, question, is_right):
    truth = {"answers": ["AB"], "question": question}
    assert score_v2("handwritten answer extraction cn", text, truth) == float(is_right)


def test_handwritten_sentences_are_pages():
    truth = {"answers": [FIVE], "question": "简答题"}
    assert 0.9 < score_v2("handwritten answer extraction cn", FIVE, truth) < 1.0


def test_formulas_without_blanks_and_fonts():
    assert score_v2("formula recognition en", "so x\n= 4 .", {"answers": ["y", "x = 4"]}) == 1.0
    assert score_v2("formula recognition en", "x = 4", {"answers": ["x = 5"]}) == 0.0
    truth = {"answers": [r"\text{面积} = 4"]}
    assert score_v2("formula recognition cn", "面积=4", truth) == 1.0
    assert score_v2("formula recognition en", "面积=4", truth) == 0.0


def test_totals_of_two_languages():
    totals = official_total(
        {
            "text recognition en": [1.0, 0.0],
            "full-page OCR en": [1.0],
            "text spotting en": [0.5],
            "full-page OCR cn": [0.25],
        }
    )
    assert totals == {
        "en": pytest.approx((2 / 3 + 0.5) / 2),
        "en_by_sample": pytest.approx(2.5 / 4),
        "en/text_recognition": pytest.approx(2 / 3),
        "en/text_spotting": 0.5,
        "cn": 0.25,
        "cn_by_sample": 0.25,
        "cn/text_recognition": 0.25,
    }
    assert official_total({"text spotting en": []}) == {}
