# SPDX-License-Identifier: Apache-2.0
"""Outputs of `finesight read`: files, answers, notes, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.output import print_json
from finesight.errors import AppError

if TYPE_CHECKING:
    from finesight.apps.document.ask import DocumentAnswer
    from finesight.apps.document.pages import PageAddress
    from finesight.apps.document.records import Document, ReadPage


class Format(StrEnum):
    """Form of the written document."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"
    DOCLING = "docling"
    MINERU = "mineru"
    PDF = "pdf"
    CSV = "csv"
    XLSX = "xlsx"
    AZURE = "azure"
    LANDING = "landing"


NAMES = {
    Format.MARKDOWN: "document.md",
    Format.HTML: "document.html",
    Format.JSON: "document.json",
    Format.DOCLING: "document.docling.json",
    Format.MINERU: "document.content_list.json",
    Format.PDF: "document.pdf",
}
"""Files in the folder."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a run has read and answered."""

    document: Document
    addresses: Sequence[PageAddress]
    dpi: float | None
    answers: tuple[DocumentAnswer, ...]
    model: str


def show(
    results: Results,
    out: Path | None,
    formats: Sequence[Format],
    report: Path | None,
    *,
    as_json: bool,
) -> None:
    """Write the documents and the report, and print the JSON, the answers or the Markdown.

    Args:
        results: of the run.
        out: folder of the documents; None writes none.
        formats: of the documents.
        report: HTML file of the report.
        as_json: whether to print JSON.
    """
    written = [] if out is None else write_documents(results, out, formats)
    if report is not None:
        from finesight.apps.document.report import write_read_report

        write_read_report(
            report, results.document, results.addresses, dpi=results.dpi, answers=results.answers
        )
        sys.stderr.write(f"wrote {report}\n")
    if as_json:
        from finesight.apps.document.html import document_json

        values = {**document_json(results.document), "model": results.model, "files": written}
        if results.answers:
            values["answers"] = [one.to_dict() for one in results.answers]
        print_json(values)
    elif results.answers:
        for answer in results.answers:
            _print_answer(answer, results.document)
    elif out is None:
        from finesight.apps.document.markdown import document_markdown

        sys.stdout.write(document_markdown(results.document))


def note(document: Document) -> None:
    """Print what was left out, what differs between pages and their text layers, and their problems."""
    repeated = sum(one.role != "body" for _, one in document.blocks())
    if repeated:
        sys.stderr.write(f"{repeated} running heads and feet are left out of the Markdown\n")
    for page in document.pages:
        _note(page)


def raise_if_not_read(results: Results) -> None:
    """Raise if a page was not read to its end, or a question got no answer.

    Raises:
        AppError: naming the pages or the questions.
    """
    pages = results.document.pages
    bad = [page for page in pages if page.status in ("partly", "unreadable")]
    if bad:
        shown = ", ".join(str(page.number) for page in bad[:10]) + (
            ", ..." if len(bad) > 10 else ""
        )
        more = "; --max-tries, --max-new-tokens or another --route may read more"
        what = f"{len(bad)} of {len(pages)} pages were not read to their end: {shown}"
        raise AppError(
            what if len(pages) > 1 else "the page was not read to its end",
            hint=f"the reasons stand above{more if any(page.tries for page in bad) else ''}",
        )
    silent = [one for one in results.answers if one.found.status == "unread"]
    if silent:
        raise AppError(
            f'"{silent[0].question}" got no answer: {"; ".join(silent[0].found.problems)}',
            hint="fewer pages (--ask-pages) make the question shorter",
        )


def _print_answer(answer: DocumentAnswer, document: Document) -> None:
    sources = list(dict.fromkeys(page.source for page in document.pages))
    found = answer.found
    coverage = answer.coverage
    seen = f"{len(coverage.seen)} of {coverage.total} pages"
    way = {
        "structure": f"counted in what was read of {seen}",
        "pages": f"asked about the pictures of {seen}",
    }[answer.way]
    lines = [found.value or f"({found.status})", f"  {way}"]
    for one in found.evidence:
        box = one.box
        place = "" if box is None else f" at {box.x1:.0f}, {box.y1:.0f}, {box.x2:.0f}, {box.y2:.0f}"
        name = f" of {sources[one.media]}" if len(sources) > 1 else ""
        quote = " ".join(one.quote.split())
        lines.append(f'  page {(one.page or 0) + 1}{name}{place}: "{quote}"')
    lines += [f"  {problem}" for problem in found.problems]
    sys.stdout.write("\n".join(lines) + "\n")


def _note(page: ReadPage) -> None:
    found = (
        (len(page.missed), "line", "of the text layer not read, added from it"),
        (len(page.invented), "block", "not in the text layer"),
        (len(page.hidden), "line", "of the text layer not visible, left out"),
    )
    for number, name, words in found:
        if number:
            what = name if number == 1 else f"{name}s"
            sys.stderr.write(f"page {page.number}: {number} {what} {words}\n")
    if page.turn:
        sys.stderr.write(
            f"page {page.number}: read after {page.turn} quarter {'turn' if page.turn == 1 else 'turns'}\n"
        )
    if page.is_out_of_order:
        sys.stderr.write(
            f"page {page.number}: the order of the blocks differs from their places; --order geometry "
            "takes that of the places\n"
        )
    for one in page.skipped:
        sys.stderr.write(f"{one.what}: {one.reason}\n")
    for problem in page.problems:
        sys.stderr.write(f"page {page.number}: {problem}\n")


def write_documents(results: Results, folder: Path, formats: Sequence[Format]) -> list[str]:
    """Write the figures and the documents of those formats that hold text; returns the paths."""
    from finesight.apps.document.figures import cut_figures
    from finesight.apps.document.stitch import items_of

    figures = cut_figures(
        items_of(results.document),
        results.addresses,
        folder,
        dpi=results.dpi,
        on_problem=_complain,
    )
    written = [str(folder / name) for name in figures.values()]
    for each in dict.fromkeys(one for one in formats if one in NAMES):
        path = folder / NAMES[each]
        _write_one(each, path, results, figures)
        sys.stderr.write(f"wrote {path}\n")
        written.append(str(path))
    return written


def _write_one(form: Format, path: Path, results: Results, figures: dict[int, str]) -> None:
    from finesight import files
    from finesight.apps.document.docling import docling_json
    from finesight.apps.document.html import document_html, document_json
    from finesight.apps.document.markdown import document_markdown
    from finesight.apps.document.mineru import content_list

    document = results.document
    if form is Format.PDF:
        from finesight.apps.document.searchable import write_searchable_pdf

        write_searchable_pdf(
            path, document, results.addresses, dpi=results.dpi, on_problem=_complain
        )
    elif form in (Format.MARKDOWN, Format.HTML):
        text = document_markdown if form is Format.MARKDOWN else document_html
        files.write_text(path, text(document, figures), error=AppError, parents=True)
    else:
        values: object
        if form is Format.JSON:
            values = document_json(document)
        elif form is Format.DOCLING:
            values = docling_json(document, document.pages[0].source, figures)
        else:
            values = content_list(document, figures)
        files.write_json(path, values, error=AppError, parents=True)


def _complain(problem: str) -> None:
    sys.stderr.write(f"{problem}\n")
