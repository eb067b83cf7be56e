# SPDX-License-Identifier: Apache-2.0
"""MegaBench: the metrics of its core set that need no judge, no network and no running of programs.

Fields of answers and gold values are texts or JSON values. A value of the wrong type scores 0, as in the published
code. Metrics outside `SUPPORTED` have no score: programs, planning, geography by a web service, entailment by a
network, Chinese word segmentation, and judges.

Differences from the published metrics: `near_str_match` removes accents by Unicode decomposition. Formulas are compared
by their values for several substitutions instead of algebraically, formulas without values as texts. A value that the
published code rejects, such as a JSON list instead of a text, is compared if possible.

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
from finesight.evals.metrics.extras import required
from finesight.evals.metrics.mega_sets import exact, simple

Metric = Callable[[Any, Any], float | None]

_FENCE = re.compile(r"```[a-zA-Z]{0,20}\n?(.*?)```", re.DOTALL)
_MATHS = re.compile(r"\$([^$]{0,400})\$")
NEAR = 0.9


def score_field(metric: str, text_value: Any, gold: Any) -> float | None:
    """Score of one field, 0..1; None if the metric is not supported or leaves the field out.

    Args:
        metric: name of the metric in the data set.
        text_value: the field of the answer; None if it is missing.
        gold: the gold value.
    """
    scorer = _METRICS.get(metric.lower())
    if scorer is None:
        return None
    if text_value is None:
        return 0.0
    try:
        score = scorer(text_value, gold)
    except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError):
        return 0.0  # as published: a value of another type is wrong
    return None if score is None else min(1.0, float(score))


def _exact_any_case(pred: Any, gold: Any) -> float:
    return exact(pred.lower(), gold.lower())


def _exact_code(pred: Any, gold: Any) -> float:
    """Equality with the gold text, which may be fenced."""
    fenced = _FENCE.search(str(gold))
    return exact(pred, fenced[1].strip("\n") if fenced else gold)


def _near(pred: Any, gold: Any) -> float:
    if not isinstance(pred, str) or not isinstance(gold, str):
        return 0.0
    return DamerauLevenshtein.normalized_similarity(_rough(pred), _rough(gold), score_cutoff=NEAR)


def _rough(text: str) -> str:
    """Lower case without accents and without "the" and "a"."""
    kept = " ".join(word for word in text.split(" ") if word.lower() not in ("the", "a"))
    plain = unicodedata.normalize("NFKD", kept)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).lower()


def _similarity(pred: Any, gold: Any) -> float:
    if not isinstance(pred, str):
        return 0.0
    return DamerauLevenshtein.normalized_similarity(pred, gold)


def _any_phrase(pred: Any, gold: Any) -> float:
    phrases = sets.as_list(str(gold).replace("，", ","))
    return float(any(simple(pred, str(phrase)) for phrase in phrases))


def _text_with_formulas(pred: Any, gold: Any) -> float:
    """Equality of the plain text and of the formulas between dollar signs, compared separately."""
    words = [_MATHS.sub("", text).replace(",", "") for text in (pred, gold)]
    formulas = [
        " ".join(found.strip() for found in _MATHS.findall(text)).replace(",", "")
        for text in (pred, gold)
    ]
    return float(bool(simple(*words)) and bool(values.formulas_equal(*formulas)))


def _bleu(pred: Any, gold: Any) -> float:
    """SacreBLEU with the published roles: the gold text is scored against the answer."""
    with required("sacrebleu", "BLEU"):
        import sacrebleu
    if isinstance(pred, str) and isinstance(gold, str):
        pred, gold = [pred], [gold]
    if not isinstance(pred, (list, tuple)) or not isinstance(gold, (list, tuple)):
        return 0.0
    return float(sacrebleu.corpus_bleu(list(gold), [list(pred)]).score / 100)


_SET_EQUALITY, _JACCARD = sets.equal(sets.as_set), sets.jaccard_of(sets.as_set)
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
    "dict_set_equality_agg_jaccard": sets.per_key(_SET_EQUALITY),
    "dict_jaccard_agg_jaccard": sets.per_key(_JACCARD),
    "dict_nbbox_iou_tuple_agg_jaccard": sets.per_key(values.box_tuple),
    "set_equality": _SET_EQUALITY,
    "set_equality_case_insensitive": sets.equal(sets.upper_set),
    "str_set_equality_line_break": sets.equal(sets.lower_lines),
    "str_set_equality_comma": sets.equal(lambda value: set(sets.lower_items(value))),
    "set_precision": sets.set_precision,
    "jaccard_index": _JACCARD,
    "jaccard_index_case_insensitive": sets.jaccard_any_case,
    "chess_move_list_jaccard_index": sets.jaccard_of(sets.chess_moves),
    "longest_common_list_prefix_ratio": sets.common_prefix,
    "sequence_equality": sets.equal(sets.as_list),
    "sequence_equality_case_insensitive": sets.equal(sets.lower_texts),
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
