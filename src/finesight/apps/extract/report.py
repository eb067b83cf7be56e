# SPDX-License-Identifier: Apache-2.0
"""Extracted values as one HTML page: pages with the places of the values, tables of values and rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from finesight.apps.document.records import ReadPage
from finesight.apps.evidence import Found
from finesight.apps.extract.records import Extraction
from finesight.apps.page_figures import Marked, marks_of_places, page_figures
from finesight.apps.page_images import PageLoader
from finesight.errors import AppError
from finesight.present.marks import shortened
from finesight.present.page import (
    Facts,
    Notes,
    Page,
    PagePart,
    Section,
    Table,
    TableRow,
    Text,
    write_page,
)

__all__ = ["write_extract_report"]

_FOOTER = (
    "Score: computed from the probabilities of the value's characters and the quality of its match on the page; "
    "empty if nothing could be computed. Boxes are pixels of the drawn pages."
)
_LONGEST = 120


def write_extract_report(
    path: Path,
    results: Iterable[tuple[str, Extraction, tuple[ReadPage, ...]]],
    load: PageLoader,
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        results: name, values and pages of each document.
        load: draws a page.

    Raises:
        AppError: the file cannot be written.
    """
    page = Page(title="Extracted values", sections=_sections(results, load), footer=_FOOTER)
    write_page(path, page, error=AppError, parents=True)


def _sections(
    results: Iterable[tuple[str, Extraction, tuple[ReadPage, ...]]], load: PageLoader
) -> Iterator[Section]:
    for name, one, pages in results:
        places = [(path, place) for path, found in one.fields.items() for place in found.evidence]
        marked = marks_of_places(places)
        data = json.dumps(one.data, ensure_ascii=False, indent=2)
        parts: list[PagePart] = [
            _facts(one),
            *page_figures(pages, marked, load),
            _table(one, marked),
        ]
        if one.checks:
            rows = tuple(TableRow((each.rule, each.path, each.outcome)) for each in one.checks)
            parts.append(Table("Rules", ("rule", "object", "outcome"), rows))
        if one.problems:
            parts.append(Notes(one.problems, "Problems", is_warning=True))
        yield Section(name, (*parts, Text("Data", data, is_folded=True)))


def _facts(one: Extraction) -> Facts:
    counts: dict[str, int] = {}
    for found in one.fields.values():
        counts[found.status] = counts.get(found.status, 0) + 1
    good = tuple(f"{counts[key]} {key}" for key in ("found", "absent") if key in counts)
    bad = tuple(
        f"{counts[key]} {key}" for key in ("conflict", "invalid", "unread") if key in counts
    )
    failed = sum(each.outcome == "fail" for each in one.checks)
    return Facts(good, (*bad, f"{failed} rules fail") if failed else bad)


def _table(one: Extraction, marked: Sequence[Marked]) -> Table:
    header = ("field", "value", "as written", "status", "score", "page", "match", "problems")
    rows = tuple(_row(path, found, marked) for path, found in one.fields.items())
    return Table("Values", header, rows, ("score", "page"))


def _row(path: str, found: Found[Any], marked: Sequence[Marked]) -> TableRow:
    place = found.evidence[0] if found.evidence else None
    score = "" if found.score.value is None else f"{found.score.value:.2f}"
    value = "" if found.value is None else json.dumps(found.value, ensure_ascii=False)
    page = "" if place is None or place.page is None else str(place.page + 1)
    cells = (path, value, found.raw, found.status, score, page, place.match if place else "")
    shown = tuple(shortened(cell, _LONGEST) for cell in cells)
    mark = next((mark for mark, one in marked if one is place), None)
    problems = "; ".join(found.problems)
    return TableRow((*shown, problems), mark, is_strong=found.status == "conflict")
