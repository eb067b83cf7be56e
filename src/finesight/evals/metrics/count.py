# SPDX-License-Identifier: Apache-2.0
"""Metrics of counts, as for CountBench.

An answer without a number is wrong, and its error is that of the answer 0.
"""

from __future__ import annotations

from math import inf

from finesight.parse.numbers import read_numbers

LONGEST_READ = 20_000
"""Number of characters at the end that are searched for a number."""


def last_count(text: str) -> int | None:
    """The last whole number, in digits or as an English word up to twenty; None if there is none."""
    numbers = read_numbers(text[-LONGEST_READ:])
    return numbers[-1].value if numbers else None


def count_hit(pred: int | None, gold: int) -> bool:
    """Whether the count is correct."""
    return _off(pred, gold) == 0


def count_within_one(pred: int | None, gold: int) -> bool:
    """Whether the count is at most one off."""
    return _off(pred, gold) <= 1


def count_error(pred: int | None, gold: int) -> float:
    """Absolute error of the count."""
    try:
        return float(_off(0 if pred is None else pred, gold))
    except OverflowError:
        return inf


def _off(pred: int | None, gold: int) -> float:
    """Difference of two counts, exact for integers of any size; infinite if one is not a number."""
    if pred is None:
        return inf
    try:
        off = abs(pred - gold)
        return off if off == off else inf  # NaN is equal to nothing
    except (TypeError, ValueError, OverflowError):
        return inf
