# SPDX-License-Identifier: Apache-2.0
"""Open questions of MMMU: everything in an answer that might be meant, and whether any of it is right.

The official rule: per line, the shortest tail after a word that announces a result, or the whole answer where none
does; all numbers in those; numbers are rounded to two decimals and texts put in lower case. The answer is right if a
gold text stands in one of the texts, or a gold number is one of the numbers.

Known weak spot, kept: "The answer is a banana" is right for "a".
Source: "MMMU" (2023), the evaluation code of the authors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from finesight.evals.core.task import Answered, Extractor
from finesight.evals.metrics.texts import as_text

_ANNOUNCING = (*("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result "),)
_TRIVIAL = frozenset({":", ",", ".", "!", "?", ";", "'"})
# Runs of digits are taken whole and only from their start, which keeps hostile text linear.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++"),
    re.compile(
        r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])",
    ),
)
LONGEST_READ = 40_000
"""Characters, from the end, of an answer that are looked at; solutions are a tenth of that."""

_WHOLE = re.compile(r"[-+]?[\d,]+")
_LEAST_INEXACT = 2**53  # whole numbers from here on stay whole: a float does not tell them apart
_LONGEST_NUMBER = 300  # characters; beyond it a float is infinite or slow to read


def is_open_correct(parsed: Sequence[str | float] | None, golds: str | Sequence[str]) -> bool:
    """Whether anything read from the answer is a gold answer.

    Args:
        parsed: what `MMMU_OPEN` read.
        golds: the right answer, or several of which any will do.
    """
    several = golds if isinstance(golds, (list, tuple)) else [golds]
    there = [as_text(gold) for gold in several if gold == gold]  # NaN is an empty cell of a table
    wanted = [each for gold in there if gold.strip() for each in normalise(gold)]
    return any(
        any(isinstance(each, str) and each in said for each in wanted)
        if isinstance(said, str)
        else said in wanted
        for said in parsed or ()
    )


def normalise(value: object) -> list[str | float]:
    """A number to two decimals, or a text in lower case; one letter counts only next to a blank."""
    stripped = as_text(value).strip()
    number = _number(stripped)
    if number is not None:
        return [round(number, 2)]
    lower = stripped.lower()
    return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]


def _read(answered: Answered) -> list[str | float]:
    tails = list(dict.fromkeys(_tails(answered.text[-LONGEST_READ:])))
    found = [*tails, *(number for tail in tails for number in _numbers(tail))]
    return list(dict.fromkeys(each for part in dict.fromkeys(found) for each in normalise(part)))


def _tails(text: str) -> Iterator[str]:
    """What each line announces; the whole text if no line announces anything."""
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
    """The first of the shortest; one that is empty is replaced by whatever comes next, as published."""
    best = ""
    for end in ends:
        if not best or len(end) < len(best):
            best = end
    return best


def _numbers(text: str) -> Iterator[str]:
    for pattern in _NUMBERS:
        yield from (match.group() for match in pattern.finditer(text))


def _number(text: str) -> float | None:
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    if abs(value) >= _LEAST_INEXACT and (whole := _WHOLE.fullmatch(text)):
        return int(whole[0].replace(",", ""))
    return value if math.isfinite(value) else None


MMMU_OPEN = Extractor("mmmu-open", "3", _read)
"""Candidates of the official rule: texts in lower case and numbers to two decimals."""
