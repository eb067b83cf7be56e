# SPDX-License-Identifier: Apache-2.0
"""Report of described screens as one HTML page, with the elements drawn and numbered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from finesight.apps.accessibility.compare import Change
from finesight.apps.accessibility.contrast import LEAST_CONTRAST
from finesight.apps.accessibility.records import ScreenDescription, SeenElement, place_in_words
from finesight.errors import AppError
from finesight.present.marks import marks_from
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

__all__ = ["write_descriptions"]

_FOOTER = (
    "Names are texts on the screen as the model read them. Suggested names are guesses from the looks of a control."
    " Places are pixels of the screenshot. Contrasts are measured from its pixels, by the formula of WCAG 2."
)


def write_descriptions(
    path: Path,
    described: Iterable[tuple[ScreenDescription, Image.Image, Sequence[Change]]],
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        described: each screen's description, its picture, and what changed on it.

    Raises:
        AppError: it cannot be written.
    """
    sections = (_section(*each) for each in described)
    page = Page(title="Screens in words", sections=sections, footer=_FOOTER)
    write_page(path, page, error=AppError, parents=True)


def _section(
    description: ScreenDescription, picture: Image.Image, changed: Sequence[Change]
) -> Section:
    marks = marks_from([(one.box, one.role) for one in description.elements])
    rows = [
        TableRow(_cells(one, description), mark, is_strong=one.is_unlabeled or _is_low(one))
        for one, mark in zip(description.elements, marks, strict=True)
    ]
    size = description.size
    facts = (
        f"{size.width} × {size.height}",
        f"{len(rows)} elements",
        f"{len(description.unlabeled)} controls without a name",
        f"{len(description.low_contrast)} texts with a contrast under {LEAST_CONTRAST}",
    )
    skipped = tuple(f"{one.what}: {one.reason}" for one in description.coverage.skipped)
    header = (
        "role",
        "name",
        "suggested name",
        "value",
        "states",
        "contrast",
        "x1, y1, x2, y2",
        "place",
        "score",
    )
    parts: list[PagePart] = [
        Facts(facts, ("not read to the end",) if skipped else ()),
        Figure(
            picture=data_address(draw_marks(picture, marks)),
            alt=f"{description.source} with {len(marks)} elements",
            caption=description.source,
        ),
        *([Notes(tuple(one.spoken() for one in changed), "Changes")] if changed else []),
        Table("Elements in reading order", header, tuple(rows), ("x1, y1, x2, y2", "score")),
    ]
    problems = (*skipped, *description.problems)
    if problems:
        parts.append(Notes(problems, "Not read", is_warning=True))
    return Section(description.source, tuple(parts))


def _cells(one: SeenElement, description: ScreenDescription) -> tuple[str, ...]:
    guess = (one.suggestion and (one.suggestion.value or one.suggestion.status)) or ""
    box = ", ".join(f"{edge:.0f}" for edge in (one.box.x1, one.box.y1, one.box.x2, one.box.y2))
    score = "" if one.score.value is None else f"{one.score.value:.2f}"
    place = f"row {one.row}, {place_in_words(one.box, description.size)}"
    states = ", ".join(one.states)
    return (one.role, one.name, guess, one.value, states, _contrast(one), box, place, score)


def _is_low(one: SeenElement) -> bool:
    return one.contrast is not None and one.contrast.is_low


def _contrast(one: SeenElement) -> str:
    """Ratio and colours; a low ratio is called so, not only printed in bold."""
    return "" if one.contrast is None else f"{'low: ' if _is_low(one) else ''}{one.contrast}"
