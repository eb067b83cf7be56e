# SPDX-License-Identifier: Apache-2.0
"""`finesight.extract`: values of a document in the structure of a schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from finesight.api.documents import read
from finesight.api.shared import paths_of, responder_and_name
from finesight.apps.document.job import locked
from finesight.apps.document.pages import find_pages
from finesight.apps.document.read import ReadOptions
from finesight.apps.document.records import Document, Route
from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.extract.extract import extract as extract_pages
from finesight.apps.extract.extract import page_answers
from finesight.apps.extract.records import Extraction
from finesight.apps.extract.schema import SchemaSource, load_schema
from finesight.apps.extract.schema_checks import check_schema
from finesight.apps.page_images import with_images
from finesight.responder import Responder


def extract(
    files: str | Path | Sequence[str | Path],
    schema: SchemaSource,
    *,
    model: str | Path | Responder = "tiny",
    document: Document | None = None,
    pages: str | None = None,
    route: Route | Literal["auto"] = "auto",
    options: ExtractOptions | None = None,
    read_options: ReadOptions | None = None,
    dpi: float | None = None,
    out: str | Path | None = None,
) -> Extraction:
    """Extract values from one document.

    Args:
        files: PDFs, pictures and folders of them; all their pages are one document.
        schema: JSON Schema as a mapping, as text or in a file, or a pydantic model.
        model: name of a model, which is loaded on first use and cached, or what answers questions.
        document: these pages as `finesight.read` has read them; None reads them.
        pages: pages of each file, from 1: "1-3,7" or "5-"; None takes all.
        route: how a page is read, as in `finesight.read`.
        options: how values are asked for.
        read_options: how pages are read.
        dpi: resolution of PDF pages; None takes the default.
        out: folder that keeps each page as it is read, and its values; a stopped run goes on in it.

    Returns:
        `data` in the user's structure, and beside it `fields`: every value by path with its status, score and places.

    Raises:
        ConfigError: the schema or an option is wrong.
        MediaError: a file cannot be opened.
        AppError: an optional library is not installed, or `out` holds other pages or is used by another process.
    """
    own = load_schema(schema)
    check_schema(own)
    known = document or read(
        files, model=model, pages=pages, route=route, options=read_options, dpi=dpi, out=out
    )
    addresses = find_pages(paths_of(files), pages)
    responder, name = responder_and_name(model)
    asked = options or ExtractOptions()
    folder = None if out is None or document is not None else Path(out)
    with locked(folder):
        return extract_pages(
            with_images(known.pages, addresses, dpi=dpi),
            own,
            responder,
            asked,
            model=name,
            store=page_answers(folder, own, asked),
        )
