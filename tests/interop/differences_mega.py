# SPDX-License-Identifier: Apache-2.0
"""Differences in the metrics of MEGA-Bench and in the reading of its answers.

The rules of the authors decide. VLMEvalKit carries nearly their code; where it left it, that is said.
"""

from __future__ import annotations

import re

from tests.interop.compare import Case, Difference

_FIELD = ("kit_mega",)
_ANSWER = ("kit_mega_answer",)
_UNREAD_LISTS = (
    *("chess_move_list_jaccard_index", "str_set_equality_comma", "angle_seq_float_rmse"),
    *("longest_common_list_prefix_ratio", "sequence_accuracy_case_insensitive"),
)
_SET = re.compile(r"\s*\{[^:]*\}\s*")
_WORDS = re.compile(r"\w+")
_MARKED = re.compile(r"α|\\alpha|_\{?1|B̄|\\overline|\\sin")


def _metric(case: Case) -> str:
    return str(case.pair.truth["metric"])


def _is_json(case: Case, opening: str = "") -> bool:
    return bool(case.pair.truth.get("is_json")) and case.pair.answer.startswith(opening)


def _truth(metric: str, gold: object, *, is_json: bool = False) -> dict[str, object]:
    return {"metric": metric, "gold": gold, "is_json": is_json}


