# SPDX-License-Identifier: Apache-2.0
"""A copy of the reviewed document as a PDF with a highlight over every quote. Needs pikepdf: the extra `documents`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight import files
from finesight.apps.document.pages import PageAddress
from finesight.apps.document.records import Document, ReadPage
from finesight.apps.document.searchable import write_searchable_pdf
from finesight.apps.document.turned import turned_box
from finesight.apps.evidence import Evidence
from finesight.apps.extras import required
from finesight.apps.review.records import Review, RuleResult
from finesight.errors import AppError
from finesight.geometry import Box
from finesight.media.pdf import DEFAULT_DPI
from finesight.media.pdf_text import in_points

if TYPE_CHECKING:
    import pikepdf

__all__ = ["write_annotated_pdf"]

_COLOURS = {
    "pass": (0.55, 0.9, 0.55),
    "fail": (1.0, 0.55, 0.55),
    "unclear": (1.0, 0.9, 0.4),
    "missing": (1.0, 0.9, 0.4),
}
_PRINTED = 4  # flag of annotations that are printed


def write_annotated_pdf(
    path: Path,
    review: Review,
    pages: Sequence[ReadPage],
    addresses: Sequence[PageAddress],
    *,
    dpi: float | None = None,
) -> None:
    """Write the pages that were read, each with its quotes highlighted; pictures become pages of the PDF.

    Args:
        path: the PDF.
        review: of the document.
        pages: of the document, in order.
        addresses: where they are, in the same order.
        dpi: resolution at which PDF pages were read.

    Raises:
        AppError: pikepdf is not installed, a source is encrypted, or the file cannot be written.
    """
    with required("pikepdf", "an annotated PDF"):
        import pikepdf
    places = [
        (result, place) for result in review.results for place in result.evidence if place.box
    ]
    media = {name: index for index, name in enumerate(dict.fromkeys(one.source for one in pages))}
    try:
        with pikepdf.new() as pdf:
            for page, address in zip(pages, addresses, strict=True):
                here = [
                    (result, place)
                    for result, place in places
                    if (place.media, place.page) == (media[page.source], page.index)
                ]
                _append(pdf, page, address, dpi)
                _highlight(pdf, here, page, address, dpi)
            with files.whole_file(path, error=AppError, parents=True) as draft:
                pdf.save(draft)
    except (pikepdf.PdfError, pikepdf.PasswordError) as error:
        raise AppError(
            f"the annotated PDF cannot be made: {error}",
            hint="an encrypted PDF must be decrypted before",
        ) from error


def _append(pdf: pikepdf.Pdf, page: ReadPage, address: PageAddress, dpi: float | None) -> None:
    """Add the page itself; of a picture, a page with the picture and its text."""
    import pikepdf

    if address.is_pdf:
        with pikepdf.open(address.path) as source:
            pdf.pages.append(source.pages[address.index])
        return
    with tempfile.TemporaryDirectory() as folder:
        single, problems = Path(folder) / "page.pdf", list[str]()
        write_searchable_pdf(
            single, Document((page,)), [address], dpi=dpi, on_problem=problems.append
        )
        if problems:
            pdf.add_blank_page()
            return
        with pikepdf.open(single) as source:
            pdf.pages.append(source.pages[0])


def _highlight(
    pdf: pikepdf.Pdf,
    places: Sequence[tuple[RuleResult, Evidence]],
    page: ReadPage,
    address: PageAddress,
    dpi: float | None,
) -> None:
    import pikepdf

    boxes = [place.box for _, place in places if place.box]
    if not boxes:
        return
    rectangles = _in_points(boxes, page, address, dpi)
    drawn = pdf.pages[-1].obj
    known = drawn.get("/Annots", pikepdf.Array())
    annotations = pikepdf.Array(list(known))
    for (result, _), rectangle in zip(places, rectangles, strict=True):
        annotations.append(pdf.make_indirect(_annotation(result, rectangle)))
    drawn.Annots = annotations


def _in_points(
    boxes: Sequence[Box], page: ReadPage, address: PageAddress, dpi: float | None
) -> list[Box]:
    """Boxes in points from the bottom left of the page."""
    if address.is_pdf:
        return in_points(address.path, address.index, size=page.size, boxes=boxes)
    scale = 72 / (dpi or DEFAULT_DPI)
    height = (page.size.width if page.turn % 2 else page.size.height) * scale
    upright = [turned_box(box, page.size, page.turn) for box in boxes]
    return [
        Box(one.x1 * scale, height - one.y2 * scale, one.x2 * scale, height - one.y1 * scale)
        for one in upright
    ]


def _annotation(result: RuleResult, box: Box) -> Any:
    from pikepdf import Array, Dictionary, Name, String

    x1, y1, x2, y2 = (round(edge, 2) for edge in (box.x1, box.y1, box.x2, box.y2))
    told = f"{result.rule.id}: {result.verdict}. {result.reason}"
    return Dictionary(
        Type=Name.Annot,
        Subtype=Name.Highlight,
        Rect=Array([x1, y1, x2, y2]),
        QuadPoints=Array([x1, y2, x2, y2, x1, y1, x2, y1]),
        C=Array(list(_COLOURS[result.verdict])),
        CA=0.5,
        F=_PRINTED,
        T=String("finesight"),
        NM=String(result.rule.id),
        Contents=String(f"{told} {result.rule.advice}".strip()),
    )
