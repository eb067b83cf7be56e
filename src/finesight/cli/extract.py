# SPDX-License-Identifier: Apache-2.0
"""`finesight read --schema`: values of documents in the user's structure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.errors import CHECK_FAILED
from finesight.cli.output import print_json
from finesight.cli.read_output import Format, Results, raise_if_not_read, write_documents

if TYPE_CHECKING:
    from finesight.apps.document.records import ReadPage
    from finesight.apps.extract.records import Extraction
    from finesight.apps.extract.schema import Schema
    from finesight.responder import Responder

SchemaFile = Annotated[
    str | None,
    typer.Option(
        "--schema",
        help="JSON Schema, in a file or as text: the values of each file are extracted in its structure, with their "
        "places.",
        metavar="FILE|JSON",
    ),
]
OneDocument = Annotated[
    bool,
    typer.Option(
        "--one-document",
        help="With --schema: all files are pages of one document, not one document each.",
    ),
]

_TABLES = (Format.CSV, Format.XLSX)


def read_schema(schema: str | None, out: Path | None, formats: Sequence[Format]) -> Schema | None:
    """The schema of the command line, checked before a model is opened.

    Raises:
        ConfigError: it is wrong, or an output needs another option.
    """
    from finesight.errors import ConfigError

    tables = [one for one in formats if one in _TABLES]
    if tables and schema is None:
        raise ConfigError(
            f"--format {tables[0].value} needs --schema",
            hint="--schema FILE names the values to extract",
        )
    if tables and out is None:
        raise ConfigError(
            f"--format {tables[0].value} needs --out", hint="--out DIR is the folder of the files"
        )
    if schema is None:
        return None
    from finesight.apps.extract.checks import check_rules
    from finesight.apps.extract.schema import load_schema

    found = load_schema(schema)
    check_rules(found)
    return found


def extract_and_show(
    schema: Schema,
    results: Results,
    responder: Responder,
    out: Path | None,
    formats: Sequence[Format],
    report: Path | None,
    *,
    is_one: bool,
    as_json: bool,
    max_new_tokens: int,
) -> None:
    """Extract the values of each document, write them, and print them as JSON.

    Raises:
        AppError: a page was not read to its end; everything is written before.
        typer.Exit: with `CHECK_FAILED` if a value is in conflict, invalid or unread, or a rule fails.
    """
    found = _extracted(schema, results, responder, is_one=is_one, max_new_tokens=max_new_tokens)
    extractions = {name: one for name, one, _ in found}
    written = [] if out is None else write_documents(results, out, formats)
    written += [] if out is None else _write(extractions, out, formats)
    if report is not None:
        from finesight.apps.extract.report import write_extract_report
        from finesight.apps.page_images import page_loader

        write_extract_report(report, found, page_loader(results.addresses, dpi=results.dpi))
        sys.stderr.write(f"wrote {report}\n")
    if as_json or out is None:
        from finesight.apps.extract.write import extraction_json

        print_json({**extraction_json(extractions), "model": results.model, "files": written})
    doubtful = [name for name, one in extractions.items() if not _note(name, one)]
    raise_if_not_read(results)
    if doubtful:
        raise typer.Exit(CHECK_FAILED)


def _extracted(
    schema: Schema, results: Results, responder: Responder, *, is_one: bool, max_new_tokens: int
) -> list[tuple[str, Extraction, tuple[ReadPage, ...]]]:
    from finesight.apps.extract.ask import ExtractOptions
    from finesight.apps.extract.extract import extract
    from finesight.apps.page_images import with_images

    options = ExtractOptions(max_new_tokens=max_new_tokens)
    pairs = list(zip(results.document.pages, results.addresses, strict=True))
    groups = groupby(pairs, key=lambda pair: None if is_one else pair[1].path)
    found = []
    for path, group in groups:
        pages, addresses = zip(*group, strict=True)
        images = with_images(pages, addresses, dpi=results.dpi)
        one = extract(images, schema, responder, options, model=results.model)
        found.append(("document" if path is None else str(path), one, pages))
    return found


def _write(
    extractions: dict[str, Extraction], folder: Path, formats: Sequence[Format]
) -> list[str]:
    from finesight.apps.extract.write import write_extractions

    written = []
    for form in ("json", "csv", "xlsx"):
        if Format(form) in formats:
            path = folder / f"extraction.{form}"
            write_extractions(path, extractions, form)
            sys.stderr.write(f"wrote {path}\n")
            written.append(str(path))
    return written


def _note(name: str, one: Extraction) -> bool:
    """Print what is in doubt; returns whether nothing is."""
    for path, found in one.fields.items():
        if found.status in ("conflict", "invalid", "unread"):
            sys.stderr.write(f"{name}: {path} is {found.status}: {'; '.join(found.problems)}\n")
    for check in one.checks:
        if check.outcome == "fail":
            sys.stderr.write(f"{name}: the rule {check.rule!r} fails with {dict(check.used)}\n")
    for problem in one.problems:
        sys.stderr.write(f"{name}: {problem}\n")
    return one.is_sound
