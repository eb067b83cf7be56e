# SPDX-License-Identifier: Apache-2.0
"""Open questions of MMMU: candidates for the answer, and whether one of them is correct.

The official rule: per line, the shortest text after a word that announces a result, or the whole answer if no line has
one; and all numbers in these texts. Numbers are rounded to two decimals, texts lower-cased. An answer is correct if a
candidate contains a gold text or equals a gold number.

Known weakness, kept: "The answer is a banana" is correct for "a".
Source: "MMMU" (2023), the evaluation code of the authors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from finesight.evals.core.task import Answered, Extractor
from finesight.evals.metrics.texts import as_float, as_text

_ANNOUNCING = (*("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result "),)
_TRIVIAL = frozenset({":", ",", ".", "!", "?", ";", "'"})
# Possessive quantifiers and matches only from the start of a number keep the time linear.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++"),
    re.compile(
        r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])",
    ),
)
LONGEST_READ = 40_000
"""Number of characters at the end of an answer that are read; solutions are a tenth of that."""

_WHOLE = re.compile(r"[-+]?[\d,]+")
_LEAST_INEXACT = 2**53  # larger whole numbers stay int, because a float is not exact


def is_open_correct(parsed: Sequence[str | float] | None, golds: str | Sequence[str]) -> bool:
    """Whether a candidate of `MMMU_OPEN` is one of the gold answers."""
    several = golds if isinstance(golds, (list, tuple)) else [golds]
    there = [as_text(gold) for gold in several if gold == gold]  # NaN is an empty cell of a table
    wanted = [each for gold in there if gold.strip() for each in _normalise(gold)]
    return any(
        any(isinstance(each, str) and each in said for each in wanted)
        if isinstance(said, str)
        else said in wanted
        for said in parsed or ()
    )


def _normalise(value: object) -> list[str | float]:
    """A number to two decimals, or a text in lower case; a single letter gets a blank before or after it."""
    stripped = as_text(value).strip()
    number = _number(stripped)
    if number is not None:
        return [round(number, 2)]
    lower = stripped.lower()
    return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]


def _read(answered: Answered) -> list[str | float]:
    tails = list(dict.fromkeys(_tails(answered.text[-LONGEST_READ:])))
    found = [*tails, *(number for tail in tails for number in _numbers(tail))]
    return list(dict.fromkeys(each for part in dict.fromkeys(found) for each in _normalise(part)))


def _tails(text: str) -> Iterator[str]:
    """The announced result of each line; the whole text if there is none."""
    whole = text.strip().strip(".").lower()
    lines = whole.split("\n")
    is_silent = True
    for number, line in enumerate(lines):
        signs = (*_ANNOUNCING, "=") if number == len(lines) - 1 else _ANNOUNCING
        ends = [line.rsplit(sign, 1)[-1].strip() for sign in signs if sign in line]
        tail = _shortest(ends)
        if tail and tail not in _TRIVIAL:
            is_silent = False
            yield tail
    if is_silent:
        yield whole


def _shortest(ends: Sequence[str]) -> str:
    """The first of the shortest; an empty one is replaced by the next, as published."""
    best = ""
    for end in ends:
        if not best or len(end) < len(best):
            best = end
    return best


def _numbers(text: str) -> Iterator[str]:
    for pattern in _NUMBERS:
        yield from (match.group() for match in pattern.finditer(text))


def _number(text: str) -> float | None:
    value = as_float(text.replace(",", "")) if len(text) <= 300 else None
    if value is None:
        return None
    if abs(value) >= _LEAST_INEXACT and (whole := _WHOLE.fullmatch(text)):
        return int(whole[0].replace(",", ""))
    return value if math.isfinite(value) else None


MMMU_OPEN = Extractor("mmmu-open", "3", _read)
"""Candidates of the official rule: texts in lower case and numbers to two decimals."""
