# SPDX-License-Identifier: Apache-2.0
"""Join pages to a document: running heads and feet, levels of headings, texts and tables that go on, reading order.

`stitched` marks blocks and leaves them on their pages; `items_of` puts together what is marked. Joined are

- lines of a page that was read line by line, to paragraphs;
- a paragraph without a mark of its end and a next page that starts in lower case;
- tables at the end of a page and at the start of the next one, of the same width and number of columns, without a
  caption between them; a header row that is repeated is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from finesight.apps.document.furniture import furniture
from finesight.apps.document.headings import heading_levels
from finesight.apps.document.order import agreement, geometric_order, is_right_to_left
from finesight.apps.document.records import Document, ReadBlock, ReadPage, Role
from finesight.apps.document.text_layer import is_continued, words_of
from finesight.apps.document.turned import turned_page
from finesight.parse.document import Block, Cell, Run

__all__ = ["Item", "Order", "Piece", "items_of", "stitched"]

Order: TypeAlias = Literal["model", "geometry"]
"""Whether blocks stay in the order of the model, or take that of their places."""

_ENDS = tuple(".!?:;…。！？：；”»\"')）」』")
_HYPHENS = ("-", "\u00ad", "\u2010")
_FLOATS = frozenset({"image", "figure", "chart", "table", "caption"})
"""Blocks that may stand between two parts of a paragraph."""
_SAME_EDGE = 0.02
"""Shift of an edge of a table from page to page, as a share of the width."""
_SHORT_LINE = 0.85
"""A line shorter than this share of the next one ends its paragraph."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A block on its page."""

    page: ReadPage
    one: ReadBlock
    index: int


@dataclass(frozen=True, slots=True)
class Item:
    """A part of the document: one block, or several that belong together.

    Attributes:
        block: with the whole text or table; its box is that of the first piece.
        pieces: where it is, in reading order.
    """

    block: Block
    pieces: tuple[Piece, ...]

    @property
    def role(self) -> Role:
        """Text of the document, or a running head or foot."""
        return self.pieces[0].one.role


def stitched(document: Document, *, order: Order = "model") -> Document:
    """The document with marks on blocks: their role, level, and whether they continue the one before.

    Args:
        document: pages as they were read.
        order: of the blocks of each page.
    """
    upright = [turned_page(page, page.turn) for page in document.pages]
    roles = furniture(upright)
    pages = [
        _ordered(_with_roles(page, number, roles), order) for number, page in enumerate(upright)
    ]
    levels = heading_levels(pages)
    found: list[ReadPage] = []
    for number, page in enumerate(pages):
        blocks = [
            _at_level(one, levels.get((number, index))) for index, one in enumerate(page.blocks)
        ]
        if _is_of_lines(page):
            _mark_lines(blocks)
        if found:
            _mark_over_pages(found[-1], page, blocks)
        found.append(replace(page, blocks=tuple(blocks)))
    return Document(tuple(turned_page(page, -page.turn) for page in found))


def items_of(document: Document) -> tuple[Item, ...]:
    """All parts of a stitched document, in order."""
    is_joined = any(one.continues for _, one in document.blocks())
    pages = document.pages if is_joined else ()
    known = Counter(word for page in pages for word in words_of(page.text))
    groups: list[list[Piece]] = []
    latest: dict[bool, list[Piece]] = {}  # of texts and of tables
    for page in document.pages:
        for index, one in enumerate(page.blocks):
            piece, is_table = Piece(page, one, index), bool(one.block.rows)
            if one.continues and is_table in latest:
                latest[is_table].append(piece)
                continue
            groups.append([piece])
            if one.role == "body" and one.block.kind not in _FLOATS - {"table"}:
                latest[is_table] = groups[-1]
    return tuple(Item(_joined(group, known), tuple(group)) for group in groups)


def _with_roles(page: ReadPage, number: int, roles: dict[tuple[int, int], Role]) -> ReadPage:
    blocks = tuple(
        replace(one, role=roles.get((number, index), "body"), continues=False)
        for index, one in enumerate(page.blocks)
    )
    return replace(page, blocks=blocks)


def _at_level(one: ReadBlock, level: int | None) -> ReadBlock:
    return one if level is None else replace(one, block=replace(one.block, tag=f"h{level}"))


def _ordered(page: ReadPage, order: Order) -> ReadPage:
    """The page with the agreement of its order, and in the order of places if that is wanted."""
    slots = [
        index for index, one in enumerate(page.blocks) if one.role == "body" and one.box is not None
    ]
    boxes = [box for index in slots if (box := page.blocks[index].box)]
    places = geometric_order(boxes, right_to_left=_is_right_to_left(page))
    page = replace(page, order=agreement(places))
    if order == "model":
        return page
    moved = dict(zip(slots, (slots[place] for place in places), strict=True))
    origins = [moved.get(index, index) for index in range(len(page.blocks))]
    return replace(
        page,
        blocks=tuple(page.blocks[origin] for origin in origins),
        invented=tuple(sorted(origins.index(index) for index in page.invented)),
    )


