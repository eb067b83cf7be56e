# SPDX-License-Identifier: Apache-2.0
"""Fields of MegaBench at the places where a rule turns."""

from __future__ import annotations

import math

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


LISTS = [
    ("set_equality", " [1, 2] ", [2, 1], 1),
    ("set_equality", "{1, 2}", "{2, 1}", 1),
    ("set_equality", "{a, b}", ["a", "b"], 1),
    ("set_equality", "[a, b]", ["a", "b"], 1),
    ("set_equality", "(a, b)", ["a", "b"], 1),
    ("set_equality", "[true, false]", [True, False], 1),  # JSON, not Python
    ("set_equality", "[[1, 2], [3]]", [[3], [1, 2]], 1),
    ("set_equality", [{"a": [1]}], [{"a": [1]}], 1),
    ("set_equality", [{"a": [1]}], [{"a": [2]}], 0),
    ("set_equality", {"a": 1}, {"a": 1}, 1),
    ("set_equality", {"a": [1]}, {"a": [2]}, 0),
    ("set_equality", {"a": 1}, {"b": 1}, 0),
    ("set_equality", "None", ["None"], 1),
    ("set_equality", "", [], 1),
    ("set_equality", "  ", [], 1),
    ("set_equality", "7", [7], 1),
    ("set_equality", "7", "[7]", 1),
    ("set_equality", "a", "a", 1),
    ("set_equality", "a", "b", 0),
    ("set_equality", 7, [], 1),  # no list at all spells no items
    ("set_equality_case_insensitive", "[a, B]", "[A, b]", 1),
    ("set_equality_case_insensitive", "[a]", "[b]", 0),
    ("str_set_equality_line_break", "A B\nc", "c\na b", 1),
    ("str_set_equality_line_break", "a b", "a\nb", 0),
    ("str_set_equality_line_break", "a", "b", 0),
    ("str_set_equality_comma", "A, 1", "1, a", 1),
    ("str_set_equality_comma", "a, b", "a, c", 0),
    ("set_precision", "[]", "[1]", 1),
    ("set_precision", "[1]", "[1, 2]", 1),
    ("set_precision", "[1, 2, 3, 4]", "[1]", 0.25),
    ("jaccard_index", "[]", "[]", 1),
    ("jaccard_index", "[1]", "[]", 0),
    ("jaccard_index", "[1, 2, 3]", "[2, 3, 4]", 0.5),
    ("jaccard_index_case_insensitive", "['A', 'b']", "['a', 'c']", 1 / 3),
    ("jaccard_index_case_insensitive", "[['a_b', 'c']]", "[['AB', 'd']]", 0),
    ("chess_move_list_jaccard_index", "Qh7!", "Qh7", 1),
    ("chess_move_list_jaccard_index", "Qh7#!", "Qh7", 1),
    ("chess_move_list_jaccard_index", "#Qh7", "Qh7", 0),
    ("chess_move_list_jaccard_index", "!Qh7", "Qh7", 0),
    ("longest_common_list_prefix_ratio", "[1, 2]", "[1, 2, 3, 4]", 0.5),
    ("longest_common_list_prefix_ratio", "[1, 2, 3, 4, 5]", "[1, 2]", 1),
    ("longest_common_list_prefix_ratio", "[9, 2]", "[1, 2]", 0),
    ("sequence_equality", "[1, 2, 3]", "[1, 2]", 0),
    ("sequence_equality_case_insensitive", "[a, B]", "[b, a]", 0),
    ("sequence_equality_case_insensitive", "[a, B]", "[A, c]", 0),
    ("sequence_accuracy_case_insensitive", "[a, b, c]", "[A, x, c]", 2 / 3),
    ("sequence_accuracy_case_insensitive", "[1, b]", "[1, B]", 1),
    ("dict_equality", "no object", "no object", 0),
    ("dict_equality", {"a": 1}, '{"a": 1}', 1),
    ("dict_equality", {"a": 1}, {"a": 2}, 0),
    ("dict_exact_str_match_agg_recall", "no object", {"a": 1}, 0),
    ("dict_exact_str_match_agg_recall", {"a": 1}, "no object", 0),
    ("dict_exact_str_match_agg_recall", {"a": 1}, {"a": 1}, 1),
    ("dict_exact_str_match_agg_recall", {"a": 1, "b": 9, "c": 9}, {"a": 1, "b": 2}, 0.5),
    ("dict_precision", "no object", {"a": 1}, 0),
    ("dict_precision", {"a": 1}, "no object", 0),
    ("dict_precision", {"a": 1}, {"a": 1, "b": 2}, 1),
    ("dict_precision", {"a": 1, "b": 2, "c": 3, "d": 4}, {"a": 1}, 0.25),
    ("dict_set_equality_agg_jaccard", "no object", {"a": [1]}, 0),
    ("dict_set_equality_agg_jaccard", {"a": [1]}, "no object", 0),
    ("dict_set_equality_agg_jaccard", {"a": []}, {"b": []}, 1),  # a missing key holds nothing
    ("dict_set_equality_agg_jaccard", {"a": [1]}, {"b": [1]}, 0),
    ("dict_jaccard_agg_jaccard", {"a": [1], "b": [2]}, {"a": [1], "b": [3]}, 0.5),
]
NUMBERS = [
    ("number_rel_diff_ratio", "11", "10", 0.9),
    ("number_rel_diff_ratio", "-5", "-10", 0.5),
    ("number_rel_diff_ratio", "30", "10", 0),
    ("number_rel_diff_ratio", 9, 10, 0.9),
    ("number_rel_diff_ratio", "true", "1", 0),
    ("normalized_rmse", "0.5", "0.5", 1),
    ("normalized_rmse", "0.48", "0.5", 0.8),
    ("normalized_rmse", "0.9", "0.5", 0),
    ("angle_seq_float_rmse", "[0, 10]", "[2, 4]", 0.6),
    ("angle_seq_float_rmse", "[0, 0]", "[10.5, 10.5]", 0),
    ("angle_seq_float_rmse", "[0, 0]", "[9, 9]", 0.1),
    ("angle_seq_float_rmse", "[1]", "[1, 2]", 0),
    ("angle_seq_float_rmse", "[1, 2, 3]", "[1, 2]", 0),
    ("positive_int_match", "4", "3", 0),
    ("positive_int_match", 3, "3", 1),
    ("positive_int_match", "true", "1", 0),
    ("positive_int_match", "1", "1", 1),
    ("positive_int_match", "0", "1", 0),
    ("positive_int_match", "1", "0", 0),
    ("positive_int_match", "many", "1", 0),
    ("general_single_numerical_match", "101", "100", 1),
    ("general_single_numerical_match", "101.1", "100", 0),
    ("general_single_numerical_match", "99", "100", 1),
    ("general_single_numerical_match", "-101", "-100", 1),
    ("general_single_numerical_match", "20 °C", "20", 1),
    ("general_single_numerical_match", "20°", "20", 1),
    ("general_single_numerical_match", "¥20", "20", 1),
    ("general_single_numerical_match", "20 C", "20", 1),
    ("general_single_numerical_match", "2π", "6.28", 1),
    ("general_single_numerical_match", "x \\approx 3", "3", 1),
    ("general_single_numerical_match", "x ≈ 3", "3", 1),
    ("general_single_numerical_match", "\\(x = 3\\)", "3", 1),
    ("general_single_numerical_match", "(1, 2)", "[1, 2]", 1),
    ("general_single_numerical_match", "[1, 2]", "[1, 3]", 0),
    ("general_single_numerical_match", "[1, 2, 3]", "[1, 2]", 0),
    ("general_single_numerical_match", "[1, x y]", "[1, x y]", 1),  # as texts
    ("general_single_numerical_match", "[1, x y]", "[1, x z]", 0),
    ("boxed_single_numerical_match", "5", "5", 1),
    ("boxed_single_numerical_match", "7 or \\boxed{5}", "\\boxed{5}", 1),
    ("boxed_single_numerical_match", "5 or \\boxed{7}", "5", 0),
    ("boxed_single_numerical_match", "\\boxed{5} or \\boxed{7}", "5", 1),
    ("latex_expr_equality", 5, "5", 0),
    ("latex_expr_equality", "5", 5, 0),
    ("latex_expr_equality", "\\(x+y\\)", "y+x", 1),
    ("latex_expr_equality", "x", "y", 0),
    ("latex_expr_equality", "A", "a", 0),
    ("latex_expr_equality", "2π", "2\\pi", 1),
    ("latex_expr_equality", "x^2", "x^2 + 0", 1),
    ("latex_expr_equality", "x^2", "x", 0),
    ("latex_expr_equality", "some (words", "Some (Words", 1),  # without a value: as texts
]
HALF, WHOLE, AWAY = [0, 0, 1, 0.5], [0, 0, 1, 1], [0.9, 0.9, 1, 1]
PLACES = [
    ("nbbox_iou_tuple", "[]", [WHOLE], 0),
    ("nbbox_iou_tuple", [WHOLE], [], 0),
    ("nbbox_iou_tuple", [WHOLE], [AWAY, WHOLE], 1),  # the best of all
    ("nbbox_iou_tuple", [WHOLE, HALF], [HALF], 0.75),
    ("nbbox_iou_tuple", [WHOLE, "x", [1, 2]], [WHOLE], 1),
    ("nbbox_iou_tuple", WHOLE, WHOLE, 1),
    ("nbbox_iou_single", WHOLE, HALF, 0.5),
    ("nbbox_iou_single", "nowhere", HALF, 0),
    ("nbbox_iou_sequence", [WHOLE, HALF], [WHOLE, WHOLE], 0.75),
    ("nbbox_iou_sequence", [WHOLE], [WHOLE, WHOLE], 0),
    ("nbbox_iou_sequence", [], [], 0),
    ("nbbox_iou_sequence", [HALF, WHOLE], [WHOLE, HALF], 0.5),
    ("xml_nbbox_iou_single", "<box>0, 0, 1, 1</box><box>0, 0, 1, 0.5</box>", WHOLE, 0.75),
    ("xml_nbbox_iou_single", "<box>0, 0, 1</box>", WHOLE, 0),
    ("xml_nbbox_iou_single", "<box>a, 0, 1, 1</box>", WHOLE, 0),
    ("dict_nbbox_iou_tuple_agg_jaccard", {"a": [WHOLE], "b": [WHOLE]}, {"a": [WHOLE]}, 0.5),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.5</point>", [AWAY, HALF], 1),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.6</point>", [AWAY, HALF], 0),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.5</point>", "[0, 0, 1, 0.5]", 1),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.5</point>", {"bounding_boxes": [HALF]}, 1),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.4</point>", [0, 0, 1, 0.5], 1),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.6</point>", [0, 0, 1, 0.5], 0),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.4</point>", {"bounding_boxes": [0, 0, 1, 0.5]}, 1),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.5</point>", {"bounding_boxes": "[0, 0, 1, 0.5]"}, 1),
    ("xml_norm_point_in_bbox", "0.5, 0.5", [HALF], 0),
    ("xml_norm_point_in_bbox", "<point>0.5, 0.5</point><point>0, 0</point>", [WHOLE], 0),
    ("xml_norm_point_distance", "<point>0, 0</point>", "<point>0.3, 0.4</point>", 0.5),
    ("xml_norm_point_distance", "<point>0, 0</point>", "<point>1, 1</point>", 0),
    ("xml_norm_point_distance", "<point>1.1, 0</point>", "<point>1, 0</point>", 0),
    ("xml_norm_point_distance", "<point>1, 0</point>", "<point>1.1, 0</point>", 0),
    ("xml_norm_point_distance", "<point>-0.1, 0</point>", "<point>0, 0</point>", 0),
    ("xml_norm_point_distance", [0, 1], [0, 1], 1),
    ("xml_norm_point_distance", "no point", [0, 1], 0),
    ("sequence_coords_similarity", [(0, 0)], [(0.3, 0.4)], math.exp(-5 / math.sqrt(2))),
    ("sequence_coords_similarity", [(0, 0), (1, 1)], [(0, 0)], 0),
    ("sequence_coords_similarity", [], [], 0),
    ("sequence_coords_similarity", [(0, 0), "x"], [(0, 0)], 1),  # what is no point is passed over
]


@pytest.mark.parametrize(("metric", "said", "gold", "score"), LISTS + NUMBERS + PLACES)
def test_lists_numbers_and_places(metric, said, gold, score):
    assert score_field(metric, said, gold) == pytest.approx(score)


@pytest.mark.parametrize(("said", "gold"), [("0", "0"), ("-1", "0"), ("0", "-3")])
def test_counts_of_nothing_are_left_out(said, gold):
    assert score_field("positive_int_match", said, gold) is None


def test_a_value_of_another_form_is_wrong_and_not_right():
    assert score_field("exact_str_match_case_insensitive", 5, "5") == 0.0
    assert score_field("number_rel_diff_ratio", "x", "10") == 0.0


def test_a_missing_field_scores_nothing_and_an_unknown_metric_has_no_score():
    assert score_field("exact_str_match", None, "None") == 0.0
    assert score_field("no_such_metric", "a", "a") is None
    assert score_field("no_such_metric", None, "a") is None
