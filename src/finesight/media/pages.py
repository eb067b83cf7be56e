# SPDX-License-Identifier: Apache-2.0
"""Numbers of the pages of a file, as users write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from finesight.errors import ConfigError
from finesight.inputs import plain, plain_list, shown

Pages: TypeAlias = str | int | Sequence[int]
"""Pages of a file: numbers from 0, as in `ImagePart.page`, or a str counted from 1, such as "1-3,7"; "1-" is all."""

_MOST_REPEATED = 10_000
"""Pages of a text that names some of them several times."""


def page_numbers(pages: Pages | None, count: int) -> list[int]:
    """Page numbers from 0.

    Args:
        pages: numbers from 0, or a str counted from 1 such as "1-3,7" or "5-"; None is all.
        count: number of pages of the file.

    Raises:
        ConfigError: the str has another form or repeats too many pages, or a page does not exist.
    """
    if pages is None:
        return list(range(count))
    if isinstance(pages, str):
        ranges = [_page_range(piece, pages, count) for piece in pages.split(",")]
        total = sum(map(len, ranges))
        if total > max(count, _MOST_REPEATED):  # a text of a megabyte could name billions
            raise ConfigError(
                f"pages={shown(pages)} are {total:,} pages of a file that has {count:,}",
                hint="name each page once",
            )
        return [number - 1 for each in ranges for number in each]
    wanted = pages if isinstance(pages, range) else plain_list(plain(pages))
    numbers: list[int] = []
    for number in wanted if isinstance(wanted, (tuple, range)) else (wanted,):
        if isinstance(number, bool) or not isinstance(number, int):
            raise ConfigError(
                f"pages={shown(pages)} are not page numbers",
                hint='give numbers from 0, or a str counted from 1 such as "1-3,7"',
            )
        if not 0 <= number < count:
            raise _no_page(number + 1, count)
        numbers.append(number)
    if not numbers:
        raise ConfigError(f"pages={shown(pages)} is empty", hint="leave it out for all pages")
    return numbers


def _page_range(piece: str, pages: str, count: int) -> range:
    """A range of page numbers from 1, checked against the number of pages."""
    texts = [text.strip() for text in piece.split("-")]
    if len(texts) > 2 or not texts[0].isdecimal() or not (texts[-1].isdecimal() or not texts[-1]):
        raise ConfigError(f"pages {shown(pages)} is not of a form such as 1-3,7 or 5-")
    for text in texts:
        # The length is checked first: Python does not parse a number of several thousand digits.
        if text and (len(text.lstrip("0")) > len(str(count)) or not 1 <= int(text) <= count):
            raise _no_page(text, count)
    first, last = int(texts[0]), int(texts[-1] or count)
    if first > last:
        raise ConfigError(f"pages {shown(pages)} ends before it starts")
    return range(first, last + 1)


def _no_page(number: int | str, count: int) -> ConfigError:
    text = str(number)
    text = text if len(text) <= 20 else f"{text[:17]}..."
    there = f"there are pages 1 to {count}"
    if count == 1:
        there = "the file has one page; only PDF, TIFF and animations (GIF, PNG, WebP) have more"
    return ConfigError(
        f"page {text} of {count} does not exist (counted from 1)",
        hint=f"{there}; page numbers in Python count from 0",
    )
