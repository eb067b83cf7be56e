# SPDX-License-Identifier: Apache-2.0
"""`finesight read`: PDFs and pictures of pages as Markdown, HTML and JSON."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import reported
from finesight.cli.output import check_writable, print_json
from finesight.cli.progress import ItemProgress
from finesight.cli.session import ModelChoice
from finesight.errors import AppError

if TYPE_CHECKING:
    from finesight.apps.document.job import Job
    from finesight.apps.document.records import Document, ReadPage, Route
    from finesight.responder import Responder


class Format(StrEnum):
    """Form of the written document."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"


class RouteChoice(StrEnum):
    """How a page is asked for."""

    AUTO = "auto"
    HTML = "html"
    SPOTTING = "spotting"
    TEXT = "text"


_ROUTES: dict[RouteChoice, Route] = {
    RouteChoice.AUTO: "html",
    RouteChoice.HTML: "html",
    RouteChoice.SPOTTING: "spotting",
    RouteChoice.TEXT: "text",
}


Files = Annotated[
    list[Path],
    typer.Argument(help="PDFs, pictures, and folders of them, in the order of their names."),
]
Pages = Annotated[
    str | None, typer.Option(help="Pages of each file, from 1: 1-3,7 or 5-.", metavar="PAGES")
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the documents and for each page as it is read; a stopped run goes on in it.",
        metavar="DIR",
    ),
]
Formats = Annotated[
    list[Format], typer.Option("--format", help="Form of the documents in --out. Repeatable.")
]
RouteOption = Annotated[
    RouteChoice,
    typer.Option(
        help="How a page is asked for: as QwenVL HTML, as lines with boxes, or as plain text; auto tries "
        "them on the first page."
    ),
]
Dpi = Annotated[float | None, typer.Option(min=1, help="Resolution of PDF pages.")]
MaxTries = Annotated[int, typer.Option(min=1, help="Most questions about one page.")]


def read(
    files: Files,
    *,
    pages: Pages = None,
    out: Out = None,
    formats: Formats = [Format.MARKDOWN, Format.JSON],  # noqa: B006  # typer copies it
    route: RouteOption = RouteChoice.AUTO,
    dpi: Dpi = None,
    max_tries: MaxTries = 6,
    model: options.ModelName = options.DEFAULT_MODEL,
    mmproj: options.Mmproj = None,
    adapters: options.Adapters = None,
    as_json: options.AsJson = False,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = 2048,
    device: options.Device = "auto",
    dtype: options.Dtype = None,
    weights: options.Weights = None,
    vision_weights: options.VisionWeights = None,
    draft_tokens: options.DraftTokens = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Read documents; without --out, the Markdown is printed.

    Pages of a PDF are compared with its text layer: lines that the model did not read are added at their place, blocks
    that the layer does not have are reported, and text that cannot be seen is left out and reported. The exit code is
    1 if a page was not read to its end; everything that was read is written.
    """
    with reported(debug=debug):
        if out is not None:
            check_writable(out, is_folder=True)
        from finesight.apps.document.job import Job
        from finesight.apps.document.pages import find_pages
        from finesight.apps.document.read import ReadOptions

        addresses = find_pages(files, pages)
        responder = _responder(ModelChoice.of(locals()))
        given = options.given(locals())
        asked = ReadOptions(
            route=_ROUTES[route],
            max_tries=max_tries,
            max_new_tokens=given.get("max_new_tokens") or 2048,
            min_pixels=given.get("min_pixels"),
            max_pixels=given.get("max_pixels"),
        )
        job = Job(addresses, asked, model, dpi=dpi, folder=out)
        document = _read(_probed(job, responder) if route is RouteChoice.AUTO else job, responder)
        _show(document, out, formats, model if as_json else None)


def _show(document: Document, out: Path | None, formats: list[Format], model: str | None) -> None:
    """Write the documents and print the JSON or the Markdown; raise if a page was not read to its end.

    Args:
        document: the pages.
        out: folder of the documents; None prints the Markdown.
        formats: of the documents.
        model: name of the model, if the JSON is to be printed.
    """
    written = [] if out is None else _write(document, out, formats)
    if model is not None:
        from finesight.apps.document.html import document_json

        print_json({**document_json(document), "model": model, "files": written})
    elif out is None:
        from finesight.apps.document.markdown import document_markdown

        sys.stdout.write(document_markdown(document))
    _raise_if_not_read(document)


def _responder(choice: ModelChoice) -> Responder:
    from finesight.cli.batch import opened

    return opened(choice, 1, deterministic=False)


def _probed(job: Job, responder: Responder) -> Job:
    """The job with the route of its first page with ink, unless an earlier run has chosen one."""
    from dataclasses import replace

    from finesight.apps.document.job import route_for

    route = route_for(job, responder)
    sys.stderr.write(f"pages are read as {route}\n")
    return replace(job, options=replace(job.options, route=route))


def _read(job: Job, responder: Responder) -> Document:
    from finesight.apps.document.job import read_pages

    done = 0
    kept = 0

    def on_page(page: ReadPage, was_known: bool) -> None:
        nonlocal done, kept
        done, kept = done + 1, kept + was_known
        progress(done, len(job.pages), f"page {page.number} {page.status}")

    with ItemProgress() as progress:
        job.check()
        document = read_pages(job, responder, on_page=on_page)
    counts = Counter(page.status for page in document.pages)
    words = ", ".join(f"{number} {status}" for status, number in counts.items())
    again = f", {kept} of them by an earlier run" if kept else ""
    sys.stderr.write(f"{len(document.pages)} pages: {words}{again}\n")
    for page in document.pages:
        _note(page)
    return document


def _note(page: ReadPage) -> None:
    """Print what differs between the page and its text layer, and its problems."""
    found = (
        (len(page.missed), "lines of the text layer were not read and are added from it"),
        (len(page.invented), "blocks are not in the text layer"),
        (len(page.hidden), "lines of the text layer cannot be seen and are left out"),
    )
    for number, words in found:
        if number:
            sys.stderr.write(f"page {page.number}: {number} {words}\n")
    for problem in page.problems:
        sys.stderr.write(f"page {page.number}: {problem}\n")


def _write(document: Document, folder: Path, formats: Sequence[Format]) -> list[str]:
    from finesight import files
    from finesight.apps.document.html import document_html, document_json
    from finesight.apps.document.markdown import document_markdown

    written = []
    for each in dict.fromkeys(formats):
        path = folder / f"document.{each.value}"
        if each is Format.JSON:
            files.write_json(path, document_json(document), error=AppError, parents=True)
        else:
            text = {Format.MARKDOWN: document_markdown, Format.HTML: document_html}[each](document)
            files.write_text(path, text, error=AppError, parents=True)
        sys.stderr.write(f"wrote {path}\n")
        written.append(str(path))
    return written


def _raise_if_not_read(document: Document) -> None:
    bad = [page.number for page in document.pages if page.status in ("partly", "unreadable")]
    if bad:
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        raise AppError(
            f"{len(bad)} of {len(document.pages)} pages were not read to their end: {shown}",
            hint="what was read is written; --max-tries, --max-new-tokens or another --route may read more",
        )
