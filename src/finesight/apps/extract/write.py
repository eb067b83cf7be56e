# SPDX-License-Identifier: Apache-2.0
"""Extracted values as JSON, CSV and XLSX: one row a value, with status, score, page, box and quote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from finesight import files
from finesight.apps.evidence import Found, rounded
from finesight.apps.extract.records import Extraction
from finesight.apps.extras import required
from finesight.errors import AppError

__all__ = ["COLUMNS", "Form", "extraction_json", "rows_of", "write_extractions"]

Form: TypeAlias = Literal["json", "csv", "xlsx"]

COLUMNS = (
    *("document", "path", "value", "raw", "status", "score"),
    *("file_index", "page", "x1", "y1", "x2", "y2", "quote", "match", "source", "problems"),
)
"""Columns of the tables; pages are counted from 1, as pages of their file."""

SCHEMA_VERSION = 1
"""Version of the JSON; it increases when a key changes its meaning or is removed."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins like this would be run as a formula by programs that open a CSV file."""


def extraction_json(extractions: Mapping[str, Extraction]) -> dict[str, Any]:
    """All documents by name, in plain JSON types."""
    documents = [{"document": name, **one.to_dict()} for name, one in extractions.items()]
    return {"schema_version": SCHEMA_VERSION, "documents": documents}


def rows_of(extractions: Mapping[str, Extraction]) -> list[list[Any]]:
    """Rows of the tables, without their header; the place is that of the first evidence."""
    return [
        [name, path, *_cells(found)]
        for name, one in extractions.items()
        for path, found in one.fields.items()
    ]


def write_extractions(path: Path, extractions: Mapping[str, Extraction], form: Form) -> None:
    """Write all documents into one file.

    Raises:
        AppError: it cannot be written, or openpyxl is not installed.
    """
    if form == "json":
        files.write_json(path, extraction_json(extractions), error=AppError, parents=True)
        return
    rows = rows_of(extractions)
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(COLUMNS)
        writer.writerows([_inert(cell) for cell in row] for row in rows)
        # With a byte order mark, spreadsheet programs read the text as UTF-8.
        files.write_bytes(path, buffer.getvalue().encode("utf-8-sig"), error=AppError, parents=True)
        return
    _write_xlsx(path, rows)


def _write_xlsx(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with required("openpyxl", "the format xlsx"):
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    book = Workbook(write_only=True)
    sheet = book.create_sheet("values")
    sheet.append(COLUMNS)
    for row in rows:
        cells = []
        for value in row:
            clean = ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value
            cell = WriteOnlyCell(sheet, clean)
            if isinstance(clean, str):
                cell.data_type = "s"  # never a formula
            cells.append(cell)
        sheet.append(cells)
    with files.whole_file(path, error=AppError, parents=True) as draft:
        book.save(draft)


def _cells(found: Found[Any]) -> list[Any]:
    value = found.value
    shown = (
        json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, list, dict)) else value
    )
    place = found.evidence[0] if found.evidence else None
    edges: Sequence[Any] = rounded(place.box) if place and place.box else [None] * 4
    where = [None, None] if place is None else [place.media, (place.page or 0) + 1]
    what = ["", "", ""] if place is None else [place.quote, place.match, place.source]
    score = found.score.value
    return [
        *(shown, found.raw, found.status, None if score is None else round(score, 4)),
        *(*where, *edges, *what, "; ".join(found.problems)),
    ]


def _inert(cell: Any) -> Any:
    """A cell that no program takes for a formula; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
