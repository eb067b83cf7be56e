# SPDX-License-Identifier: Apache-2.0
"""Solutions that end in a number, a formula or an option."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.interop.pairs import Pair

VALUES = (
    *("3", "14", "0.5", "-7", "100", "\\frac{1}{2}", "\\frac{3}{4}", "2\\sqrt{3}", "\\pi", "12.5"),
    *("1,000", "x+1", "(1,2)", "[0,1]", "3:4", "60^\\circ", "25\\%", "6\\pi", "\\sqrt{2}", "A"),
)
CHOICES = (
    ("3/11", "8/11", "6/11", "3/5"),
    ("12", "14", "16", "18"),
    ("yes", "no", "both", "neither"),
)
WORKINGS = ("", "The sides are 3 and 4, so the square is 25.\n", "Let $x = 5$. ")
SAYINGS = (
    *("{v}", "\\boxed{{{v}}}", "$\\boxed{{{v}}}$", "so \\boxed{{{v}}}.", "The answer is {v}."),
    *("the final answer is {v}", "The answer is: {v}", "it is {v}.", "x = {v}", "${v}$", "{v} cm"),
    *("\\boxed{{7}} no, \\boxed{{{v}}}", "Answer: {v}", "**{v}**", "", "I do not know", "{v}."),
    *('The answer is "{v}".', "({v})", "{v}\nbecause", "\\boxed{{\\text{{{v}}}}}", "about {v}"),
    *(
        "\\boxed{{x={v}}}",
        "\\boxed{{{v}",
        "\\approx {v}",
        "\\boxed{{{v}\\text{{ cm}}}}",
        "({v}) {v}\n",
    ),
)
EQUAL = {
    "3": ("3.0", "3.00", "03", "6/2", "\\frac{6}{2}", "9/3"),
    "0.5": ("1/2", "\\frac{1}{2}", "\\frac12", ".5", "0.50", "0.501", "0.5049", "50\\%"),
    "14": ("14.0", "14.001", "13.996", "14.1", "2\\times7", "7*2"),
    "\\frac{1}{2}": ("0.5", "1/2", "\\dfrac{1}{2}", "\\tfrac12", "2/4"),
    "2\\sqrt{3}": ("3.46", "3.464", "\\sqrt{12}", "2\\sqrt3", "3.5"),
    "\\pi": ("3.14", "3.1416", "22/7"),
    "(1,2)": ("(1, 2)", "(1.0,2)", "(2,1)", "(1,2,3)", "1,2"),
    "6\\pi": ("18.85", "\\pi\\times6", "6pi"),
    "-7": ("- 7", "7", "-7.0", "-14/2"),
    "12.5": ("25/2", "12\\frac{1}{2}", "12.50", "12,5"),
    "1,000": ("1000", "1000.0", "10^3"),
}
WRITTEN: Sequence[str] = tuple(dict.fromkeys((*EQUAL, *(v for vs in EQUAL.values() for v in vs))))


def equality(chance: random.Random) -> Pair:
    """A value and the same one, or another, written otherwise."""
    gold = chance.choice(list(EQUAL))
    said = chance.choice((*EQUAL[gold], *EQUAL[gold], chance.choice(WRITTEN)))
    return Pair("written otherwise", said, {"answer": gold})


def solution(chance: random.Random) -> Pair:
    """A free answer or an option of MATH-Vision."""
    choices = list(chance.choice((*CHOICES, *[()] * 3)))
    if choices:
        gold = chance.choice("ABCD")
        right = chance.choice((gold, f"({gold})", choices[ord(gold) - 65], gold.lower()))
    else:
        gold = right = chance.choice(VALUES[:-1])
        right = chance.choice((right, *EQUAL.get(right, (right,))))
    said = right if chance.random() < 0.7 else chance.choice(("5", "B", "\\frac{9}{4}"))
    form = chance.choice(SAYINGS)
    text = chance.choice(WORKINGS) + form.format(v=said)
    return Pair(form, text, {"choices": choices, "answer": gold})


def vista(chance: random.Random) -> Pair:
    """The types of MathVista."""
    kind = chance.choice(("multi_choice", "integer", "float", "text", "list"))
    truth = {"choices": [], "question_type": "free_form", "answer_type": kind, "precision": None}
    if kind == "multi_choice":
        choices = list(chance.choice(CHOICES))
        gold = chance.choice(choices)
        letter = chr(65 + choices.index(gold))
        truth |= {"choices": choices, "question_type": kind, "answer_type": "text"}
        right = chance.choice((gold, letter, f"({letter})", f"({letter}) {gold}", letter.lower()))
    else:
        gold = {"integer": "14", "float": "0.6", "text": "left", "list": "[1, 2]"}[kind]
        truth["precision"] = 1 if kind == "float" else None
        right = chance.choice((gold, gold, {"integer": "14.0", "float": "0.64"}.get(kind, gold)))
    said = right if chance.random() < 0.7 else chance.choice(("7", "0.71", "right", "[2, 1]"))
    form = chance.choice(
        ('The answer is "{v}".', "{v}", "{v}", "", "It is {v}, I think", "\\boxed{{{v}}}")
    )
    return Pair(f"{kind} {form}", form.format(v=said), {**truth, "answer": gold})
