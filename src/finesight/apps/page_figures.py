# SPDX-License-Identifier: Apache-2.0
"""Pictures of pages with the evidence of results drawn on them, for HTML reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from PIL import Image

from finesight.apps.document.records import ReadPage
from finesight.apps.evidence import Evidence
from finesight.apps.page_images import PageLoader
from finesight.errors import FinesightError
from finesight.geometry import Box
from finesight.present.marks import Mark, marks_from, one_line
from finesight.present.overlay import draw_marks
from finesight.present.page import Figure, data_address

__all__ = ["marks_of_places", "page_figures"]

_PADDING = 4
"""Pixels between a text and the line that is drawn around it."""

Marked = tuple[Mark, Evidence]
"""A place, and what is drawn there."""


def marks_of_places(places: Iterable[tuple[str, Evidence]]) -> list[Marked]:
    """Numbered marks of places, with one colour for each label; places without a box are left out."""
    boxed = [(label, one, one.box) for label, one in places if one.box]
    shapes = [(_padded(box), one_line(label)) for label, _, box in boxed]
    numbered = (replace(mark, label=str(mark.number)) for mark in marks_from(shapes))
    return [(mark, one) for mark, (_, one, _) in zip(numbered, boxed, strict=True)]


def page_figures(
    pages: Sequence[ReadPage], marked: Sequence[Marked], load: PageLoader
) -> Iterator[Figure]:
    """One figure for each page that has a place; a page that cannot be drawn has the reason as its caption.

    Args:
        pages: of the document.
        marked: places with their marks.
        load: draws a page.
    """
    media = {name: index for index, name in enumerate(dict.fromkeys(one.source for one in pages))}
    for page in pages:
        place = (media[page.source], page.index)
        here = [mark for mark, one in marked if (one.media, one.page) == place]
        if not here:
            continue
        title = f"Page {page.number}"
        try:
            image = Image.fromarray(load(page).pixels)
        except FinesightError as error:
            yield Figure(title=title, caption=f"cannot be drawn: {error.message}")
            continue
        picture = data_address(draw_marks(image, here))
        yield Figure(title=title, picture=picture, alt=title, caption=page.source)


def _padded(box: Box) -> Box:
    return Box(box.x1 - _PADDING, box.y1 - _PADDING, box.x2 + _PADDING, box.y2 + _PADDING)
