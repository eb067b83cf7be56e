# SPDX-License-Identifier: Apache-2.0
"""Counts in sentences: whole numbers in digits, "none", and the words zero to twenty.

"a", "a few" and "no" are not numbers, because "No, there are three" states three.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from finesight.parse.json_block import blank, find_blocks
from finesight.parse.records import Span
from finesight.parse.tags import cut_tag, find_tags

_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen")
_LATE_TEENS = ("sixteen", "seventeen", "eighteen", "nineteen", "twenty")
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_WORDS = (*_DIGITS, *_TEENS, *_LATE_TEENS)
_VALUES = {"none": 0, **{word: value for value, word in enumerate(_WORDS)}}
_NUMBER = re.compile(
    rf"(?<![\w.,:/-])(?:(\d{{1,3}}(?:,\d{{3}}){{1,3}}|\d{{1,12}})|({'|'.join(_VALUES)}))(?![\w/:%]|[.,]\d|-\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class NumberFound:
    """A whole number in a text.

    Attributes:
        value: the number.
        span: where it is in the text.
    """

    value: int
    span: Span


def read_numbers(text: str) -> tuple[NumberFound, ...]:
    """All whole numbers of a text, in order, except parts of fractions, dates and ranges."""
    return tuple(
        NumberFound(
            int(match.group(1).replace(",", ""))
            if match.group(1)
            else _VALUES[match.group(2).lower()],
            match.span(),
        )
        for match in _NUMBER.finditer(text)
    )


def read_count(text: str) -> int | None:
    """The count that a reply states, if it states exactly one.

    Numbers in JSON and in tags do not count, so "boxes first, then the number" gives the number.

    Returns:
        The count, or None if the sentences contain no number or several different ones.
    """
    text = blank(text, [block.span for block in find_blocks(text)])
    text = text[: cut_tag(text)]
    text = blank(text, [(tag.start, tag.end) for tag in find_tags(text)])
    values = {number.value for number in read_numbers(text)}
    return values.pop() if len(values) == 1 else None
