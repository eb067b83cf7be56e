# SPDX-License-Identifier: Apache-2.0
"""Pages as they are after reading, made by hand."""

from __future__ import annotations

from finesight.apps.document.records import Document, ReadBlock, ReadPage, Try
from finesight.apps.document.stitch import stitched
from finesight.geometry import Box, Size
from finesight.parse.document import Block, Cell, Run

SIZE = Size(1000, 1400)


def block(
    text="", top=100, *, tag="p", left=100, right=900, height=30, rows=None, **more
) -> ReadBlock:
    """A block of one line; the first row of a table is its header."""
    box = Box(left, top, right, top + height)
    runs = (Run(text),) if text else ()
    if rows is None:
        return ReadBlock(block=Block(tag=tag, runs=runs, box=box, **more))
    cells = tuple(
        tuple(Cell(runs=(Run(cell),), is_header=number == 0) for cell in row)
        for number, row in enumerate(rows)
    )
    return ReadBlock(block=Block(tag="table", rows=cells, box=box, **more))


def page(number: int, *blocks: ReadBlock, size=SIZE, route="html", **more) -> ReadPage:
    whole = Box(0, 0, size.width, size.height)
    return ReadPage(
        source="book.pdf",
        index=number - 1,
        number=number,
        size=size,
        status="read",
        blocks=blocks,
        tries=(Try(route, whole, "stop", len(blocks)),),
        **more,
    )


def book(*pages: ReadPage, **more) -> Document:
    return stitched(Document(pages), **more)
