# SPDX-License-Identifier: Apache-2.0
"""A review as one HTML page: verdicts with reasons, pages with their quotes, differences of two versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from finesight.apps.document.records import ReadPage
from finesight.apps.evidence import Evidence
from finesight.apps.page_figures import Marked, marks_of_places, page_figures
from finesight.apps.page_images import PageLoader
from finesight.apps.review.records import NOTE, ClauseChange, Review, RuleResult
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
    write_page,
)

__all__ = ["write_review_report"]

_LONGEST = 400
_SIGNS = {"kept": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}


def write_review_report(
    path: Path, name: str, review: Review, pages: Sequence[ReadPage], load: PageLoader
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        name: of the document.
        review: its results.
        pages: of the document.
        load: draws a page.

    Raises:
        AppError: the file cannot be written.
    """
    page = Page(title=f"Review: {name}", sections=_sections(review, pages, load), footer=NOTE)
    write_page(path, page, error=AppError, parents=True)


def _sections(review: Review, pages: Sequence[ReadPage], load: PageLoader) -> Iterator[Section]:
    if review.results:
        places = [(one.rule.id, place) for one in review.results for place in one.evidence]
        marked = marks_of_places(places)
        yield Section(review.title, tuple(_rules(review, marked)))
        yield Section("Quotes on their pages", tuple(page_figures(pages, marked, load)))
    if review.changes is not None:
        yield Section("Differences from the other version", (_changes(review.changes),))


def _rules(review: Review, marked: Sequence[Marked]) -> Iterator[PagePart]:
    counts = {
        verdict: sum(one.verdict == verdict for one in review.results)
        for verdict in ("pass", "fail", "missing", "unclear")
    }
    seen = f"{len(review.coverage.seen)} of {review.coverage.total} pages read"
    bad = tuple(f"{counts[key]} {key}" for key in ("fail", "missing", "unclear") if counts[key])
    yield Facts((f"{counts['pass']} pass", seen), bad)
    header = ("rule", "verdict", "severity", "reason", "quote", "page", "advice")
    yield Table("Rules", header, tuple(_row(one, marked) for one in review.results), ("page",))
    skipped = tuple(f"{one.what}: {one.reason}" for one in review.coverage.skipped)
    problems = (*review.problems, *(text for one in review.results for text in one.problems))
    if skipped or problems:
        yield Notes((*skipped, *problems), "Problems", is_warning=True)


def _row(one: RuleResult, marked: Sequence[Marked]) -> TableRow:
    quote = one.evidence[0].quote if one.evidence else ""
    first = one.evidence[0] if one.evidence else None
    mark = next((mark for mark, place in marked if place is first), None)
    cells = (one.rule.id, one.verdict, one.rule.severity, one.reason, shortened(quote, _LONGEST))
    where = (_pages(one.evidence), one.rule.advice)
    return TableRow((*cells, *where), mark, is_strong=one.verdict in ("fail", "missing"))


def _changes(changes: Sequence[ClauseChange]) -> PagePart:
    if not changes:
        return Notes(("The two versions have the same clauses.",))
    rows = tuple(
        TableRow(
            (
                one.kind,
                one.old_number,
                _pages(one.old_evidence),
                one.new_number,
                _pages(one.new_evidence),
                shortened(_marked(one), 4 * _LONGEST),
            )
        )
        for one in changes
    )
    header = ("change", "old number", "old page", "new number", "new page", "text")
    return Table("Clauses; [-removed-] and {+added+} words", header, rows)


def _marked(one: ClauseChange) -> str:
    return " ".join(f"{_SIGNS[kind][0]}{text}{_SIGNS[kind][1]}" for kind, text in one.words)


def _pages(evidence: Sequence[Evidence]) -> str:
    numbers = (one.page + 1 for one in evidence if one.page is not None)
    return ", ".join(str(number) for number in dict.fromkeys(numbers))
