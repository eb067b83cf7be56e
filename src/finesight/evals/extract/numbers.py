# SPDX-License-Identifier: Apache-2.0
"""Numbers of sentences: for counts, and for whatever ends in a number."""

from __future__ import annotations

import re

from finesight.evals.metrics.count import last_count
from finesight.evals.task import Answered, Extractor

_NUMBER = re.compile(
    r"(?<![\w.,])-?(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,300}+)(?:\.\d{1,300}+)?(?![\d\w]|[.,]\d)"
)


def last_number_text(text: str) -> str | None:
    """The last number of a text in digits, without thousands commas; None if there is none."""
    found = None
    for match in _NUMBER.finditer(text):
        found = match.group()
    return found.replace(",", "") if found else None


def _read(answered: Answered) -> int | None:
    return last_count(answered.text)


LAST_NUMBER = Extractor("last-number", "3", _read)
"""Ours: the last whole number, in digits or as a word up to twenty; None without one."""
