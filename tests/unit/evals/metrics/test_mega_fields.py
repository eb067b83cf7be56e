# SPDX-License-Identifier: Apache-2.0
"""Fields of MegaBench at the places where a rule turns."""

from __future__ import annotations

import pytest

from finesight.evals.metrics.mega import score_field


@pytest.mark.parametrize(
    ("metric", "said", "gold", "score"),
    [
        ("exact_str_match", "5", 5, 1),
        ("exact_str_match", 7, 7, 1),
        ("exact_str_match", "B", "A", 0),
        ("exact_str_match", "A", "A", 1),
        ("exact_str_match", "A.", "A", 1),
        ("exact_str_match", "(a)", "a", 1),
        ("exact_str_match", "12", "1", 0),  # only letters are taken from a longer answer
        ("exact_str_match", "Ab", "Abc", 0),
        ("simple_str_match", "A-B", "a b", 1),
        ("simple_str_match", "a,b", "ab", 0),
        ("exact_str_match_case_insensitive", "cats", "cat", 0),
        ("code_result_exact_str_match", "42", "42", 1),
        ("code_result_exact_str_match", "4\n2", "```python\n4\n2\n```", 1),
        ("code_result_exact_str_match", "42 ", "```\n42 \n```", 1),
        ("code_result_exact_str_match", "42", "```\n42 \n```", 0),
        ("near_str_match", "A cat", "the cat", 1),
        ("near_str_match", "abcdefghij", "abcdefghix", 0.9),
        ("near_str_match", "abcdefghi", "abcdefghx", 0),  # 8 of 9
        ("near_str_match", 5, "5", 0),
        ("near_str_match", "5", 5, 0),
        ("near_str_match", 5, 5, 0),
        ("near_str_match", "new york", "newyork", 0),  # 7 of 8
        ("near_str_match", "the old new york city", "old new york citx", 16 / 17),
        ("normalized_similarity_damerau_levenshtein", "abcd", "abxd", 0.75),
        ("normalized_similarity_damerau_levenshtein", 5, "5", 0),
        ("multi_ref_phrase", "red", "red，blue", 1),
        ("multi_ref_phrase", "blue", "red，blue", 1),
        ("multi_ref_phrase", "red, blue", "['red', 'green']", 0),
        ("multi_ref_phrase", "Green", ["red", "green"], 1),
        ("text_with_latex_expr_equality", "a, b $x+1$ c", "a b $1+x$ c", 1),
        ("text_with_latex_expr_equality", "is $x$ and $y$", "is $x$ and $y$", 1),
        ("text_with_latex_expr_equality", "is $1,000$", "is $1000$", 1),
        ("bleu", ["one two three four"], ["one two three four"], 1),
        ("bleu", ["one two three four"], "one two three four", 0),
        ("bleu", "one two three four", ["one two three four"], 0),
        ("bleu", 5, 5, 0),
        (
            "bleu",
            "one two three four five",
            "one two three four six",
            (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25,
        ),
    ],
)
def test_a_field(metric, said, gold, score):
    assert score_field(metric, said, gold) == pytest.approx(score)


def test_a_value_of_another_form_is_wrong_and_not_right():
    assert score_field("exact_str_match_case_insensitive", 5, "5") == 0.0
    assert score_field("number_rel_diff_ratio", "x", "10") == 0.0


def test_a_missing_field_scores_nothing_and_an_unknown_metric_has_no_score():
    assert score_field("exact_str_match", None, "None") == 0.0
    assert score_field("no_such_metric", "a", "a") is None
    assert score_field("no_such_metric", None, "a") is None