def _is_right_to_left(page: ReadPage) -> bool:
    letters = [char for char in page.text if char.isalpha()]
    return sum(map(is_right_to_left, letters)) * 2 > len(letters)


def _is_of_lines(page: ReadPage) -> bool:
    """Whether the page was read line by line."""
    routes = {one.route for one in page.tries if one.blocks}
    return routes == {"spotting"}


def _mark_lines(blocks: list[ReadBlock]) -> None:
    """Mark each line that goes on with the paragraph of the line before it."""
    for index in range(1, len(blocks)):
        before, one = blocks[index - 1], blocks[index]
        if _is_text(before) and _is_text(one) and before.box and one.box:
            is_next = is_continued(before.box, one.box) and one.box.y1 > before.box.y1
            is_full = before.box.width >= _SHORT_LINE * one.box.width
            if is_next and is_full and abs(before.box.x1 - one.box.x1) < 2 * one.box.height:
                blocks[index] = replace(one, continues=True)


def _mark_over_pages(before: ReadPage, page: ReadPage, blocks: list[ReadBlock]) -> None:
    """Mark the first text or table of a page if it goes on from the page before."""
    if before.source != page.source or before.index + 1 != page.index:
        return
    body = [index for index, one in enumerate(blocks) if one.role == "body"]
    earlier = [one for one in before.blocks if one.role == "body"]
    if not body or not earlier:
        return
    first, last = blocks[body[0]], earlier[-1]
    if first.block.rows and last.block.rows:
        if _is_same_table(last, before, first, page):
            blocks[body[0]] = replace(first, continues=True)
        return
    texts = (index for index in body if blocks[index].block.kind not in _FLOATS)
    index = next(texts, None)
    tail = next((one for one in reversed(earlier) if one.block.kind not in _FLOATS), None)
    if index is not None and tail is not None and _goes_on(tail, blocks[index]):
        blocks[index] = replace(blocks[index], continues=True)


def _is_text(one: ReadBlock) -> bool:
    return one.role == "body" and one.block.kind in ("paragraph", "text") and bool(one.block.runs)


def _goes_on(tail: ReadBlock, head: ReadBlock) -> bool:
    """Whether a paragraph goes on in another: no mark of its end, and a start that is no start of a sentence."""
    if not (_is_text(tail) and _is_text(head)):
        return False
    end, start = tail.block.text.rstrip(), head.block.text.lstrip()
    if end.endswith(_HYPHENS):
        return start[:1].isalpha()
    return not end.endswith(_ENDS) and (start[:1].islower() or _is_wide(end[-1:], start[:1]))


def _is_wide(end: str, start: str) -> bool:
    """Whether two characters are of a script without spaces and without upper case."""
    return all("\u2e80" <= char <= "\u9fff" for char in (end, start))


def _is_same_table(last: ReadBlock, before: ReadPage, first: ReadBlock, page: ReadPage) -> bool:
    if last.box is None or first.box is None or first.block.children:
        return False
    edges = (
        abs(
            getattr(last.box, side) / before.size.width - getattr(first.box, side) / page.size.width
        )
        for side in ("x1", "x2")
    )
    is_as_wide = _num_columns(last.block) == _num_columns(first.block)
    return is_as_wide and max(edges) <= _SAME_EDGE


def _num_columns(block: Block) -> int:
    return max(sum(cell.colspan for cell in row) for row in block.rows)


def _joined(group: Sequence[Piece], known: Counter[str]) -> Block:
    block = group[0].one.block
    if len(group) == 1:
        return block
    if block.rows:
        return replace(block, rows=tuple(_rows(group)))
    runs = block.runs
    for piece in group[1:]:
        runs = _joined_runs(runs, piece.one.block.runs, known)
    return replace(block, runs=runs)


def _rows(group: Sequence[Piece]) -> Iterator[tuple[Cell, ...]]:
    """Rows of all parts of a table; a first row that repeats the first one of the table is left out."""
    first, *others = group
    yield from first.one.block.rows
    header = _texts(first.one.block.rows[0])
    for piece in others:
        rows = piece.one.block.rows
        yield from rows[1:] if _texts(rows[0]) == header else rows


def _texts(row: Sequence[Cell]) -> list[list[str]]:
    return [words_of(cell.text) for cell in row]


def _joined_runs(
    runs: tuple[Run, ...], more: tuple[Run, ...], known: Counter[str]
) -> tuple[Run, ...]:
    end, start = runs[-1].text.rstrip(), more[0].text.lstrip()
    gap = "" if _is_wide(end[-1:], start[:1]) else " "
    if end.endswith(_HYPHENS) and start[:1].isalpha():
        whole = end.split()[-1][:-1] + start.split()[0]
        is_word = any(known[word] for word in words_of(whole)[:1])
        end, gap = end[:-1] if is_word or end[-1] == "\u00ad" else end, ""
    return (
        *runs[:-1],
        replace(runs[-1], text=end + gap),
        replace(more[0], text=start),
        *more[1:],
    )
