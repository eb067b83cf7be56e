# SPDX-License-Identifier: Apache-2.0
"""Pictures of pages with the evidence of results drawn on them, for HTML reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from finesight.apps.document.records import ReadPage
from finesight.apps.evidence import Evidence
from finesight.apps.page_images import PageLoader
from finesight.errors import FinesightError
from finesight.present.marks import marks_from, one_line
from finesight.present.overlay import draw_marks
from finesight.present.page import Figure, data_address

__all__ = ["page_figures"]


def page_figures(
    pages: Sequence[ReadPage], places: Sequence[tuple[str, Evidence]], load: PageLoader
) -> Iterator[Figure]:
    """One figure for each page that has a place; a page that cannot be drawn has the reason as its caption.

    Args:
        pages: of the document.
        places: labels and places; those without a box are left out.
        load: draws a page.
    """
    media = {name: index for index, name in enumerate(dict.fromkeys(one.source for one in pages))}
    for page in pages:
        here = [
            (one.box, one_line(label))
            for label, one in places
            if one.box and (one.media, one.page) == (media[page.source], page.index)
        ]
        if not here:
            continue
        title = f"Page {page.number}"
        try:
            image = Image.fromarray(load(page).pixels)
        except FinesightError as error:
            yield Figure(title=title, caption=f"cannot be drawn: {error.message}")
            continue
        picture = data_address(draw_marks(image, marks_from(here)))
        yield Figure(title=title, picture=picture, alt=title, caption=page.source)
