# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from finesight.evals.metrics.mega import SUPPORTED, score_field

HOSTILE = (None, "", "\ud800", "nan", "[" * 5000, "1" * 100_000, {"a": []}, [None], math.nan, 7)


@pytest.mark.parametrize(
    ("metric", "said", "gold", "score"),
    [
        ("exact_str_match", "cat", "cat", 1),
        ("exact_str_match", "cat", "Cat", 0),
        ("exact_str_match", "(A) a cat", "A", 1),
        ("exact_str_match", 5, "5", 1),
        ("exact_str_match_case_insensitive", "CAT", "cat", 1),
        ("code_result_exact_str_match", "42", "```\n42\n```", 1),
        ("simple_str_match", "U.S. - a", "usa", 1),
        ("near_str_match", "the Café", "cafe", 1),
        ("near_str_match", "coffee", "cafe", 0),
        ("normalized_similarity_damerau_levenshtein", "abcd", "abdc", 0.75),
        ("multi_ref_phrase", "Blue", "['red'，'blue']", 1),
        ("bleu", "one two three four", "one two three four", 1),
        ("set_equality", "[1, 2]", "(2, 1)", 1),
        ("set_equality", "a, b", "b, a", 1),
        ("set_equality", "{'a', 'b'}", ["b", "a"], 1),
        ("set_equality", "[1, 2", "[1, 2]", 0),
        ("set_equality_case_insensitive", "A,b", "a,B", 1),
        ("set_equality_case_insensitive", "[1]", "[1]", 0),
        ("str_set_equality_line_break", "A\nb", "b\\na", 1),
        ("str_set_equality_comma", "None", "none", 1),
        ("set_precision", "[1, 2]", "[1, 3]", 0.5),
        ("jaccard_index", "['a', 'b']", "['b', 'c']", 1 / 3),
        ("jaccard_index", "[1, 2]", "1, 2", 1),
        ("jaccard_index", "['a', 'b']", "'a', 'b'", 1),
        ("jaccard_index", "(a, 2)", "a, 2", 1),
        ("jaccard_index_case_insensitive", [["New York"]], [["New York"]], 1),
        ("jaccard_index_case_insensitive", "['A']", "['a']", 1),
        ("jaccard_index_case_insensitive", "[['A b', 'c.']]", "[['ab', 'C']]", 1),
        ("chess_move_list_jaccard_index", "Qh7#, Nf3", "Qh7", 0.5),
        ("longest_common_list_prefix_ratio", "[1, 2, 4]", "[1, 2, 3, 4]", 0.5),
        ("sequence_equality", "[1,2]", "[1, 2]", 1),
        ("sequence_equality", "[2,1]", "[1, 2]", 0),
        ("sequence_equality", "[1, 2]", "1, 2", 1),
        ("sequence_equality_case_insensitive", "[A, b]", "a, B", 1),
        ("sequence_equality_case_insensitive", "[1, 2]", "1, 2", 1),
        ("sequence_accuracy_case_insensitive", "[A, b]", "['a', 'c']", 0.5),
        ("sequence_accuracy_case_insensitive", "[A]", "['a', 'c']", 0),
        ("dict_equality", '{"a": 1}', {"a": 1}, 1),
        ("dict_exact_str_match_agg_recall", {"a": "1"}, {"a": 1, "b": 2}, 0.5),
        ("dict_precision", {"a": 1, "b": 3}, {"a": 1, "b": 2}, 0.5),
        ("dict_set_equality_agg_jaccard", {"a": [1, 2]}, {"a": [2, 1], "b": [3]}, 0.5),
        ("dict_jaccard_agg_jaccard", {"a": [1]}, {"a": [1, 2]}, 0.5),
        ("dict_nbbox_iou_tuple_agg_jaccard", {"a": [[0, 0, 1, 1]]}, {"a": [[0, 0, 1, 0.5]]}, 0.5),
        ("nbbox_iou_tuple", "[[0, 0, 1, 1], [0, 0, 1, 0.5]]", "[(0, 0, 1, 0.5)]", 0.75),
        ("nbbox_iou_single", "[0, 0, 1, 1]", "[0, 0, 1, 0.5]", 0.5),
        ("nbbox_iou_single", "0, 0, 1, 1", "[0, 0, 1, 0.5]", 0.5),
        ("nbbox_iou_tuple", "0, 0, 1, 1", "[[0, 0, 1, 0.5]]", 0.5),
        ("sequence_coords_similarity", "(0.1, 0.1), (0, 0)", "[(0.1, 0.1), (0, 0)]", 1),
        ("nbbox_iou_sequence", "[[0, 0, 1, 1]]", "[[0, 0, 1, 1], [0, 0, 1, 1]]", 0),
        ("xml_nbbox_iou_single", "<box>0, 0, 1, 1</box>", "<box>0, 0, 1, 0.5</box>", 0.5),
        ("xml_norm_point_distance", "<point>0.5, 0.5</point>", "<point>0.5, 0.6</point>", 0.9),
        (
            "xml_norm_point_in_bbox",
            "<point>0.5, 0.5</point>",
            {"bounding_boxes": ["(0.4, 0.4, 0.6, 0.6)"]},
            1,
        ),
        ("xml_norm_point_in_bbox", "<point>0.9, 0.5</point>", [[0.4, 0.4, 0.6, 0.6]], 0),
        ("sequence_coords_similarity", "[(0.1, 0.1)]", "[(0.1, 0.1)]", 1),
        ("number_rel_diff_ratio", "9", "10", 0.9),
        ("positive_int_match", "3", "3", 1),
        ("positive_int_match", "3.0", "3", 0),
        ("positive_int_match", "0", "3", 0),
        ("normalized_rmse", "0.5", "0.55", 0.5),
        ("angle_seq_float_rmse", "[1, 2]", "[2, 3]", 0.9),
        ("general_single_numerical_match", r"x = 3\pi", "9.42", 1),
        ("general_single_numerical_match", "50%", "0.5", 1),
        ("general_single_numerical_match", "102", "100", 0),
        ("general_single_numerical_match", "[2, 1]", "[1, 2]", 1),
        ("general_single_numerical_match", "about ten", "About Ten.", 1),
        ("boxed_single_numerical_match", r"so \boxed{\frac{1}{2}}", "0.5", 1),
        ("latex_expr_equality", "(x+1)^2", "x^2+2x+1", 1),
        ("latex_expr_equality", "3π", r"3\pi", 1),
        ("latex_expr_equality", "x+1", "x+2", 0),
        ("latex_expr_equality", r"\alpha", r"\beta", 0),
        ("text_with_latex_expr_equality", "area is $x+1$", "area is $1+x$", 1),
        ("text_with_latex_expr_equality", "size is $x+1$", "area is $1+x$", 0),
    ],
)
def test_fields(metric, said, gold, score):
    assert score_field(metric, said, gold) == pytest.approx(score)
    assert metric in SUPPORTED


@pytest.mark.parametrize(
    "metric",
    [
        *("program_judge", "symbolic_planning_test", "gpt_4o_as_judge", "ascii_art_gpt4o_judge"),
        *("nli_entailment", "gleu_cn", "geo_proximity_location_dict", "constrained_generation"),
        *("unsupported", "no such metric"),
    ],
)
def test_what_is_not_supported_has_no_score(metric):
    assert score_field(metric, "a", "a") is None
    assert metric not in SUPPORTED


def test_a_count_of_none_that_is_rightly_none_is_left_out():
    assert score_field("positive_int_match", "0", "0") is None
    assert score_field("positive_int_match", "-3", "0") is None


def test_names_are_taken_in_any_case():
    assert score_field("EXACT_STR_MATCH", "a", "a") == 1.0


@pytest.mark.parametrize("metric", sorted(SUPPORTED))
@pytest.mark.parametrize("said", HOSTILE, ids=lambda value: repr(value)[:8])
def test_hostile_fields_get_a_score(metric, said):
    for gold in ("gold", "[1, 2]", "10", {"a": 1}):
        score = score_field(metric, said, gold)
        assert score is not None
        assert 0 <= score <= 1
