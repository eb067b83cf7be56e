# SPDX-License-Identifier: Apache-2.0
"""Where a quote stands on the pages of a document: a box around its characters, and how it was matched.

The text layer of a PDF has the places of its characters. A block of a scanned page has one box around all of its text:
the place of a quote in it is computed from the widths of the characters before it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from finesight.apps.document.records import ReadPage
from finesight.apps.evidence import Evidence, Match, Reader, hull
from finesight.apps.ink import word_boxes
from finesight.apps.numbers import NUMBER, amounts, plain, readings
from finesight.geometry import Box
from finesight.parse.document import Block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["find_quote", "page_lines"]

_ORDER: tuple[Match, ...] = ("exact", "spaces", "case", "numeric", "fuzzy")
_LEAST_FUZZY = 85.0
"""Similarity (0 to 100) from which a text counts as nearly the quote."""
_SHORTEST_FUZZY = 6
"""A shorter quote is nearly equal to too many words."""
_LETTERS = re.compile(r"[^\W\d_]+")
_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-"})
_NARROW, _BROAD = frozenset(" .,:;'|!()[]ijlIft-/"), frozenset("mwMWQOGD@%")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A line or block of a page: its text, the box of a span of it, and what read it."""

    text: str
    part: Callable[[int, int], Box | None]
    source: Reader


def find_quote(
    quote: str,
    pages: Sequence[ReadPage],
    *,
    page: int | None = None,
    pixels: NDArray[np.uint8] | None = None,
) -> tuple[Evidence, ...]:
    """Places of a quote.

    Args:
        quote: the text to find; white space at its ends does not count.
        pages: of the document.
        page: number of the only page to look at (`ReadPage.number`, from 1); None looks at all.
        pixels: uint8[H, W, 3], this page as it was drawn: then the gaps between its words give the places in a line.

    Returns:
        Every place of the best match on each page, the best pages first: by the text layer if it has the quote, else
        by the blocks that were read. `media` counts the files of the pages, `page` is the page of its file. Empty if
        no page has the quote. A box is None if the block has no place.
    """
    wanted = " ".join(quote.split())
    if not wanted:
        return ()
    media = {name: index for index, name in enumerate(dict.fromkeys(one.source for one in pages))}
    found = [
        evidence
        for one in pages
        if page is None or one.number == page
        for evidence in _on_page(
            wanted, one, media[one.source], pixels if page is not None else None
        )
    ]
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.match)))


def page_lines(page: ReadPage) -> list[tuple[str, Box]]:
    """Texts of a page with their boxes: lines of its text layer, else the texts of its blocks that have a place."""
    if page.layer:
        return [(line.text, line.box) for line in page.layer]
    found = (pair for one in page.blocks for pair in _texts(one.block, one.block.box))
    return [(text, box) for text, box in found if box is not None]


def _on_page(
    quote: str, page: ReadPage, media: int, pixels: NDArray[np.uint8] | None
) -> list[Evidence]:
    """Places on one page, all by the same match."""
    layer = [_Piece(line.text, line.part, "pdf_text") for line in page.layer]
    blocks = [
        _Piece(text, _share(text, box, pixels), one.source)
        for one in page.blocks
        for text, box in _texts(one.block, one.block.box)
    ]
    for matches in (_ORDER[:-1], _ORDER[-1:]):
        for pieces in (layer, blocks):
            text = "\n".join(piece.text for piece in pieces)
            for match in matches:
                spans = _FINDERS[match](quote, text)
                if spans:
                    return [_evidence(page, media, pieces, span, match) for span in spans]
    return []


def _evidence(
    page: ReadPage, media: int, pieces: Sequence[_Piece], span: Span, match: Match
) -> Evidence:
    boxes, quotes, source, start = [], [], pieces[0].source, 0
    for piece in pieces:
        first, last = max(span[0] - start, 0), min(span[1] - start, len(piece.text))
        if first < last:
            boxes.append(piece.part(first, last))
            quotes.append(piece.text[first:last])
            source = piece.source
        start += len(piece.text) + 1
    box = hull([one for one in boxes if one is not None])
    return Evidence(
        media=media,
        page=page.index,
        box=box,
        quote="\n".join(quotes),
        match=match,
        source=source,
    )


