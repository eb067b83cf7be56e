# SPDX-License-Identifier: Apache-2.0
"""Pictures of the pages of a read document, drawn again one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from finesight.apps.document.pages import PageAddress, load
from finesight.apps.document.read import PageImage
from finesight.apps.document.records import ReadPage
from finesight.errors import FinesightError

__all__ = ["PageAndImage", "PageLoader", "page_loader", "with_images"]

PageAndImage = tuple[ReadPage, PageImage | None]
"""A page as it was read, and its picture; None if it cannot be drawn."""

PageLoader = Callable[[ReadPage], PageImage]
"""Draws a page again."""


def with_images(
    pages: Sequence[ReadPage], addresses: Sequence[PageAddress], *, dpi: float | None = None
) -> Iterator[PageAndImage]:
    """Each page with its picture; only one picture is in memory at once.

    Args:
        pages: of the document.
        addresses: where they are, in the same order.
        dpi: resolution at which PDF pages were read.
    """
    for page, address in zip(pages, addresses, strict=True):
        try:
            image = load(address, dpi=dpi)
        except FinesightError:  # reading the page has reported why
            image = None
        yield page, image


def page_loader(addresses: Sequence[PageAddress], *, dpi: float | None = None) -> PageLoader:
    """What draws a page by its number in the document."""
    by_number = {address.number: address for address in addresses}
    return lambda page: load(by_number[page.number], dpi=dpi)
