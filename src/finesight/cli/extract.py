# SPDX-License-Identifier: Apache-2.0
"""`finesight read --schema`: values of documents in the user's structure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.errors import CHECK_FAILED
from finesight.cli.output import print_json
from finesight.cli.read_output import Format, Results, raise_if_not_read, write_documents
from finesight.errors import AppError

if TYPE_CHECKING:
    from finesight.apps.document.read import ReadOptions
    from finesight.apps.document.records import ReadPage
    from finesight.apps.extract.records import Extraction
    from finesight.apps.extract.schema import Schema
    from finesight.apps.extract.services import Extracted
    from finesight.apps.extract.write import Form
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

_OF_VALUES = (Format.CSV, Format.XLSX, Format.AZURE, Format.LANDING)
_FORMS: tuple[Form, ...] = ("json", "csv", "xlsx")


@dataclass(frozen=True, slots=True)
class FieldsJob:
    """Values to extract, and where they are written.

    Attributes:
        schema: of the values.
        out: folder of the files; None writes none.
        formats: of the documents and of the values.
        report: HTML file of the report.
        is_one: whether all files are pages of one document.
    """

    schema: Schema
    out: Path | None
    formats: Sequence[Format]
    report: Path | None
    is_one: bool

    def show(
        self, results: Results, responder: Responder, options: ReadOptions, *, as_json: bool
    ) -> None:
        """Extract the values of each document, write them, and print them as JSON unless there is a folder.

        Args:
            results: the documents as they were read.
            responder: answers questions about pictures.
            options: limits of the answers.
            as_json: whether to print the values even if they are written.

        Raises:
            AppError: a page was not read to its end.
            typer.Exit: with `CHECK_FAILED` if a value is in conflict, invalid or unread, or a rule fails.
        """
        found = self._extracted(results, responder, options)
        extractions = {name: one for name, one, _ in found}
        written: list[str] = []
        if self.out is not None:
            written += write_documents(results, self.out, self.formats)
            written += _write(extractions, self.out, self.formats)
            written += self._write_for_services(found, self.out, results.model)
        if self.report is not None:
            from finesight.apps.extract.report import write_extract_report
            from finesight.apps.page_images import page_loader

            write_extract_report(
                self.report, found, page_loader(results.addresses, dpi=results.dpi)
            )
            sys.stderr.write(f"wrote {self.report}\n")
        if as_json or self.out is None:
            from finesight.apps.extract.write import extraction_json

            values = {**extraction_json(extractions), "model": results.model, "files": written}
            if results.answers:
                values["answers"] = [one.to_dict() for one in results.answers]
            print_json(values)
        sound = [_note(name, one) for name, one in extractions.items()]
        raise_if_not_read(results)
        if not all(sound):
            raise typer.Exit(CHECK_FAILED)

    def _write_for_services(
        self, found: Sequence[Extracted], folder: Path, model: str
    ) -> list[str]:
        """Write the values with the names of other services; returns the paths."""
        from finesight import files
        from finesight.apps.extract.services import azure_json, landing_json

        written = []
        for form in dict.fromkeys(self.formats):
            if form not in (Format.AZURE, Format.LANDING):
                continue
            path = folder / f"extraction.{form.value}.json"
            is_azure = form is Format.AZURE
            values = azure_json(found, self.schema, model) if is_azure else landing_json(found)
            files.write_json(path, values, error=AppError, parents=True)
            sys.stderr.write(f"wrote {path}\n")
            written.append(str(path))
        return written

    def _extracted(
        self, results: Results, responder: Responder, options: ReadOptions
    ) -> list[tuple[str, Extraction, tuple[ReadPage, ...]]]:
        from finesight.apps.document.job import locked
        from finesight.apps.extract.ask import ExtractOptions
        from finesight.apps.extract.extract import extract, page_answers
        from finesight.apps.page_images import with_images

        asked = ExtractOptions(
            max_new_tokens=options.max_new_tokens,
            min_pixels=options.min_pixels,
            max_pixels=options.max_pixels,
        )
        store = page_answers(self.out, self.schema, asked, is_one=self.is_one)
        pairs = zip(results.document.pages, results.addresses, strict=True)
        found = []
        groups = groupby(pairs, key=lambda pair: None if self.is_one else pair[1].path)
        with locked(self.out):
            for path, group in groups:
                pages, addresses = zip(*group, strict=True)
                images = with_images(pages, addresses, dpi=results.dpi)
                one = extract(
                    images, self.schema, responder, asked, model=results.model, store=store
                )
                found.append(("document" if path is None else str(path), one, pages))
        return found


def checked(
    schema: str | None,
    out: Path | None,
    formats: Sequence[Format],
    report: Path | None,
    *,
    is_one: bool,
) -> FieldsJob | None:
    """The values that a command line asks for, checked before a model is opened; None if it has no schema.

    Raises:
        ConfigError: the schema is wrong, or an output needs another option.
    """
    from finesight.errors import ConfigError

    forms = [one for one in formats if one in _OF_VALUES]
    if forms and (schema is None or out is None):
        needed = "--schema" if schema is None else "--out"
        raise ConfigError(
            f"--format {forms[0].value} needs {needed}",
            hint="--schema FILE names the values, --out DIR is the folder of the files",
        )
    if schema is None:
        if is_one:
            raise ConfigError(
                "--one-document needs --schema",
                hint="without a schema, all files are one document anyway: leave --one-document out",
            )
        return None
    from finesight.apps.extract.schema import load_schema
    from finesight.apps.extract.schema_checks import check_schema

    found = load_schema(schema)
    check_schema(found)
    return FieldsJob(found, out, formats, report, is_one)


def _write(
    extractions: dict[str, Extraction], folder: Path, formats: Sequence[Format]
) -> list[str]:
    """Write the values in their formats; without one of these, as JSON, so that they are not lost."""
    from finesight.apps.extract.write import write_extractions

    written = []
    forms = [form for form in _FORMS if Format(form) in formats]
    if not forms and not {Format.AZURE, Format.LANDING} & set(formats):
        forms = ["json"]
    for form in forms:
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
