# SPDX-License-Identifier: Apache-2.0
"""`finesight read`: PDFs and pictures of pages as Markdown, HTML, JSON or searchable PDF, and questions about them."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import extract, options
from finesight.cli.command import command
from finesight.cli.model_choice import DraftingModel
from finesight.cli.output import check_report, check_writable
from finesight.cli.progress import ItemProgress
from finesight.cli.read_output import Format, Results, note, raise_if_not_read, show
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.apps.document.ask import DocumentAnswer
    from finesight.apps.document.job import Job
    from finesight.apps.document.records import Document, ReadPage, Route
    from finesight.responder import Responder


class RouteChoice(StrEnum):
    """How a page is asked for."""

    AUTO = "auto"
    HTML = "html"
    SPOTTING = "spotting"
    TEXT = "text"


class OrderChoice(StrEnum):
    """Order of the blocks of a page."""

    MODEL = "model"
    GEOMETRY = "geometry"


class UprightChoice(StrEnum):
    """Whether pages are turned."""

    AUTO = "auto"
    OFF = "off"


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
MaxFigures = Annotated[
    int,
    typer.Option(
        min=0,
        help="Most figures without text of one page that are asked about as pages of their own.",
    ),
]
OrderOption = Annotated[
    OrderChoice,
    typer.Option(
        "--order", help="Order of the blocks: as the model wrote them, or by their places."
    ),
]
Upright = Annotated[
    UprightChoice,
    typer.Option(help="Whether pages without a text layer are asked about in four turns first."),
]
Photo = Annotated[
    bool,
    typer.Option(
        "--photo",
        help="Pages without a text layer are photographs of a sheet, which is straightened by its four corners.",
    ),
]
Ask = Annotated[
    list[str] | None,
    typer.Option(
        help="Answer a question about the documents, with quotes and their places. Repeatable.",
        metavar="QUESTION",
    ),
]
AskPages = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="With --ask: most pages that are shown to the model for one question.",
        show_default="8",
    ),
]


@command
def read(
    files: Files,
    *,
    pages: Pages = None,
    out: Out = None,
    formats: Formats = [Format.MARKDOWN, Format.JSON],  # noqa: B006  # typer copies it
    route: RouteOption = RouteChoice.AUTO,
    dpi: Dpi = None,
    max_tries: MaxTries = 6,
    max_figures: MaxFigures = 4,
    order: OrderOption = OrderChoice.MODEL,
    upright: Upright = UprightChoice.AUTO,
    photo: Photo = False,
    ask: Ask = None,
    ask_pages: AskPages = None,
    schema: extract.SchemaFile = None,
    one_document: extract.OneDocument = False,
    report: options.Report = None,
    model: DraftingModel,
    as_json: options.AsJson = False,
    min_pixels: options.MinPixels = None,
    max_pixels: options.MaxPixels = None,
    max_new_tokens: options.MaxNewTokens = 2048,
) -> None:
    """Read documents; without --out, the Markdown is printed.

    Pages of a PDF are compared with its text layer: lines that the model did not read are added at their place, blocks
    that the layer does not have are reported, and text that cannot be seen is left out and reported. Running heads and
    feet are left out of the Markdown; texts and tables that go on over pages are joined. The exit code is 1 if a page
    was not read to its end, or a question got no answer; everything that was read is written. It is 3 if an
    extracted value is in doubt or a rule of the schema fails.
    """
    _check(out, formats, report, ask or [], ask_pages)
    fields = extract.checked(schema, out, formats, report, is_one=one_document)
    from finesight.apps.document.job import Job
    from finesight.apps.document.pages import find_pages
    from finesight.apps.document.read import ReadOptions

    asked = ReadOptions(
        route=_ROUTES[route],
        max_tries=max_tries,
        max_new_tokens=max_new_tokens or 2048,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        upright=upright is UprightChoice.AUTO,
        is_photo=photo,
        max_figures=max_figures,
    )
    job = Job(find_pages(files, pages), asked, model.name, dpi=dpi, folder=out)
    responder = model.opened()
    if route is RouteChoice.AUTO:
        job = _probed(job, responder)
    document = _read(job, responder, order)
    answers = [_answered(each, document, job, responder, ask_pages or 8) for each in ask or []]
    results = Results(document, job.pages, dpi, tuple(answers), model.name)
    if fields is not None:
        fields.show(results, responder, asked, as_json=as_json)
        return
    show(results, out, formats, report, as_json=as_json)
    raise_if_not_read(results)


def _check(
    out: Path | None,
    formats: list[Format],
    report: Path | None,
    questions: list[str],
    most_pages: int | None,
) -> None:
    """Refuse outputs that cannot be written and questions that cannot be asked, before a model is opened."""
    _check_questions(questions, most_pages)
    if out is not None:
        check_writable(out, is_folder=True)
    if report is not None:
        check_report(report)
    only_files = {Format.DOCLING, Format.MINERU, Format.PDF} & set(formats)
    if out is None and only_files:
        raise ConfigError(
            f"--format {min(only_files).value} needs --out",
            hint="--out DIR is the folder of the documents",
        )


def _check_questions(questions: list[str], most_pages: int | None) -> None:
    if not all(one.strip() for one in questions):
        raise ConfigError("--ask is empty", hint='give a question: --ask "What is the total?"')
    if most_pages is not None and not questions:
        raise ConfigError(
            "--ask-pages needs --ask", hint="it limits the pages of a question: --ask QUESTION"
        )


def _answered(
    question: str, document: Document, job: Job, responder: Responder, max_pages: int
) -> DocumentAnswer:
    from finesight.apps.document.ask import ask_document

    return ask_document(
        question,
        document,
        job.pages,
        responder,
        max_pages=max_pages,
        dpi=job.dpi,
        max_pixels=job.options.max_pixels,
    )


def _probed(job: Job, responder: Responder) -> Job:
    """The job with the route of its first page with ink, unless an earlier run has chosen one."""
    from finesight.apps.document.job import route_for

    route = route_for(job, responder)
    sys.stderr.write(f"pages are read as {route}\n")
    return replace(job, options=replace(job.options, route=route))


def _read(job: Job, responder: Responder, order: OrderChoice) -> Document:
    from finesight.apps.document.job import read_pages

    done = 0
    kept = 0

    def on_page(page: ReadPage, was_known: bool) -> None:
        nonlocal done, kept
        done, kept = done + 1, kept + was_known
        progress(done, len(job.pages), f"page {page.number} {page.status}")

    with ItemProgress() as progress:
        job.check()
        document = read_pages(job, responder, order=order.value, on_page=on_page)
    counts = Counter(page.status for page in document.pages)
    words = ", ".join(f"{number} {status}" for status, number in counts.items())
    again = f", {kept} of them by an earlier run" if kept else ""
    number = len(document.pages)
    sys.stderr.write(f"{number} {'page' if number == 1 else 'pages'}: {words}{again}\n")
    note(document)
    return document
