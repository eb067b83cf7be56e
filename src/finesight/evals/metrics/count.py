# SPDX-License-Identifier: Apache-2.0
"""Counts against the truth, as CountBench asks for them.

An answer without a number is never right, never near, and its error is that of saying 0.
"""

from __future__ import annotations

from finesight.parse.numbers import read_numbers

LONGEST_READ = 20_000
"""Characters, from the end, in which a number is looked for."""


def last_count(text: str) -> int | None:
    """The last whole number of a sentence, in digits or as a word up to twenty; None if there is none."""
    numbers = read_numbers(text[-LONGEST_READ:])
    return numbers[-1].value if numbers else None


def count_hit(pred: int | None, gold: int) -> bool:
    """Whether the count is right."""
    return pred is not None and pred == gold


def count_within_one(pred: int | None, gold: int) -> bool:
    """Whether the count is at most one off."""
    return pred is not None and abs(pred - gold) <= 1


def count_error(pred: int | None, gold: int) -> float:
    """How many the count is off; the mean over items is the mean absolute error."""
    return float(abs((pred or 0) - gold))
