# SPDX-License-Identifier: Apache-2.0
"""Numbers in sentences, for counting: digits, "none", and the words zero to twenty.

Nothing else counts: "a", "a few" and "no" are no numbers, because "No, there are three" is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from finesight.parse.json_block import find_blocks
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
    """A whole number of a text.

    Attributes:
        value: the number.
        span: where it stands.
    """

    value: int
    span: Span


def read_numbers(text: str) -> tuple[NumberFound, ...]:
    """All whole numbers of a text in order; parts of fractions, dates and ranges are left out."""
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

    JSON and tags in the reply are passed over, so "boxes first, then the number" and "points first, then the number"
    read the number.

    Returns:
        The count, or None where the sentences hold no number or several different ones.
    """
    outside, at = [], 0
    for block in find_blocks(text):
        outside.append(text[at : block.span[0]])
        at = block.span[1]
    outside.append(text[at:])
    sentences = " ".join(outside)
    values = {number.value for number in read_numbers(_without_tags(sentences))}
    return values.pop() if len(values) == 1 else None


def _without_tags(text: str) -> str:
    """What stands outside tags; the numbers of a tag that the end of the reply cuts are no counts either."""
    text = text[: cut_tag(text)]
    kept, at = [], 0
    for tag in find_tags(text):
        kept.append(text[at : tag.start])
        at = tag.end
    return " ".join([*kept, text[at:]])
