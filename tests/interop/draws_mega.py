# SPDX-License-Identifier: Apache-2.0
"""Fields of answers to MEGA-Bench, family by family of its metrics: texts as models write them, and JSON values."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from tests.interop.draws_text import CHANGES, GOLDS, WORDS
from tests.interop.pairs import Pair, edited

PHRASES = (*GOLDS, "A", "c", "x", "(B)", "naïve café", "the Tower of a King", "Søren", "straße")
LETTER_SAYINGS = ("{}", "({})", "{}. a cat", "({}) a cat", "{} or B", "Answer {}", "**{}**", "{}\n")
ITEMS = ("red", "blue", "Green", "two words", "it's", "1", "2.5", "None", "東京", "a-b", "x_1", "")
HUGE = "word " * 4000


def field_pair(kind: str, metric: str, said: Any, gold: Any) -> Pair:
    """A field that is a text stays as it is; another value goes as JSON."""
    is_json = not isinstance(said, str)
    text = json.dumps(said, ensure_ascii=False) if is_json else said
    return Pair(f"{metric}, {kind}", text, {"metric": metric, "gold": gold, "is_json": is_json})


def _said(gold: str, chance: random.Random) -> tuple[str, Any]:
    """One text, rightly, nearly rightly or wrongly; at times a number or a list in its place."""
    kind, change = chance.choice(list(CHANGES.items()))
    said = change(gold, chance)
    return chance.choice(
        (
            *((kind, said),) * 20,
            ("nothing", ""),
            ("huge", HUGE),
            ("number", 7),
            ("list", [gold]),
            ("letter", chance.choice(LETTER_SAYINGS).format(chance.choice("ABc"))),
        )
    )


STRINGS = (
    *("exact_str_match", "simple_str_match", "exact_str_match_case_insensitive"),
    *("near_str_match", "normalized_similarity_damerau_levenshtein"),
    *("code_result_exact_str_match", "multi_ref_phrase", "bleu"),
)


def string(chance: random.Random) -> Pair:
    """Words and letters of options."""
    metric, gold = chance.choice(STRINGS), chance.choice(PHRASES)
    kind, said = _said(gold, chance)
    if not gold.isascii() and chance.random() < 0.3:
        kind, said = "plain letters", gold.translate(str.maketrans("øßüéï", "osuei"))
    if len(gold) == 1 and chance.random() < 0.7:
        kind = chance.choice(LETTER_SAYINGS)
        said = kind.format(gold)
    if metric == "code_result_exact_str_match":
        gold = chance.choice(("```\n{}\n```", "```python\n{}\n```", "{}", "``` {} ```")).format(
            gold
        )
    if metric == "multi_ref_phrase":
        other = chance.choice(WORDS)
        gold = chance.choice((gold, f"{gold}, {other}", f"{other}，{gold}", str([other, gold])))
    return field_pair(kind, metric, said, gold)


NUMBERS = ("number_rel_diff_ratio", "positive_int_match", "normalized_rmse")


def number(chance: random.Random) -> Pair:
    """A count, a share or an amount."""
    metric = chance.choice(NUMBERS)
    if metric == "positive_int_match":
        gold: float = chance.choice((0, 1, 3, 12, 250))
        near: float = gold + chance.choice((0, 0, 0, 1, -1, -5))
    elif metric == "normalized_rmse":
        gold = round(chance.uniform(0, 1), 2)
        near = round(gold + chance.choice((0, 0.01, -0.05, 0.09, 0.3)), 3)
    else:
        gold = chance.choice((4, 10.5, -3, 1200, 0.25))
        near = round(gold * chance.choice((1, 1, 0.9, 1.2, 2.5, -1)), 3)
    way, said = chance.choice(
        (
            *(("plain", str(near)),) * 4,
            ("decimals", f"{float(near):.2f}"),
            ("blank", f" {near}"),
            ("blank behind", f"{near} \n"),
            ("unit", f"{near} cm"),
            ("percent", f"{near}%"),
            ("thousands", f"{near:,}"),
            ("quoted", f"'{near}'"),
            ("fraction", "1/2"),
            ("power", "1e2"),
            ("plus", f"+{near}"),
            ("zeros", f"00{near}"),
            ("list", f"[{near}]"),
            ("words", "about ten"),
            ("truth", "True"),
            ("nothing", ""),
            ("huge", "9" * 400),
            ("not a number", "nan"),
            ("number", near),
            ("list of JSON", [near]),
        )
    )
    return field_pair(way, metric, said, str(gold))


def _listed(items: Sequence[Any], chance: random.Random) -> tuple[str, Any]:
    """Items in one of the ways to write them."""
    quoted = ", ".join(repr(item) for item in items)
    bare = ", ".join(map(str, items))
    return chance.choice(
        (
            ("Python list", f"[{quoted}]"),
            ("JSON list", json.dumps(list(items), ensure_ascii=False)),
            ("tuple", f"({quoted},)" if items else "()"),
            ("set", f"{{{quoted}}}"),
            ("commas", bare),
            ("bare list", f"[{bare}]"),
            ("bare tuple", f"({bare})"),
            ("bare set", f"{{{bare}}}"),
            ("not closed", f"[{quoted}"),
            ("blanks around", f"  [{quoted}] "),
            ("line behind", f"[{quoted}]\n"),
            ("lines", "\n".join(map(str, items))),
            ("nested", [list(items)]),
            ("JSON", list(items)),
            ("JSON", list(items)),
            ("sentence", f"They are {bare}."),
            ("one number", "7"),
            ("none", "None"),
            ("quoted text", repr(bare)),
            ("nothing", ""),
        )
    )


def _drawn_items(gold: Sequence[Any], chance: random.Random) -> list[Any]:
    """The gold items, some left out, added, reordered or in another case."""
    items = [item for item in gold if chance.random() < 0.9]
    if chance.random() < 0.3:
        items.append(chance.choice(ITEMS))
    if chance.random() < 0.2:
        items = [item.upper() if isinstance(item, str) else item for item in items]
    if chance.random() < 0.4:
        chance.shuffle(items)
    return items


def _gold_list(chance: random.Random) -> list[Any]:
    if chance.random() < 0.25:
        return chance.sample(range(1, 30), chance.randint(1, 5))
    return chance.sample(ITEMS[:-1], chance.randint(1, 4))


def _gold_form(items: Sequence[Any], chance: random.Random) -> Any:
    return chance.choice((str(list(items)), json.dumps(list(items)), ", ".join(map(str, items))))


SETS = (
    *("set_equality", "set_equality_case_insensitive", "str_set_equality_line_break"),
    *("str_set_equality_comma", "set_precision", "jaccard_index"),
    *("jaccard_index_case_insensitive", "chess_move_list_jaccard_index"),
)
MOVES = ("Qh7#", "Nf3", "e4", "O-O", "Rxd8+", "Bb5!", "Qh7")


def item_set(chance: random.Random) -> Pair:
    """Things in no order."""
    metric = chance.choice(SETS)
    gold = list(_gold_list(chance))
    if metric == "chess_move_list_jaccard_index":
        gold = chance.sample(MOVES, chance.randint(1, 4))
    if metric == "jaccard_index_case_insensitive" and chance.random() < 0.3:
        return _pairs_of_words(metric, chance)
    way, said = _listed(_drawn_items(gold, chance), chance)
    if metric == "str_set_equality_line_break":
        said = said if isinstance(said, str) else "\n".join(map(str, gold))
        return field_pair(way, metric, said, chance.choice(("\n", "\\n")).join(map(str, gold)))
    if metric == "set_equality":
        return field_pair(way, metric, said, gold)
    return field_pair(way, metric, said, _gold_form(gold, chance))


def _pairs_of_words(metric: str, chance: random.Random) -> Pair:
    gold = [["New York", "U.S."], ["Oslo", "Nor_way"]][: chance.randint(1, 2)]
    said = chance.choice(
        (
            gold,
            gold[:1],
            [[part.upper() for part in one] for one in gold],
            [[part.replace(" ", "") for part in one] for one in gold],
            [["Rome", "Italy"]],
            [[1, 2]],
            str(gold),
            "New York, U.S.",
        )
    )
    return field_pair("pairs", metric, said, gold)


SEQUENCES = (
    *("longest_common_list_prefix_ratio", "sequence_equality"),
    *("sequence_equality_case_insensitive", "sequence_accuracy_case_insensitive"),
    "angle_seq_float_rmse",
)


def sequence(chance: random.Random) -> Pair:
    """Things in their order."""
    metric = chance.choice(SEQUENCES)
    gold = list(_gold_list(chance))
    items = _drawn_items(gold, chance)
    if metric == "angle_seq_float_rmse":
        gold = [chance.randint(0, 359) for _ in range(chance.randint(1, 5))]
        items = [value + chance.choice((0, 0.5, 3, -9, 40)) for value in gold]
        if chance.random() < 0.15:
            items = items[1:]
    way, said = _listed(items, chance)
    return field_pair(way, metric, said, _gold_form(gold, chance))


OBJECTS = (
    *("dict_equality", "dict_exact_str_match_agg_recall", "dict_precision"),
    *("dict_set_equality_agg_jaccard", "dict_jaccard_agg_jaccard"),
)


def mapping(chance: random.Random) -> Pair:
    """Values under keys."""
    metric = chance.choice(OBJECTS)
    keys = chance.sample(("a", "name", "地址", "key 2", "1"), chance.randint(1, 4))
    is_of_lists = "jaccard" in metric
    gold: dict[str, Any] = {
        key: _gold_list(chance) if is_of_lists else chance.choice((*ITEMS, 3, 2.5)) for key in keys
    }
    said: dict[str, Any] = {key: value for key, value in gold.items() if chance.random() < 0.9}
    if said and chance.random() < 0.5:
        key = chance.choice(list(said))
        value = said[key]
        said[key] = chance.choice(
            (
                *(_drawn_items(value, chance) if is_of_lists else str(value),) * 3,
                {"nested": value},
                None,
                7,
                "red, blue",
            )
        )
    if chance.random() < 0.2:
        said["more"] = ["red"] if is_of_lists else "red"
    return field_pair(*_object_form(metric, said, chance), gold)


def _object_form(
    metric: str, said: Mapping[str, Any], chance: random.Random
) -> tuple[str, str, Any]:
    way, form = chance.choice(
        (
            *(("JSON", dict(said)),) * 6,
            ("text of JSON", json.dumps(said, ensure_ascii=False)),
            ("text of Python", str(dict(said))),
            ("fenced", f"```json\n{json.dumps(said)}\n```"),
            ("list", list(said)),
            ("pairs", ", ".join(f"{key}: {value}" for key, value in said.items())),
            ("empty", {}),
            ("nothing", ""),
        )
    )
    return way, metric, form


FORMULAS: Mapping[str, Sequence[str]] = {
    "(x+1)^2": ("x^2+2x+1", "(1+x)^{2}", "x^2+1", "(x+1)(x+1)", "(X+1)^2"),
    "\\frac{1}{2}": ("0.5", "1/2", "\\dfrac{1}{2}", "\\frac12", "0.51", "\\frac{2}{4}"),
    "2\\sqrt{3}": ("\\sqrt{12}", "3.4641", "2 \\sqrt{3}", "2*sqrt(3)"),
    "3\\pi": ("9.42", "\\pi \\times 3", "3π", "9.4248", "3 pi"),
    "x = 5": ("5", "x=5", "x \\approx 5", "y = 5", "5.0", "6"),
    "12.5": ("12.50", "25/2", "12.6", "12.7", "12,5", "12.5 cm", "$12.5$", "12.5°", "¥12.5"),
    "50%": ("0.5", "50\\%", "50", "1/2", "50 %"),
    "1000": ("1,000", "10^3", "1e3", "1000.0", "1005"),
    "a_1 + b": ("b + a_1", "a_{1}+b", "a_1 - b", "a1 + b"),
    "A \\cdot \\overline{B}": ("A\\bar{B}", "\\overline{B} A", "AB", "A \\cdot B̄"),
    "\\alpha + 1": ("α + 1", "1+\\alpha", "\\beta + 1"),
    "\\sin(x)": ("\\sin x", "\\sin{x}", "\\cos(x)", "sin(x)"),
    "(1, 2)": ("(1,2)", "(2, 1)", "[1, 2]", "1, 2", "(1, 2, 3)", "(1.0, 2.005)"),
    "[3, 4]": ("[4, 3]", "[3,4]", "(3, 4)", "[3, 5]"),
    "-7": ("- 7", "7", "-7.0", "\\(-7\\)", "\\[-7\\]"),
    "about ten": ("About ten.", "ten", "10", "about  ten"),
}
NUMERICAL = ("general_single_numerical_match", "boxed_single_numerical_match")


def formula(chance: random.Random) -> Pair:
    """Values and formulas written otherwise."""
    metric = chance.choice(("latex_expr_equality", "text_with_latex_expr_equality", *NUMERICAL))
    gold = chance.choice(list(FORMULAS))
    said: Any = chance.choice((gold, *FORMULAS[gold], *FORMULAS[gold], "", "no idea", "42"))
    kind = "written otherwise"
    if metric == "text_with_latex_expr_equality":
        words = chance.choice(("The area is ${}$, roughly", "${}$", "if ${}$ and then $y$", "{}"))
        other = words.replace("area", "size") if chance.random() < 0.1 else words
        return field_pair(kind, metric, other.format(said), words.format(gold))
    if metric == "boxed_single_numerical_match":
        frame = chance.choice(("\\boxed{{{}}}", "So it is \\boxed{{{}}}.", "{}", "$\\boxed{{{}}}$"))
        said, gold = frame.format(said), chance.choice((gold, f"\\boxed{{{gold}}}"))
    elif chance.random() < 0.05:
        kind, said = "number", chance.choice((5, 12.5, 1000, [1, 2], -7))
    return field_pair(kind, metric, said, gold)


def reply(chance: random.Random) -> Pair:
    """A whole answer of one or several fields."""
    if chance.random() < 0.5:
        return _reply_of_fields(chance)
    form = chance.choice(("answer_string", "answer_string", "ascii_answer_string"))
    metric = chance.choice(("exact_str_match", "simple_str_match", "set_equality_case_insensitive"))
    gold = chance.choice((*GOLDS[:20], "A", "C", "red, blue", "[1, 2]", "['a', 'b']"))
    said = gold if chance.random() < 0.7 else chance.choice((*WORDS, edited(gold, chance, 1)))
    way = chance.choice(ONE_FIELD)
    truth = {
        "metrics": {"answer": metric},
        "answer": {"answer": gold},
        "weights": {"answer": 1},
        "sum": "mean",
        "form": form,
    }
    return Pair(f"{form} {way}", way.format(v=said), truth)


ONE_FIELD = (
    *("Answer: {v}",) * 3,
    *("{v}", "answer: {v}", "ANSWER: {v}", "**Answer:** {v}", "**Answer: {v}**", "Answer:\n{v}"),
    *("I think.\n\nAnswer: {v}", "Answer: {v}\n\nBecause I saw it.", "Answer: {v}\nBecause."),
    *("Answer: ```\n{v}\n```", 'Answer: "{v}"', "Answer: '{v}'", "Answer: {v} ", "Answer:{v}"),
    *("Answer: wrong\nAnswer: {v}", "The answer: is this.\nAnswer: {v}", "Answer: $ {v} $", ""),
    *('{{"answer": "{v}"}}', "Answer: [{v}]", "Final Answer: {v}", "Answer: {v}, maybe"),
)
FIELD_METRICS = ("exact_str_match", "simple_str_match", "positive_int_match", "set_precision")


def _reply_of_fields(chance: random.Random) -> Pair:
    metrics = {name: chance.choice(FIELD_METRICS) for name in ("first", "count", "more")}
    golds: dict[str, str] = {}
    for name, metric in metrics.items():
        is_count = metric == "positive_int_match"
        golds[name] = chance.choice(("0", "2", "5") if is_count else ("red", "B", '"blue"', "a, b"))
    said: dict[str, Any] = {
        name: gold.strip('"') if chance.random() < 0.7 else chance.choice(("0", "cat", 2, None))
        for name, gold in golds.items()
        if chance.random() < 0.9
    }
    way = chance.choice(MANY_FIELDS)
    text = json.dumps(said)
    shown = {"json": text, "python": str(said), "nested": json.dumps({"answer": said})}
    truth = {
        "metrics": metrics,
        "answer": golds,
        "weights": dict(zip(golds, chance.choice(((1, 1, 1), (2, 1, 0.5))), strict=True)),
        "sum": chance.choice(("mean", "mean", "min")),
        "form": "json",
    }
    return Pair(f"json {way}", way.format(**shown), truth)


MANY_FIELDS = (
    *("{json}",) * 2,
    *(
        "Answer: {json}",
        "```json\n{json}\n```",
        "Answer:\n```json\n{json}\n```",
        "Answer: {python}",
    ),
    *("I see it.\n\n{json}\n\nThat is all.", '{{"first": "x"}} no: {json}', "{nested}", "", "cat"),
    *("**Answer:** {json}", "{json} because [1] says so", "[{json}]"),
)