FIELDS = (
    Difference(
        name="their rule fails",
        rules=_FIELD,
        holds=lambda case: bool(case.raised),
        example=("[1, 2]", _truth("sequence_equality_case_insensitive", "[1, 2]"), 1.0, None),
        right="ours",
        why="Their rule raises an error, which ends the whole run: on huge numbers, on numbers or lists where it looks"
        " for texts, on lists in sets. Here a value is compared if it can be, and is wrong otherwise.",
    ),
    Difference(
        name="a count that is rightly none",
        rules=_FIELD,
        holds=lambda case: case.ours is None and case.theirs == -1.0,
        example=("0", _truth("positive_int_match", "0"), None, -1.0),
        right="both",
        why="Both leave the field out of the sum; theirs says so by a number below 0.",
    ),
    Difference(
        name="numbers of JSON",
        rules=_FIELD,
        holds=lambda case: (
            _metric(case) in ("normalized_rmse", "positive_int_match")
            and _is_json(case)
            and case.theirs == 0.0
        ),
        example=("0.5", _truth("normalized_rmse", "0.5", is_json=True), 1.0, 0.0),
        right="ours",
        why="The prompt asks for JSON, and there a number has no quotes. Two of their metrics read texts alone and"
        " count a right number as wrong; a third one reads both.",
    ),
    Difference(
        name="truth values as numbers",
        rules=_FIELD,
        holds=lambda case: case.pair.answer == "True" and case.ours == 0.0,
        example=("True", _truth("positive_int_match", "1"), 0.0, 1.0),
        right="ours",
        why="To Python True is the number 1; to a reader it is no count.",
    ),
    Difference(
        name="leading zeros",
        rules=_FIELD,
        holds=lambda case: re.match(r"-?0+\d", case.pair.answer) is not None and case.theirs == 0.0,
        example=("004", _truth("number_rel_diff_ratio", "4"), 1.0, 0.0),
        right="ours",
        why="Python writes no number as 004, so that their rule reads none; the value is 4 all the same.",
    ),
    Difference(
        name="letters as they sound",
        rules=_FIELD,
        holds=lambda case: (
            _metric(case) == "near_str_match" and not case.pair.truth["gold"].isascii()
        ),
        example=("Soren", _truth("near_str_match", "Søren"), 0.0, 1.0),
        right="theirs",
        why="The published rule spells every script in Latin letters, by a package whose licence does not go with"
        " ours. Here accents are taken off, which leaves letters such as ø and Chinese signs as they are.",
    ),
)
FIELDS += (
    Difference(
        name="sets beside lists",
        rules=_FIELD,
        holds=lambda case: _metric(case) == "set_equality" and case.theirs == 0.0,
        example=("[18, 7]", _truth("set_equality", [18, 7]), 1.0, 0.0),
        right="ours",
        why="VLMEvalKit no longer reads what a text spells in this metric, so that an answer of one field, always a"
        " text, never equals a gold list. Its import of the reading is still there, and its other metrics read.",
    ),
    Difference(
        name="texts of objects",
        rules=_FIELD,
        holds=lambda case: _metric(case) == "dict_set_equality_agg_jaccard" and case.theirs == 0.0,
        example=('{"a": [1]}', _truth("dict_set_equality_agg_jaccard", {"a": [1]}), 1.0, 0.0),
        right="ours",
        why="Four of their five metrics of objects read an object that stands in a text, this one does not.",
    ),
    Difference(
        name="lists of JSON",
        rules=_FIELD,
        holds=lambda case: (
            _metric(case) in _UNREAD_LISTS and _is_json(case, "[") and case.theirs == 0.0
        ),
        example=("[27]", _truth("longest_common_list_prefix_ratio", "27", is_json=True), 1.0, 0.0),
        right="ours",
        why="Some of their metrics take a list that the JSON of an answer holds for no list, and want it as a text.",
    ),
    Difference(
        name="the word None",
        rules=_FIELD,
        holds=lambda case: (
            "None" in _WORDS.findall(case.pair.answer) or case.pair.truth["gold"] == "None"
        ),
        example=("None", _truth("set_precision", "a-b"), 0.0, 1.0),
        right="ours",
        why="Alone, the word is no item at all to their rule, and so is always precise and the same as saying"
        " nothing; among others it is an item. Here it is one in both places.",
    ),
    Difference(
        name="curly brackets in an order",
        rules=_FIELD,
        holds=lambda case: _SET.fullmatch(case.pair.answer) is not None,
        example=("{19, 16}", _truth("sequence_equality", "[19, 16]"), 1.0, 0.0),
        right="ours",
        why="Theirs makes a set of it, whose order of texts changes with each start of Python; here items keep the"
        " order in which they were written.",
    ),
    Difference(
        name="one box of JSON",
        rules=_FIELD,
        holds=lambda case: (
            _metric(case).startswith("nbbox") and _is_json(case, "[") and not case.theirs
        ),
        example=(
            "[0, 0, 1, 1]",
            _truth("nbbox_iou_tuple", "[[0, 0, 1, 1]]", is_json=True),
            1.0,
            0.0,
        ),
        right="ours",
        why="Their rule takes one box for a list of boxes when it is written as a text, and not when it is JSON.",
    ),
    Difference(
        name="a box of five numbers",
        rules=_FIELD,
        holds=lambda case: case.pair.answer.count(",") == 4 and case.ours == 0.0,
        example=("[0, 0, 1, 1, 1]", _truth("nbbox_iou_single", "[0, 0, 1, 1]"), 0.0, 1.0),
        right="ours",
        why="A box has four numbers; this metric of theirs takes the first four of any, the others do not.",
    ),
)
FIELDS += (
    Difference(
        name="tuples and lists of numbers",
        rules=_FIELD,
        holds=lambda case: (
            case.ours == 1.0 and "numerical" in _metric(case) and "," in case.pair.answer
        ),
        example=("(1, 2)", _truth("general_single_numerical_match", "(1, 2)"), 1.0, 0.0),
        right="ours",
        why="Their comparison of several numbers wants a list and gets a tuple from its own reading, so that even the"
        " same tuple is wrong.",
    ),
    Difference(
        name="values of roots",
        rules=_FIELD,
        holds=lambda case: (
            case.ours == 1.0 and "sqrt" in case.pair.answer + case.pair.truth["gold"]
        ),
        example=("\\sqrt{12}", _truth("general_single_numerical_match", "2\\sqrt{3}"), 1.0, 0.0),
        right="ours",
        why="Their code evaluates what sympy prints, such as sqrt(12), in a place where no name has a value.",
    ),
    Difference(
        name="brackets around several",
        rules=_FIELD,
        holds=lambda case: (
            case.ours == 0.0 and _metric(case).startswith("text_") and "," in case.pair.answer
        ),
        example=("$(3, 4)$", _truth("text_with_latex_expr_equality", "$[3, 4]$"), 0.0, 1.0),
        right="ours",
        why="Their rule takes out commas before it reads formulas, so that a pair of numbers is a product, and any pair"
        " of the same product is equal to it.",
    ),
    Difference(
        name="named letters and marks",
        rules=_FIELD,
        holds=lambda case: (
            "latex" in _metric(case)
            and _MARKED.search(case.pair.answer + case.pair.truth["gold"]) is not None
        ),
        example=("b + a_1", _truth("latex_expr_equality", "a_1 + b"), 0.0, 1.0),
        right="theirs",
        why="Here a formula with indices, bars or Greek names has no value and is compared as a text; algebra of"
        " answers may run for hours, and is not done.",
    ),
    Difference(
        name="decimals and signs of LaTeX",
        rules=_FIELD,
        holds=lambda case: case.ours == 1.0 and "latex" in _metric(case),
        example=("$12.5$", _truth("latex_expr_equality", "12.5"), 1.0, 0.0),
        right="ours",
        why="Equal values are equal formulas. Their grammar stumbles over dollar signs and fractions without brackets,"
        " and finds a decimal beside a fraction unequal.",
    ),
)


