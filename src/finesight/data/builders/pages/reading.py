# SPDX-License-Identifier: Apache-2.0
"""Reading order of a drawn page: its text in lines, its blocks with boxes, and its QwenVL HTML.

The order is that of the document, so columns follow one another. Text of one block, or of one table row, that is on one
line in the picture is on one line in the text. The bullets of a list are not text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finesight.data.builders.rendered import DrawnPage, TextRow
from finesight.data.record import Glyph
from finesight.geometry import Box, Size
from finesight.parse.document import Block, Cell, DocumentPage, Run
from finesight.parse.document_render import render_html

__all__ = ["Area", "Reading", "read_page"]

BLOCKS = frozenset(("h1", "h2", "p", "li", "td", "th"))
"""Parts that hold text and begin a new line, except cells of one row."""
CELLS = frozenset(("td", "th"))
SAME_WORD = 0.12
"""Pieces of a line closer than this share of the row's height are written without a space."""
Move = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""Maps points `float64[n, 2]` of the drawn page to the picture."""
IntBox = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Area:
    """A marked element with its text.

    Attributes:
        kind: "h1", "h2", "p", "ul", "li", "table", "td", "th" or "field".
        key: key of a field.
        row: number of the row of a cell.
        text: as drawn; lines end with a line break.
        box: around its ink, in whole pixels; a table's is that of the element. None without ink.
        parent: index of the area around it; -1 if there is none.
    """

    kind: str
    key: str
    row: int
    text: str
    box: IntBox | None
    parent: int

    @property
    def flat(self) -> str:
        """The text in one line."""
        return self.text.replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Reading:
    """A page's text.

    Attributes:
        text: of the whole page.
        glyphs: each of its characters other than white space.
        areas: marked elements, outer before inner, in reading order.
    """

    text: str
    glyphs: tuple[Glyph, ...]
    areas: tuple[Area, ...]

    def html(self) -> str:
        """The page as QwenVL HTML in a fenced block."""
        return render_html(DocumentPage(blocks=tuple(self._blocks(-1))), fenced=True)

    def _blocks(self, parent: int) -> Iterator[Block]:
        for index, area in enumerate(self.areas):
            if area.parent != parent or (area.box is None and area.kind not in CELLS):
                continue
            if area.kind == "table":
                yield self._placed(area, rows=tuple(self._rows(index)))
            elif area.kind == "ul":
                yield self._placed(area, children=tuple(self._blocks(index)))
            elif area.kind == "li":
                yield Block(tag="li", runs=(Run(area.flat),))
            elif area.kind in BLOCKS:
                yield self._placed(area, runs=(Run(area.flat),))

    def cells(self, table: int) -> list[list[Area]]:
        """Cells of a table by row; `table` is its index in `areas`."""
        rows: dict[int, list[Area]] = {}
        for area in self.areas:
            if area.parent == table:
                rows.setdefault(area.row, []).append(area)
        return [rows[number] for number in sorted(rows)]

    def _rows(self, table: int) -> Iterator[tuple[Cell, ...]]:
        for row in self.cells(table):
            yield tuple(
                Cell(runs=(Run(area.flat),) if area.text else (), is_header=area.kind == "th")
                for area in row
            )

    @staticmethod
    def _placed(
        area: Area,
        runs: tuple[Run, ...] = (),
        rows: tuple[tuple[Cell, ...], ...] = (),
        children: tuple[Block, ...] = (),
    ) -> Block:
        box = None if area.box is None else Box(*area.box)
        return Block(tag=area.kind, runs=runs, rows=rows, children=children, box_resized=box)


def read_page(page: DrawnPage, size: Size, move: Move) -> Reading:
    """Read a drawn page.

    Args:
        page: with one outermost part, the sheet, which is left out.
        size: of the picture.
        move: maps points of the page to the picture.
    """
    blocks = [_block_of(page, row) for row in page.rows]
    text, starts = _joined(page, blocks)
    glyphs = [
        Glyph(char, 0.0, 0.0, start + index)
        for row, start in zip(page.rows, starts, strict=True)
        for index, char in enumerate(row.text)
        if char.strip()
    ]
    centres = move(_centres(page.rows))
    centres = np.clip(centres, 0, (size.width, size.height))
    placed = tuple(
        glyph._replace(x=float(x), y=float(y))
        for glyph, (x, y) in zip(glyphs, centres, strict=True)
    )
    return Reading(text, placed, tuple(_areas(page, text, starts, size, move)))


def _block_of(page: DrawnPage, row: TextRow) -> int:
    """Index of the innermost part around a row that is a block."""
    index = row.part
    while index >= 0 and page.parts[index].kind not in BLOCKS:
        index = page.parts[index].parent
    return index


def _joined(page: DrawnPage, blocks: list[int]) -> tuple[str, list[int]]:
    """Text of the page, and the offset of each row in it."""
    text, starts = "", []
    for index, row in enumerate(page.rows):
        if index:
            text += _separator(page, blocks, index)
        starts.append(len(text))
        text += row.text
    return text, starts


def _separator(page: DrawnPage, blocks: list[int], index: int) -> str:
    """What is between a row and the row before: a line break, a space, or nothing."""
    first, second = page.rows[index - 1], page.rows[index]
    if blocks[index - 1] != blocks[index]:
        one, two = page.parts[blocks[index - 1]], page.parts[blocks[index]]
        is_row = one.kind in CELLS and two.kind in CELLS and one.data["row"] == two.data["row"]
        return " " if is_row else "\n"
    height = min(first.bottom - first.top, second.bottom - second.top)
    shared = min(first.bottom, second.bottom) - max(first.top, second.top)
    gap = second.box.x1 - first.box.x2
    if shared <= 0 or gap < -height:
        return "\n"
    return " " if gap > SAME_WORD * height else ""


def _centres(rows: tuple[TextRow, ...]) -> npt.NDArray[np.float64]:
    """Centre of each character other than white space, `float64[n, 2]`."""
    found = [
        (float(left + right) / 2, (row.top + row.bottom) / 2)
        for row in rows
        for char, (left, right) in zip(row.text, row.edges, strict=True)
        if char.strip()
    ]
    return np.array(found, np.float64).reshape(-1, 2)


def _areas(page: DrawnPage, text: str, starts: list[int], size: Size, move: Move) -> Iterator[Area]:
    """Every part but the outermost; parents are renumbered accordingly."""
    within: list[list[int]] = [[] for _ in page.parts]
    for number, row in enumerate(page.rows):
        index = row.part
        while index >= 0:
            within[index].append(number)
            index = page.parts[index].parent
    for index, part in enumerate(page.parts[1:], 1):
        rows = within[index]
        box: Box | None = None
        if part.kind == "table":
            box = part.box
        elif rows:
            box = _around([page.rows[number].box for number in rows])
        end = starts[rows[-1]] + len(page.rows[rows[-1]].text) if rows else 0
        yield Area(
            kind=part.kind,
            key=part.data.get("key", ""),
            row=int(part.data.get("row", 0)),
            text=text[starts[rows[0]] : end] if rows else "",
            box=None if box is None else _moved(box, size, move),
            parent=part.parent - 1,
        )


def _around(boxes: list[Box]) -> Box:
    return Box(
        min(box.x1 for box in boxes),
        min(box.y1 for box in boxes),
        max(box.x2 for box in boxes),
        max(box.y2 for box in boxes),
    )


def _moved(box: Box, size: Size, move: Move) -> IntBox:
    """Bounding box of the moved corners, rounded outward and clipped to the picture."""
    corners = [(box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2)]
    points = np.clip(move(np.array(corners)), 0, (size.width, size.height))
    left, top = (math.floor(value + 0.05) for value in points.min(axis=0))
    right, bottom = (math.ceil(value - 0.05) for value in points.max(axis=0))
    return left, top, right, bottom
