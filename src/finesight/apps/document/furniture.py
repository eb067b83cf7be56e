# SPDX-License-Identifier: Apache-2.0
"""Running heads and feet: lines that are repeated at the same height of at least three pages.

A number in such a line counts as repeated if it grows with the pages, as page numbers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz

from finesight.apps.document.records import ReadBlock, ReadPage, Role

__all__ = ["furniture"]

_LEAST_PAGES = 3
_MARGIN = 0.15
"""Share of the height of a page at its top and bottom in which heads and feet are."""
_SAME_HEIGHT = 0.015
"""Heights on two pages, as shares of theirs, that count as equal."""
_ALIKE = 90.0
"""Similarity (0 to 100) from which two lines are the same; readings of a scan differ in a letter."""
_SHORTEST, _LONGEST = 6, 200
"""Lines that are longer are no heads; of shorter ones, a letter may not differ."""
_RECENT = 200
"""Lines that differ a little are looked for among this many of the latest."""
_NUMBER = re.compile(r"\b\d+\b")


@dataclass(slots=True)
class _Line:
    """A line that may be repeated.

    Attributes:
        text: with "#" for each number.
        numbers: in the text.
        page: number of its page.
        height: of its centre, as a share of the page.
        is_heading: whether its numbers have to be equal on all pages, since chapters are numbered, too.
        places: page and block of all lines like it.
    """

    text: str
    numbers: tuple[int, ...]
    page: int
    height: float
    is_heading: bool
    places: list[tuple[int, int]] = field(default_factory=list)


def furniture(pages: Sequence[ReadPage]) -> dict[tuple[int, int], Role]:
    """Role of each repeated line, by the index of its page and of its block.

    Args:
        pages: of a document, in order.
    """
    lines: list[_Line] = []
    by_text: dict[str, list[_Line]] = {}
    for place, found in _candidates(pages):
        like = _like(by_text.get(found.text, ()), found) or _like(lines[-_RECENT:], found)
        if like is None:
            like = found
            lines.append(found)
            by_text.setdefault(found.text, []).append(found)
        like.places.append(place)
    return {
        place: "page_header" if line.height < 0.5 else "page_footer"
        for line in lines
        if len({page for page, _ in line.places}) >= _LEAST_PAGES
        for place in line.places
    }


def _candidates(pages: Sequence[ReadPage]) -> Iterator[tuple[tuple[int, int], _Line]]:
    """Each line in the margin of a page, with the index of its page and of its block."""
    for number, page in enumerate(pages):
        for index, one in enumerate(page.blocks):
            height, text = _height(page, one), " ".join(one.block.text.casefold().split())
            if height is not None and 0 < len(text) <= _LONGEST:
                numbers = tuple(int(each) for each in _NUMBER.findall(text))
                is_heading = one.block.kind == "heading"
                masked = _NUMBER.sub("#", text)
                yield (number, index), _Line(masked, numbers, page.number, height, is_heading)


def _height(page: ReadPage, one: ReadBlock) -> float | None:
    """Height of the centre of a line in the margin; None for others."""
    box = one.box
    if box is None or one.block.kind not in ("heading", "paragraph", "text", "group"):
        return None
    height = box.center.y / max(page.size.height, 1)
    return height if min(height, 1 - height) < _MARGIN else None


def _like(lines: Sequence[_Line], wanted: _Line) -> _Line | None:
    return next((line for line in reversed(lines) if _is_like(line, wanted)), None)


def _is_like(line: _Line, other: _Line) -> bool:
    if abs(line.height - other.height) > _SAME_HEIGHT or len(line.numbers) != len(other.numbers):
        return False
    later = other.page - line.page
    is_numbered = line.is_heading or other.is_heading
    for first, second in zip(line.numbers, other.numbers, strict=True):
        if second != first and (is_numbered or second - first != later):
            return False
    if line.text == other.text:
        return True
    shorter = min(len(line.text), len(other.text))
    return shorter > _SHORTEST and fuzz.ratio(line.text, other.text) >= _ALIKE
