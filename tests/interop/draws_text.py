# SPDX-License-Identifier: Apache-2.0
"""Short answers: words, names, dates, amounts and sentences, said rightly, nearly rightly and wrongly."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.interop.pairs import Pair, edited

GOLDS = (
    *("Dec 3, 1998", "0.28", "ITC Limited", "university of california", "hello world", "Paris"),
    *("12%", "4.5%", "1,000", "1000", "2020", "$12.50", "0", "-5", "3.14", "100", "1e3", "half"),
    *("yes", "No", "Blue", "dark red", "two", "ten", "none", "the sun", "don't", "a cup of tea"),
    *("O'Reilly", "St. John's", "Müller & Söhne", "東京", "北京市海淀区", "Ünïcödé", "CENTRE", "a"),
    *("nestlé pure life", "p. 12-14", "B/2", "12:30 p.m.", "(415) 555-0132", "x ^ { 2 }", "U.S.A."),
    *("a long answer of more than four words", "the committee on science and public affairs"),
)
WORDS = ("red", "seven", "Oslo", "1999", "left", "coca cola", "No. 5", "25%", "unanswerable", "an")
UNITS = (" cm", " dollars", "%", " kg", " people", "°C")
NUMERALS = {"2": "two", "0": "zero", "10": "ten", "two": "2", "ten": "10", "none": "0"}

Change = Callable[[str, random.Random], str]

CHANGES: Mapping[str, Change] = {
    "same": lambda gold, _: gold,
    "upper case": lambda gold, _: gold.upper(),
    "lower case": lambda gold, _: gold.lower(),
    "swapped case": lambda gold, _: gold.swapcase(),
    "full stop": lambda gold, _: f"{gold}.",
    "comma": lambda gold, _: f"{gold},",
    "quoted": lambda gold, _: f'"{gold}"',
    "bold": lambda gold, _: f"**{gold}**",
    "exclaimed": lambda gold, _: f"{gold} !",
    "blanks around": lambda gold, chance: " " * chance.randint(1, 6) + gold + "\n",
    "blanks behind": lambda gold, chance: gold + " " * chance.randint(1, 9),
    "blanks inside": lambda gold, _: gold.replace(" ", "   "),
    "tab and line": lambda gold, _: gold.replace(" ", "\t", 1).replace(" ", "\n"),
    "one edit": lambda gold, chance: edited(gold, chance, 1),
    "some edits": lambda gold, chance: edited(gold, chance, chance.randint(2, 6)),
    "edit and blanks": lambda gold, chance: f"  {edited(gold, chance, 1)}     ",
    "half": lambda gold, _: gold[: max(1, len(gold) // 2)],
    "twice": lambda gold, _: f"{gold} {gold}",
    "sentence": lambda gold, _: f"The answer is {gold}.",
    "short sentence": lambda gold, _: f"It says {gold}",
    "chain": lambda gold, chance: f"I see {chance.choice(WORDS)}. So the answer is {gold}",
    "this or that": lambda gold, chance: f"{gold} or {chance.choice(WORDS)}",
    "list": lambda gold, chance: f"{chance.choice(WORDS)}, {gold}, {chance.choice(WORDS)}",
    "article": lambda gold, chance: f"{chance.choice(('a', 'an', 'The'))} {gold}",
    "number word": lambda gold, _: NUMERALS.get(gold, gold),
    "apostrophe lost": lambda gold, _: gold.replace("'", ""),
    "full width": lambda gold, _: "".join(_wide(letter) for letter in gold),
    "unit": lambda gold, chance: gold + chance.choice(UNITS),
    "thousands": lambda gold, _: _grouped(gold),
    "near number": lambda gold, chance: _near(gold, chance),
    "percent off": lambda gold, _: gold.rstrip("%"),
    "LaTeX": lambda gold, _: f"$\\text{{{gold}}}$",
    "boxed": lambda gold, _: f"\\boxed{{{gold}}}",
    "wrong": lambda _, chance: chance.choice(WORDS),
    "number": lambda _, chance: str(chance.randint(-20, 2500)),
    "empty": lambda _, __: "",
    "blank": lambda _, __: " \n ",
    "huge": lambda gold, chance: chance.choice(WORDS) * 300 + gold,
    "emoji": lambda gold, _: f"{gold} 🙂",
    "reversed letters": lambda gold, _: gold[::-1],
    "infinite": lambda _, chance: chance.choice(("inf", "nan", "-inf%", "1e999", "%", "١٢")),
}


def short_answer(chance: random.Random) -> Pair:
    """One gold answer and what was said."""
    gold = chance.choice(GOLDS)
    kind, change = chance.choice(list(CHANGES.items()))
    return Pair(kind, change(gold, chance), {"golds": [gold]})


def with_alternatives(chance: random.Random) -> Pair:
    """Up to four gold answers."""
    pair = short_answer(chance)
    more = [chance.choice(GOLDS) for _ in range(chance.choice((0, 0, 1, 3)))]
    return Pair(pair.kind, pair.answer, {"golds": _mixed([*pair.truth["golds"], *more], chance)})


def ten_people(chance: random.Random) -> Pair:
    """Ten gold answers, some of them written otherwise and some of them others."""
    pair = short_answer(chance)
    (gold,) = pair.truth["golds"]
    spelt = [chance.choice((gold, gold, gold.upper(), f"the {gold}", f"{gold}.")) for _ in range(8)]
    golds = [*spelt[: chance.randint(0, 8)], *(chance.choice(WORDS) for _ in range(10))][:10]
    return Pair(pair.kind, pair.answer, {"golds": _mixed(golds, chance)})


def ocr_word(chance: random.Random) -> Pair:
    """A word or a formula, with the part of the benchmark it belongs to."""
    pair = with_alternatives(chance)
    kind = chance.choice(("Regular Text Recognition", "Doc-oriented VQA", FORMULAS))
    truth: dict[str, Any] = {**pair.truth, "kind": kind}
    return Pair(pair.kind, pair.answer, truth)


FORMULAS = "Handwritten Mathematical Expression Recognition"


def _mixed(golds: list[str], chance: random.Random) -> list[str]:
    chance.shuffle(golds)
    return golds


def _wide(letter: str) -> str:
    return chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter


def _number(gold: str) -> float | None:
    try:
        return float(gold.strip("%$").replace(",", ""))
    except ValueError:
        return None


def _grouped(gold: str) -> str:
    value = _number(gold)
    return gold if value is None else f"{value * 1000:,.0f}"


def _near(gold: str, chance: random.Random) -> str:
    """A number some percent off, on both sides of the five that are allowed and exactly there."""
    value = _number(gold)
    if value is None:
        return gold
    off = chance.choice((0.0, 0.01, 0.0499, 0.05, 0.0501, 0.06, -0.03, -0.05, -0.051, -1, 1))
    return f"{value * (1 + off):g}" + ("%" if gold.endswith("%") and chance.random() < 0.7 else "")
