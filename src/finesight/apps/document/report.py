# SPDX-License-Identifier: Apache-2.0
"""A read document as one HTML page: pictures of the pages with boxes, a table of blocks, and what was flagged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from finesight.apps.document.ask import DocumentAnswer
from finesight.apps.document.pages import PageAddress, load
from finesight.apps.document.records import Document, ReadBlock, ReadPage
from finesight.apps.evidence import Evidence
from finesight.errors import AppError, FinesightError
from finesight.present.marks import Mark, marks_from, shortened
from finesight.present.overlay import draw_marks
from finesight.present.page import (
    Facts,
    Figure,
    Notes,
    Page,
    PagePart,
    Section,
    Table,
    TableRow,
    data_address,
    write_page,
)

__all__ = ["write_read_report"]

_HEADER = ("kind", "text", "x1, y1, x2, y2", "score", "in text layer", "flags")
_NUMBERS = _HEADER[2:5]
_LONGEST = 300
_FOOTER = (
    "Boxes are pixels of the drawn pages. Score: mean probability of the tokens of a block. "
    "In text layer: share of its words that the text layer of the PDF has, too."
)


def write_read_report(
    path: Path,
    document: Document,
    addresses: Sequence[PageAddress],
    *,
    dpi: float | None = None,
    answers: Sequence[DocumentAnswer] = (),
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        document: the pages.
        addresses: where the pages are.
        dpi: resolution at which PDF pages were read.
        answers: to questions about the document.

    Raises:
        AppError: the file cannot be written.
    """
    names = ", ".join(dict.fromkeys(page.source for page in document.pages))
    sections = _sections(document, addresses, dpi, answers)
    page = Page(title=f"Read: {names}", sections=sections, footer=_FOOTER)
    write_page(path, page, error=AppError, parents=True)


def _sections(
    document: Document,
    addresses: Sequence[PageAddress],
    dpi: float | None,
    answers: Sequence[DocumentAnswer],
) -> Iterator[Section]:
    for answer in answers:
        yield _answer(answer)
    for page, address in zip(document.pages, addresses, strict=True):
        yield _page(page, address, dpi)


def _answer(answer: DocumentAnswer) -> Section:
    found = answer.found
    facts = Facts((found.status, f"obtained from {answer.way}"), found.problems)
    rows = tuple(
        TableRow((str((one.page or 0) + 1), shortened(one.quote, _LONGEST), _edges(one), one.match))
        for one in found.evidence
    )
    table = Table("Places", ("page of its file", "quote", "x1, y1, x2, y2", "match"), rows)
    tables = (table,) if rows else ()
    return Section(answer.question, (Notes((found.value or "no answer",)), facts, *tables))


def _page(page: ReadPage, address: PageAddress, dpi: float | None) -> Section:
    routes = ", ".join(dict.fromkeys(one.route for one in page.tries)) or "not asked"
    facts = [f"{page.size.width} × {page.size.height}", f"asked as {routes}"]
    facts += [f"turned by {90 * page.turn}° counter-clockwise"] if page.turn else []
    warnings: list[str] = [] if page.status == "read" else [page.status]
    warnings += ["reading order differs from the layout"] if page.is_out_of_order else []
    parts: list[PagePart] = [Facts(tuple(facts), tuple(warnings))]
    placed = [(index, one) for index, one in enumerate(page.blocks) if one.box]
    shapes = [(one.box, _label(page, index)) for index, one in placed if one.box]
    shapes += [(one.box, "hidden") for one in page.hidden if one.box]
    marks = marks_from(shapes)
    try:
        pixels = load(address, dpi=dpi).pixels
        picture = data_address(draw_marks(Image.fromarray(pixels), marks))
        parts.append(Figure(picture=picture, alt=f"page {page.number}", caption=page.source))
    except FinesightError as error:
        parts.append(Notes((error.message,), "Not drawn", is_warning=True))
    by_block = dict(zip((index for index, _ in placed), marks, strict=False))
    rows = [_row(page, one, index, by_block.get(index)) for index, one in enumerate(page.blocks)]
    parts.append(Table("Blocks", _HEADER, tuple(rows), _NUMBERS))
    hidden = tuple(f"{one.quote} ({_edges(one)})" for one in page.hidden)
    if hidden:
        parts.append(Notes(hidden, "Hidden text, left out", is_warning=True))
    if page.problems:
        parts.append(Notes(page.problems, "Problems", is_warning=True))
    return Section(f"Page {page.number}", tuple(parts), source=page.source)


def _row(page: ReadPage, one: ReadBlock, index: int, mark: Mark | None) -> TableRow:
    score = "" if one.score.value is None else f"{one.score.value:.2f}"
    share = "" if one.in_source is None else f"{one.in_source:.0%}"
    kind = f"heading {one.block.level}" if one.block.level else one.block.kind
    text = shortened(" ".join(one.block.text.split()), _LONGEST)
    cells = (kind, text, _edges(one), score, share, ", ".join(_flags(page, index)))
    return TableRow(cells, mark)


def _label(page: ReadPage, index: int) -> str:
    flags = _flags(page, index)
    return flags[0] if flags else page.blocks[index].block.kind.replace("_", " ")


def _flags(page: ReadPage, index: int) -> list[str]:
    one = page.blocks[index]
    flags = ["invented"] if index in page.invented else []
    flags += ["missed by the model"] if one.source == "pdf_text" else []
    flags += [one.role.replace("_", " ")] if one.role != "body" else []
    return flags + (["goes on"] if one.continues else [])


def _edges(one: ReadBlock | Evidence) -> str:
    box = one.box
    return (
        "" if box is None else ", ".join(f"{edge:.0f}" for edge in (box.x1, box.y1, box.x2, box.y2))
    )
