# SPDX-License-Identifier: Apache-2.0
"""A classified packet as one HTML page: its documents with small pictures of their pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from finesight.apps.classify.records import ClassifiedPage, PacketDocument, PacketResult
from finesight.apps.document.pages import PageAddress, load
from finesight.errors import AppError, FinesightError
from finesight.present.page import (
    Facts,
    Figure,
    Gallery,
    Notes,
    Page,
    PagePart,
    Section,
    data_address,
    write_page,
)

__all__ = ["write_classify_report"]

_THUMBNAIL = 320
_FOOTER = "Share: softmax over the labels of how much the page makes each likelier; it ranks, it is not calibrated."


def write_classify_report(
    path: Path, packet: PacketResult, addresses: Sequence[PageAddress]
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        packet: the result.
        addresses: where its pages are.

    Raises:
        AppError: the file cannot be written.
    """
    page = Page(
        title="Documents of a packet", sections=_sections(packet, addresses), footer=_FOOTER
    )
    write_page(path, page, error=AppError, parents=True)


def _sections(packet: PacketResult, addresses: Sequence[PageAddress]) -> Iterator[Section]:
    pages = {page.number: page for page in packet.pages}
    by_number = {one.number: one for one in addresses}
    for number, one in enumerate(packet.documents, 1):
        facts = Facts((one.label, f"share {_shown(one)}", pages_text(one, pages)))
        figures = tuple(_figure(pages[at], by_number[at]) for at in one.pages)
        parts: list[PagePart] = [facts, Gallery("Pages", figures)]
        if one.problems:
            parts.append(Notes(one.problems, "Problems", is_warning=True))
        yield Section(f"Document {number}", tuple(parts), source=pages[one.pages[0]].source)


def pages_text(one: PacketDocument, pages: Mapping[int, ClassifiedPage]) -> str:
    """Its pages within their file, such as "pages 3-5"; `pages` has those of the packet by number."""
    first, last = (pages[at].index + 1 for at in (one.pages[0], one.pages[-1]))
    return f"page {first}" if first == last else f"pages {first}-{last}"


def _shown(one: PacketDocument) -> str:
    return "unknown" if one.score.value is None else f"{one.score.value:.2f}"


def _figure(page: ClassifiedPage, address: PageAddress) -> Figure:
    title, kind = f"Page {page.number}", page.kind.value or page.kind.status
    try:
        image = Image.fromarray(load(address).pixels)
    except FinesightError as error:
        return Figure(title=title, caption=f"{kind}: {error.message}")
    return Figure(
        title=title,
        picture=data_address(image, longest_side=_THUMBNAIL),
        alt=title,
        caption=kind,
    )