_LOST_OBJECT = re.compile(r"Answer:\s*```json|^\[\{|\[1\] says|^\{\"answer\": \{")
_BARE_COUNT = re.compile(r": \d")


def _has_count_of_none(case: Case) -> bool:
    golds, metrics = case.pair.truth["answer"], case.pair.truth["metrics"]
    return any(
        metrics[name] == "positive_int_match" and gold == "0" for name, gold in golds.items()
    )


def _fields(
    metric: str, gold: str, form: str, sum_by: str = "mean", more: str = ""
) -> dict[str, object]:
    golds = {"first": gold, "more": more} if more else {"first": gold}
    return {
        "metrics": dict.fromkeys(golds, metric),
        "answer": golds,
        "weights": dict.fromkeys(golds, 1),
        "sum": sum_by,
        "form": form,
    }


ANSWERS = (
    Difference(
        name="their rule fails on an answer",
        rules=_ANSWER,
        holds=lambda case: bool(case.raised),
        example=('[{"first": "a"}]', _fields("set_precision", "a", "json"), 1.0, None),
        right="ours",
        why="What is no object goes to every metric as a text, and a list of objects makes theirs raise an error.",
    ),
    Difference(
        name="the least of the fields",
        rules=_ANSWER,
        holds=lambda case: case.pair.truth["sum"] == "min",
        example=('{"first": "a"}', _fields("exact_str_match", "a", "json", "min", "b"), 0.0, 0.5),
        right="ours",
        why="Some tasks count the worst field of an answer, says the data set, and the authors' code does so."
        " VLMEvalKit takes the mean everywhere.",
    ),
    Difference(
        name="silence",
        rules=_ANSWER,
        holds=lambda case: not case.pair.answer and case.ours == 0.0,
        example=("", _fields("set_precision", "a", "json"), 0.0, 1.0),
        right="ours",
        why="Of nothing said all is right, says the metric. An empty answer is no answer here, and worth 0.",
    ),
    Difference(
        name="fields that are left out",
        rules=_ANSWER,
        holds=_has_count_of_none,
        example=(
            '{"first": "2", "more": "0"}',
            _fields("positive_int_match", "2", "json", "mean", "0"),
            1.0,
            0.0,
        ),
        right="ours",
        why="A count that is rightly none is left out of the mean by the authors' code. VLMEvalKit adds the -1 that"
        " stands for it, and a right answer loses.",
    ),
    Difference(
        name="an object behind words or in another",
        rules=_ANSWER,
        holds=lambda case: _LOST_OBJECT.search(case.pair.answer) is not None,
        example=(
            '{"first": "a"} because [1] says so',
            _fields("exact_str_match", "a", "json"),
            1.0,
            0.0,
        ),
        right="ours",
        why='Theirs takes one line behind "Answer:" and the last bracket of it, whatever it holds; here it is the last'
        " object that has one of the fields.",
    ),
    Difference(
        name="counts of JSON",
        rules=_ANSWER,
        holds=lambda case: (
            "positive_int_match" in case.pair.truth["metrics"].values()
            and _BARE_COUNT.search(case.pair.answer) is not None
        ),
        example=('{"first": 2}', _fields("positive_int_match", "2", "json"), 1.0, 0.0),
        right="ours",
        why="The prompt asks for JSON, and there a number has no quotes; their metric reads texts alone.",
    ),
    Difference(
        name="the announcement of an answer",
        rules=_ANSWER,
        holds=lambda case: case.pair.truth["form"] != "json" and case.ours == 1.0,
        example=("**Answer:** yes", _fields("exact_str_match", "yes", "answer_string"), 1.0, 0.0),
        right="ours",
        why='Theirs takes everything behind the first "Answer:" in just this spelling: bold type around the word, a'
        " small letter, a second announcement, an object or a blank before the answer make a right answer wrong.",
    ),
)
