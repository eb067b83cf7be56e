# SPDX-License-Identifier: Apache-2.0
"""Found things drawn on the picture, and a report as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image

from finesight.apps.evidence import Coverage, Score
from finesight.apps.grounding.findings import Inspected
from finesight.apps.grounding.records import Located, Sought, Thing, corners
from finesight.present.marks import Mark, marks_from
from finesight.present.overlay import draw_marks
from finesight.present.page import (
    Facts,
    Figure,
    Notes,
    PagePart,
    Section,
    Table,
    TableRow,
    data_address,
)

__all__ = ["inspected_section", "located_section", "overlay", "score_text", "things_parts"]

_NUMBERS = ("score", "x1, y1, x2, y2")


def overlay(image: Image.Image, things: Sequence[Thing]) -> Image.Image:
    """A copy of a picture with the things drawn in, each with its label and score.

    Args:
        image: the original, upright.
        things: with places in its pixels.
    """
    return draw_marks(image, marks_of_things(things))


def marks_of_things(things: Sequence[Thing]) -> list[Mark]:
    """A mark for each thing; those of one label have one colour."""
    marks = marks_from((thing.shape, thing.label) for thing in things)
    return [
        replace(mark, label=f"{mark.label} {score_text(thing.score)}".rstrip())
        for mark, thing in zip(marks, things, strict=True)
    ]


def score_text(score: Score) -> str:
    """A score in two digits; empty if there is none."""
    return "" if score.value is None else f"{score.value:.2f}"


def located_section(located: Located, image: Image.Image) -> Section:
    """What was found in one picture, as a section of a report."""
    page = "" if located.page is None else f", page {located.page + 1}"
    parts = [
        _counts(located.sought),
        *things_parts(located.things, image, located.source),
        *_rejected(located.sought),
        *coverage_parts(located.coverage),
    ]
    return Section(f"{located.source}{page}", tuple(parts))


def inspected_section(inspected: Inspected, image: Image.Image) -> Section:
    """The findings about one picture, as a section of a report."""
    page = "" if inspected.page is None else f", page {inspected.page + 1}"
    rows = []
    for one in inspected.findings:
        cells = (
            one.verdict,
            one.severity,
            one.check,
            one.zone,
            score_text(one.found.score),
            one.message,
        )
        rows.append(TableRow(cells, is_strong=one.verdict == "fail"))
    header = ("verdict", "severity", "check", "zone", "score", "message")
    parts: list[PagePart] = [
        Facts((), (inspected.verdict,)) if inspected.verdict != "pass" else Facts(("pass",)),
        Table("Checks", header, tuple(rows), ("score",)),
        *things_parts(inspected.things, image, inspected.source),
        *coverage_parts(inspected.coverage),
    ]
    return Section(f"{inspected.source}{page}: {inspected.verdict}", tuple(parts))


def things_parts(things: Sequence[Thing], image: Image.Image, source: str) -> Iterator[PagePart]:
    """The picture with the things drawn in, and their table."""
    marks = marks_of_things(things)
    yield Figure(
        picture=data_address(draw_marks(image, marks)),
        alt=f"{source} with {len(marks)} marks",
        caption=f"{source}, {image.width} × {image.height}",
    )
    if things:
        rows = [_row(thing, mark) for thing, mark in zip(things, marks, strict=True)]
        yield Table(
            "Found", ("thing", "score", "from", "x1, y1, x2, y2", "notes"), tuple(rows), _NUMBERS
        )


def coverage_parts(coverage: Coverage) -> Iterator[PagePart]:
    """What was looked at, and what was not."""
    facts = [f"{len(coverage.seen)} of {coverage.total} {coverage.unit} read"]
    facts += [f"{name}: {value}" for name, value in coverage.details.items()]
    yield Facts(tuple(facts), title="Looked at")
    if coverage.skipped:
        notes = tuple(f"{one.what}: {one.reason}" for one in coverage.skipped)
        yield Notes(notes, "Not read", is_warning=True)


def _counts(sought: Sequence[Sought]) -> Table:
    rows = []
    for one in sought:
        sure = one.sure()
        asked = "" if one.asked is None else f"{one.asked} (beside {one.compared})"
        notes = "; ".join(one.problems)
        cells = (
            one.phrase,
            one.status,
            str(one.count),
            str(sure),
            asked,
            score_text(one.score),
            notes,
        )
        rows.append(TableRow(cells))
    header = ("phrase", "status", "count", "sure", "asked", "score", "notes")
    return Table("Phrases", header, tuple(rows), ("count", "sure", "asked", "score"))


def _rejected(sought: Sequence[Sought]) -> Iterator[PagePart]:
    things = [thing for one in sought for thing in one.rejected]
    if things:
        rows = tuple(_row(thing) for thing in things)
        yield Table(
            "Rejected", ("thing", "score", "from", "x1, y1, x2, y2", "notes"), rows, _NUMBERS
        )


def _row(thing: Thing, mark: Mark | None = None) -> TableRow:
    notes = [*thing.problems, *(f"{key}: {value}" for key, value in thing.attributes.items())]
    notes += ["cut by a tile"] if thing.is_cut else []
    place = ", ".join(f"{edge:.0f}" for edge in corners(thing))
    kind = thing.score.kind.replace("_", "/")
    return TableRow((thing.label, score_text(thing.score), kind, place, "; ".join(notes)), mark)