# ---------------------------------------------------------------------------------------------- spans of a quote


def _exact(quote: str, text: str) -> list[Span]:
    return [
        (at, at + len(quote))
        for match in re.finditer(f"(?={re.escape(quote)})", text)
        if _is_whole(text, at := match.start(), at + len(quote))
    ]


def _folded(text: str, *, keeps_case: bool) -> tuple[str, list[int]]:
    """The text with single spaces and whole words, and the place in the text of each of its characters."""
    chars: list[str] = []
    places: list[int] = []
    for at, char in enumerate(text):
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        if char == "-" and after == "\n" and text[at + 2 : at + 3].islower():
            continue  # a word that the end of the line splits
        if char == "\n" and before == "-" and after.islower():
            continue
        if char.isspace():
            if not chars or chars[-1] == " " or _is_wide(before) or _is_wide(after):
                continue
            char = " "
        folded = char if keeps_case else plain(char.translate(_MARKS)).casefold()
        chars += folded
        places += [at] * len(folded)
    return "".join(chars), places


def _but_for_spaces(quote: str, text: str, *, keeps_case: bool = True) -> list[Span]:
    folded, places = _folded(text, keeps_case=keeps_case)
    wanted = _folded(quote, keeps_case=keeps_case)[0].strip()
    return [(places[a], places[b - 1] + 1) for a, b in _exact(wanted, folded)] if wanted else []


def _but_for_case(quote: str, text: str) -> list[Span]:
    return _but_for_spaces(quote, text, keeps_case=False)


def _same_number(quote: str, text: str) -> list[Span]:
    wanted = {abs(one) for one in amounts(quote)}
    if not wanted or len(_LETTERS.findall(quote)) > 1:  # a sentence is more than its number
        return []
    clean = plain(text)
    if len(clean) != len(text):  # places would shift
        clean = text
    return [
        match.span()
        for match in NUMBER.finditer(clean)
        if wanted & set(readings(match[0])) and _is_whole(clean, *match.span())
    ]


def _nearly(quote: str, text: str) -> list[Span]:
    folded, places = _folded(text, keeps_case=False)
    wanted = _folded(quote, keeps_case=False)[0].strip()
    if len(wanted) < _SHORTEST_FUZZY or len(folded) < len(wanted):
        return []
    found = fuzz.partial_ratio_alignment(wanted, folded, score_cutoff=_LEAST_FUZZY)
    if found is None or found.dest_start >= found.dest_end:
        return []
    start, end = found.dest_start, found.dest_end
    while start > 0 and not _is_edge(folded, start):
        start -= 1
    while end < len(folded) and not _is_edge(folded, end):
        end += 1
    if NUMBER.findall(wanted) != NUMBER.findall(
        folded[start:end]
    ):  # nearly a number is another one
        return []
    return [(places[start], places[end - 1] + 1)]


