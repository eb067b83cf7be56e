# SPDX-License-Identifier: Apache-2.0
"""MegaBench: the metrics of its core set that need no judge, no network and no running of programs.

A field of an answer and its gold value come as the task's parser left them: texts, or JSON values. A value of the wrong
form scores 0, as in the published code. What is not in `SUPPORTED` has no score here: programs, planning, geography by
a web service, entailment by a network, Chinese words by a segmenter, and every judge.

Differences from the published metrics: accents are taken off by Unicode
decomposition in `near_str_match`, and formulas are compared by their values at several places instead of by
algebra, those without values as texts. A value that the published code cannot take, such as a list of JSON where it
looks for a text, is compared if it can be.

Source: "MEGA-Bench" (2024), the evaluation code of the authors.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from rapidfuzz.distance import DamerauLevenshtein

from finesight.evals.metrics import mega_sets as sets
from finesight.evals.metrics import mega_values as values
from finesight.evals.metrics.extras import missing
from finesight.evals.metrics.mega_strings import exact, simple

Metric = Callable[[Any, Any], float | None]

_FENCE = re.compile(r"```[a-zA-Z]{0,20}\n?(.*?)```", re.DOTALL)
_MATHS = re.compile(r"\$([^$]{0,400})\$")
NEAR = 0.9


def score_field(metric: str, text_value: Any, gold: Any) -> float | None:
    """Score of one field, 0..1; None where the metric is not supported or leaves the field out.

    Args:
        metric: name of the metric, as the data set spells it.
        text_value: the field as it was read from the answer; None if it is not there.
        gold: the right value.
    """
    scorer = _METRICS.get(metric.lower())
    if scorer is None:
        return None
    if text_value is None:
        return 0.0
    try:
        score = scorer(text_value, gold)
    except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError):
        return 0.0  # the published rule: a value of another form is a wrong value
    return None if score is None else min(1.0, float(score))


def _exact_any_case(said: Any, gold: Any) -> float:
    return exact(said.lower(), gold.lower())


def _exact_code(said: Any, gold: Any) -> float:
    """The gold text stands in a fence."""
    fenced = _FENCE.search(str(gold))
    return exact(said, fenced[1].strip("\n") if fenced else gold)


def _near(said: Any, gold: Any) -> float:
    if not isinstance(said, str) or not isinstance(gold, str):
        return 0.0
    return DamerauLevenshtein.normalized_similarity(_rough(said), _rough(gold), score_cutoff=NEAR)


def _rough(text: str) -> str:
    """Lower case without accents and without "the" and "a"."""
    kept = " ".join(word for word in text.split(" ") if word.lower() not in ("the", "a"))
    plain = unicodedata.normalize("NFKD", kept)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).lower()


def _similarity(said: Any, gold: Any) -> float:
    if not isinstance(said, str):
        return 0.0
    return DamerauLevenshtein.normalized_similarity(said, gold)


def _any_phrase(said: Any, gold: Any) -> float:
    phrases = sets.as_list(str(gold).replace("，", ","))
    return float(any(simple(said, str(phrase)) for phrase in phrases))


def _text_with_formulas(said: Any, gold: Any) -> float:
    """Plain text and formulas between dollar signs are compared apart; both must agree."""
    words = [_MATHS.sub("", text).replace(",", "") for text in (said, gold)]
    formulas = [
        " ".join(found.strip() for found in _MATHS.findall(text)).replace(",", "")
        for text in (said, gold)
    ]
    return float(bool(simple(*words)) and bool(values.formulas_equal(*formulas)))


def _bleu(said: Any, gold: Any) -> float:
    """SacreBLEU with the roles as published: the gold text is scored against the answer."""
    try:
        import sacrebleu
    except ModuleNotFoundError as error:
        raise missing("sacrebleu", "BLEU") from error
    if isinstance(said, str) and isinstance(gold, str):
        said, gold = [said], [gold]
    if not isinstance(said, (list, tuple)) or not isinstance(gold, (list, tuple)):
        return 0.0
    return float(sacrebleu.corpus_bleu(list(gold), [list(said)]).score / 100)


_METRICS: Mapping[str, Metric] = {
    "exact_str_match": exact,
    "simple_str_match": simple,
    "code_result_exact_str_match": _exact_code,
    "exact_str_match_case_insensitive": _exact_any_case,
    "near_str_match": _near,
    "normalized_similarity_damerau_levenshtein": _similarity,
    "multi_ref_phrase": _any_phrase,
    "bleu": _bleu,
    "dict_exact_str_match_agg_recall": sets.dict_recall,
    "dict_equality": sets.dict_equality,
    "dict_precision": sets.dict_precision,
    "dict_set_equality_agg_jaccard": sets.dict_set_equality,
    "dict_jaccard_agg_jaccard": sets.dict_jaccard,
    "dict_nbbox_iou_tuple_agg_jaccard": values.dict_box_tuple,
    "set_equality": sets.set_equality,
    "set_equality_case_insensitive": sets.set_equality_any_case,
    "str_set_equality_line_break": sets.set_equality_lines,
    "str_set_equality_comma": sets.set_equality_commas,
    "set_precision": sets.set_precision,
    "jaccard_index": sets.jaccard,
    "jaccard_index_case_insensitive": sets.jaccard_any_case,
    "chess_move_list_jaccard_index": sets.jaccard_chess,
    "longest_common_list_prefix_ratio": sets.common_prefix,
    "sequence_equality": sets.sequence_equality,
    "sequence_equality_case_insensitive": sets.sequence_equality_any_case,
    "sequence_accuracy_case_insensitive": sets.sequence_accuracy,
    "sequence_coords_similarity": values.coordinates,
    "nbbox_iou_tuple": values.box_tuple,
    "nbbox_iou_single": values.box_single,
    "nbbox_iou_sequence": values.box_sequence,
    "xml_nbbox_iou_single": values.box_in_tags,
    "xml_norm_point_in_bbox": values.point_in_any_box,
    "xml_norm_point_distance": values.point_nearness,
    "number_rel_diff_ratio": values.relative_nearness,
    "positive_int_match": values.positive_int,
    "normalized_rmse": values.absolute_nearness,
    "angle_seq_float_rmse": values.angle_nearness,
    "general_single_numerical_match": values.numbers_match,
    "boxed_single_numerical_match": values.boxed_numbers_match,
    "latex_expr_equality": values.formulas_equal,
    "text_with_latex_expr_equality": _text_with_formulas,
}
SUPPORTED: frozenset[str] = frozenset(_METRICS)
"""Names of the metrics that `score_field` gives a score for."""
