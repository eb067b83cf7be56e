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
_LONGEST = 200
_RECENT = 200
"""Lines that differ a little are looked for among this many of the latest."""
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class _Line:
    """A line that may be repeated, with the places of all its occurrences."""

    text: str
    height: float
    places: list[tuple[int, int]] = field(default_factory=list)


def furniture(pages: Sequence[ReadPage]) -> dict[tuple[int, int], Role]:
    """Role of each repeated line, by the index of its page and of its block.

    Args:
        pages: of a document, in order.
    """
    lines: list[_Line] = []
    by_text: dict[str, list[_Line]] = {}
    for place, text, height in _candidates(pages):
        line = _found(by_text.get(text, ()), text, height) or _found(lines[-_RECENT:], text, height)
        if line is None:
            line = _Line(text, height)
            lines.append(line)
            by_text.setdefault(text, []).append(line)
        line.places.append(place)
    return {
        place: "page_header" if line.height < 0.5 else "page_footer"
        for line in lines
        if len({page for page, _ in line.places}) >= _LEAST_PAGES
        for place in line.places
    }


def _candidates(pages: Sequence[ReadPage]) -> Iterator[tuple[tuple[int, int], str, float]]:
    """Place, text and height of each line in the margin of a page."""
    for number, page in enumerate(pages):
        for index, one in enumerate(page.blocks):
            height = _height(page, one)
            if height is not None and 0 < len(one.block.text) <= _LONGEST:
                yield (number, index), _text(page, one), height


def _height(page: ReadPage, one: ReadBlock) -> float | None:
    """Height of the centre of a line in the margin; None for others."""
    box = one.box
    if box is None or one.block.kind not in ("heading", "paragraph", "text", "group"):
        return None
    height = box.center.y / max(page.size.height, 1)
    return height if min(height, 1 - height) < _MARGIN else None


def _text(page: ReadPage, one: ReadBlock) -> str:
    """The text, with numbers relative to the page; those of headings stay, since chapters are numbered, too."""
    text = " ".join(one.block.text.casefold().split())
    if one.block.kind == "heading":
        return text
    return _NUMBER.sub(lambda found: f"#{int(found[0]) - page.number}", text)


def _found(lines: Sequence[_Line], text: str, height: float) -> _Line | None:
    return next(
        (
            line
            for line in reversed(lines)
            if abs(line.height - height) <= _SAME_HEIGHT and _is_alike(line.text, text)
        ),
        None,
    )


def _is_alike(first: str, second: str) -> bool:
    if first == second:
        return True
    if _NUMBER.findall(first) != _NUMBER.findall(second):
        return False
    return min(len(first), len(second)) > 6 and fuzz.ratio(first, second) >= _ALIKE
