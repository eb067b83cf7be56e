# SPDX-License-Identifier: Apache-2.0
"""Counts against the truth, as CountBench asks for them.

An answer without a number is never right, never near, and its error is that of saying 0.
"""

from __future__ import annotations

from math import inf

from finesight.parse.numbers import read_numbers

LONGEST_READ = 20_000
"""Characters, from the end, in which a number is looked for."""


def last_count(text: str) -> int | None:
    """The last whole number of a sentence, in digits or as a word up to twenty; None if there is none."""
    numbers = read_numbers(text[-LONGEST_READ:])
    return numbers[-1].value if numbers else None


def count_hit(pred: int | None, gold: int) -> bool:
    """Whether the count is right."""
    return _off(pred, gold) == 0


def count_within_one(pred: int | None, gold: int) -> bool:
    """Whether the count is at most one off."""
    return _off(pred, gold) <= 1


def count_error(pred: int | None, gold: int) -> float:
    """How many the count is off; the mean over items is the mean absolute error."""
    try:
        return float(_off(0 if pred is None else pred, gold))
    except OverflowError:
        return inf


def _off(pred: int | None, gold: int) -> float:
    """Distance of two counts, exact for whole numbers of any size; infinite where one is no number."""
    if pred is None:
        return inf
    try:
        off = abs(pred - gold)
        return off if off == off else inf  # NaN is equal to nothing
    except (TypeError, ValueError, OverflowError):
        return inf
