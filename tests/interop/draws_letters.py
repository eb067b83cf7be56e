# SPDX-License-Identifier: Apache-2.0
"""Answers to questions with options, said in the ways models say them; what each means is known where it means one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from tests.interop.pairs import Pair

OPTIONS = (
    ("apple", "banana", "cherry", "date"),
    ("red", "dark red", "blue", "none of the above"),
    ("12 cm", "14 cm", "$3/11$", "0.5"),
    ("The man opens the door.", "The man closes the door.", "Nobody moves.", "The dog barks."),
    ("yes", "no", "it depends", "not shown"),
    ("Art Nouveau", "Baroque", "Cubism", "Dada"),
)

SAYINGS: Mapping[str, str] = {
    "letter": "{g}",
    "small letter": "{small}",
    "brackets": "({g})",
    "small in brackets": "({small})",
    "full stop": "{g}.",
    "colon": "{g}:",
    "right bracket": "{g})",
    "bold": "**{g}**",
    "quoted": '"{g}"',
    "blanks": "  {g}\n",
    "boxed": "\\boxed{{{g}}}",
    "boxed in LaTeX": "so $\\boxed{{\\text{{{g}}}}}$",
    "letter and text": "{g}. {text}",
    "bracketed letter and text": "({g}) {text}",
    "letter, colon and text": "{g}: {text}",
    "the answer is": "The answer is {g}.",
    "the correct answer is": "The correct answer is ({g}).",
    "the best answer is": "The best answer is {g}",
    "the correct option is": "The correct option is {g}: {text}",
    "the best option is": "The best option is {g}",
    "the answer would be": "the right answer would be {g}.",
    "Answer:": "Answer: {g}",
    "answer: in small letters": "answer: {small}",
    "Answer: in bold": "**Answer: {g}**",
    "Answer: with text": "Answer: {g}. {text}",
    "Best answer:": "Best answer: {g}",
    "Option": "Option {g}",
    "I choose": "I would choose option {g} here.",
    "text": "{text}",
    "text in a sentence": "I think that the thing shown here is {text}",
    "small text": "{lowered}",
    "not another": "{other} is wrong, so the answer is {g}.",
    "another does not fit": "Option {other} does not fit the picture. Answer: {g}",
    "another in brackets": "({other}) is near, but it does not fit.\n\nAnswer: {g}",
    "another first": "At first I thought {other}. Final answer: {g}",
    "another after": "Answer: ({g}) because ({other}) is not in the picture",
    "reason behind": "{g} because the picture shows a long yellow thing",
    "reason first": "The picture shows a long yellow thing, so {g}",
    "because": "Because it is dark, {g}",
    "a sentence with A": "A cat sits there, so {g}",
    "steps": "Step 1: look at the picture.\nStep 2: compare.\nAnswer: {g}",
    "last line": "Looking at the picture, there is much to see.\n\n{g}",
    "options first": "A. {a}\nB. {b}\nThe answer is {g}",
    "JSON": '{{"answer": "{g}"}}',
    "Chinese": "答案是{g}",
    "Chinese brackets": "（{g}）",
    "long": "{long} the answer is {g}.",
}
"""Each says one option."""

OPEN: Mapping[str, str] = {
    "one or another": "{g} or {other}",
    "one and another": "{g} and {other}",
    "all letters": "A, B, C, D",
    "only A in a sentence": "A man is there.",
    "I cannot": "I cannot determine the answer.",
    "refusal": "I'm sorry, but without the image provided I can say nothing",
    "no such letter": "Z",
    "a number": "42",
    "nothing": "",
    "blank": " \n ",
    "words": "Nothing here helps",
    "two texts": "{text} or {other_text}",
    "emoji": "🙂",
}
"""None of these says one option."""

_LONG = "There is a street with people and a shop in it. " * 120


def options(chance: random.Random) -> Pair:
    """Four options."""
    return _said(chance, list(chance.choice(OPTIONS)))


def five_options(chance: random.Random) -> Pair:
    """Five options."""
    return _said(chance, [*chance.choice(OPTIONS), "something else"])


def many_options(chance: random.Random) -> Pair:
    """Two to ten options."""
    pool = [text for four in OPTIONS for text in four]
    return _said(chance, chance.sample(pool, chance.randint(2, 10)))


def _said(chance: random.Random, choices: list[str]) -> Pair:
    letters = ascii_uppercase[: len(choices)]
    gold, other = chance.sample(letters, 2)
    words = {
        "g": gold,
        "small": gold.lower(),
        "other": other,
        "text": choices[letters.index(gold)],
        "lowered": choices[letters.index(gold)].lower(),
        "other_text": choices[letters.index(other)],
        "a": choices[0],
        "b": choices[1],
        "long": _LONG,
    }
    is_open = chance.random() < 0.15
    kind, form = chance.choice(list((OPEN if is_open else SAYINGS).items()))
    truth: dict[str, Any] = {"choices": choices, "answer": gold}
    return Pair(kind, form.format(**words), truth, None if is_open else gold)


def yes_or_no(chance: random.Random) -> Pair:
    """A question without options."""
    gold = chance.choice(("yes", "no"))
    form = chance.choice(
        (
            "{g}",
            "{up}",
            "{up}.",
            "{up}, it is.",
            "The answer is {g}.",
            "I know: {g}",
            "",
            "maybe",
            "nope",
        )
    )
    truth = {"options": [], "answer": gold}
    return Pair(form, form.format(g=gold, up=gold.capitalize()), truth, gold)


def labelled(chance: random.Random) -> Pair:
    """The multiple choice of TempCompass: the gold answer is the whole line of the option."""
    pair = options(chance)
    choices = pair.truth["choices"]
    listed = [[letter, text] for letter, text in zip(ascii_uppercase, choices, strict=False)]
    return Pair(pair.kind, pair.answer, {**pair.truth, "options": listed}, pair.meant)


def number_of_things(chance: random.Random) -> Pair:
    """How many there are."""
    words = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    gold = chance.randint(0, 10)
    said = chance.choice((gold, gold, gold, chance.randint(0, 12)))
    name = words[said] if said < len(words) else str(said)
    forms = ("{n}", "{w}", "{W}", "{n}.", "There are {n}", "There are {w} cups.", " {n} ", "{n}.0", "",
             "about {n}", "{n} cups and 3 plates", "**{n}**", "(1) {n}")  # fmt: skip
    form = chance.choice(forms)
    truth = {"number": gold}
    meant = str(said)
    return Pair(form, form.format(n=said, w=name, W=name.capitalize()), truth, meant)


def short_word(chance: random.Random) -> Pair:
    """The open questions of MMMU."""
    gold = chance.choice(
        ("2.83", "8", "France", "a", "1,200", "-4", "left ventricle", "1e3", "yes", "$6")
    )
    form = chance.choice(
        ("{g}", "The answer is {g}.", "so x = {g}.", "It could be {g}", "{g} or 7", "{up}", "",
         "it is in {g}.\nThat is all", "x={g}", "I think: {g} cm", "the answer is a banana", "{g}0",
         "First 3, then 5.\nTherefore {g}", "therefore, the final result is {g}", "({g})", "-{g}")
    )  # fmt: skip
    return Pair(form, form.format(g=gold, up=gold.upper()), {"choices": [], "golds": [gold]}, gold)