_FINDERS: dict[Match, Callable[[str, str], list[Span]]] = {
    "exact": _exact,
    "spaces": _but_for_spaces,
    "case": _but_for_case,
    "numeric": _same_number,
    "fuzzy": _nearly,
}


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a span does not begin or end within a word or a number."""
    return _is_edge(text, start) and _is_edge(text, end)


def _is_edge(text: str, at: int) -> bool:
    before, after = text[at - 1 : at] if at else "", text[at : at + 1]
    if not before or not after or _is_wide(before) or _is_wide(after):
        return not (before.isdigit() and after.isdigit())
    if before.isalnum() and after.isalnum():
        return False
    if after in ".," and before.isdigit():
        return not text[at + 1 : at + 2].isdigit()
    if before in ".," and after.isdigit():
        return not text[at - 2 : at - 1].isdigit() if at > 1 else True
    return True


def _is_wide(char: str) -> bool:
    return bool(char) and unicodedata.east_asian_width(char) in "WF"


# -------------------------------------------------------------------------------------- the place within a block


def _texts(block: Block, box: Box | None) -> Iterator[tuple[str, Box | None]]:
    """Texts of a block with their boxes: of its children, of the cells of a table."""
    box = block.box or box
    for child in block.children:
        yield from _texts(child, box)
    if block.rows:
        yield from _cells(block, box)
    elif not block.children and block.text:
        yield block.text, box


def _cells(block: Block, box: Box | None) -> Iterator[tuple[str, Box | None]]:
    """Cells of a table: rows of equal height, columns as wide as their longest text."""
    texts = [[cell.text for cell in row] for row in block.rows]
    num_columns = max(map(len, texts))
    widest = [
        max(_width(row[column]) for row in texts if column < len(row)) + 1
        for column in range(num_columns)
    ]
    for index, row in enumerate(texts):
        for column, text in enumerate(row):
            if not text:
                continue
            left, right = sum(widest[:column]), sum(widest[: column + 1])
            yield (
                text,
                box and _inside(box, (left / sum(widest), right / sum(widest)), index, len(texts)),
            )


def _share(
    text: str, box: Box | None, pixels: NDArray[np.uint8] | None
) -> Callable[[int, int], Box | None]:
    """The box of a span of a text, from the box of all of it."""

    def part(start: int, end: int) -> Box | None:
        if box is None or not text:
            return None
        total, ends = _width(text), [0.0]
        num_lines = max(1, round(sqrt(0.4 * total * box.height / max(box.width, 1.0))))
        lines = text.split("\n")
        if len(lines) > 1:  # each line is as wide as its own text
            return _of_lines(lines, box, start, end)
        if num_lines == 1 and pixels is not None:
            words = word_boxes(len(text.split()), box, pixels)
            if words is not None:
                return _of_words(text, words, start, end)
        for char in text:
            ends.append(ends[-1] + _width(char))
        per_line = total / num_lines
        first, last = ends[start] / per_line, ends[end] / per_line
        top, bottom = int(first), min(int(last - 1e-6), num_lines - 1)
        columns = (first - top, last - top) if top == bottom else (0.0, 1.0)
        whole = _inside(box, columns, top, num_lines)
        return hull([whole, _inside(box, columns, bottom, num_lines)])

    return part


def _of_words(text: str, boxes: Sequence[Box], start: int, end: int) -> Box | None:
    """The box of a span, from the boxes of the words of its line."""
    parts = []
    for match, box in zip(re.finditer(r"\S+", text), boxes, strict=True):
        first, last = max(start, match.start()), min(end, match.end())
        if first < last:
            total = _width(match[0])
            before, until = _width(text[match.start() : first]), _width(text[match.start() : last])
            parts.append(_inside(box, (before / total, until / total), 0, 1))
    return hull(parts)


def _of_lines(lines: Sequence[str], box: Box, start: int, end: int) -> Box | None:
    longest, boxes, at = max(map(_width, lines)), [], 0
    for index, line in enumerate(lines):
        first, last = max(start - at, 0), min(end - at, len(line))
        if first < last:
            columns = (_width(line[:first]) / longest, _width(line[:last]) / longest)
            boxes.append(_inside(box, columns, index, len(lines)))
        at += len(line) + 1
    return hull(boxes)


def _inside(box: Box, columns: tuple[float, float], row: int, num_rows: int) -> Box:
    """A part of a box, by shares of its width and by one of its rows."""
    height = box.height / num_rows
    return Box(
        box.x1 + columns[0] * box.width,
        box.y1 + row * height,
        box.x1 + columns[1] * box.width,
        box.y1 + (row + 1) * height,
    )


def _width(text: str) -> float:
    """Width of a text in usual letters."""
    return sum(
        2.0 if _is_wide(char) else 0.55 if char in _NARROW else 1.4 if char in _BROAD else 1.0
        for char in text
    )
