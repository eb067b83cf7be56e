# SPDX-License-Identifier: Apache-2.0
"""`finesight.read`: documents as blocks with places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from finesight.api.shared import paths_of, responder_and_name
from finesight.apps.document.job import Job, read_pages, route_for
from finesight.apps.document.pages import find_pages
from finesight.apps.document.read import ReadOptions
from finesight.apps.document.records import Document, Route
from finesight.apps.document.stitch import Order
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.responder import Responder


def read(
    files: str | Path | Sequence[str | Path],
    *,
    model: str | Path | Responder = "tiny",
    pages: str | None = None,
    route: Route | Literal["auto"] = "auto",
    options: ReadOptions | None = None,
    dpi: float | None = None,
    order: Order = "model",
    upright: Literal["auto", "off"] = "auto",
    out: str | Path | None = None,
) -> Document:
    """Read PDFs and pictures of pages.

    Args:
        files: PDFs, pictures, and folders of them.
        model: name of a model, which is loaded on first use and cached, or what answers questions.
        pages: pages of each file, from 1: "1-3,7" or "5-"; None takes all.
        route: how a page is asked for; "auto" tries the routes on the first page.
        options: limits of the answers; its `route` and `upright` are ignored.
        dpi: resolution of PDF pages; None takes the default.
        order: of the blocks of each page: as the model wrote them, or by their places ("geometry").
        upright: "auto" asks about pages without a text layer in four turns first.
        out: folder that keeps each page as it is read; a stopped run goes on in it.

    Returns:
        The document; boxes are in pixels of the drawn pages (`ReadPage.size`). A page that cannot be read has a
        status and a reason.

    Raises:
        ConfigError: an option is wrong, or there is nothing to read.
        MediaError: a file cannot be opened.
        AppError: `out` holds pages that were read with other settings.
    """
    if route not in ("auto", "html", "spotting", "text"):
        raise ConfigError(
            f"route is {shown(route)}", hint='it is "auto", "html", "spotting" or "text"'
        )
    if order not in ("model", "geometry"):
        raise ConfigError(f"order is {shown(order)}", hint='it is "model" or "geometry"')
    if upright not in ("auto", "off"):
        raise ConfigError(f"upright is {shown(upright)}", hint='it is "auto" or "off"')
    addresses = find_pages(paths_of(files), pages)
    responder, name = responder_and_name(model)
    asked = replace(options or ReadOptions(), upright=upright == "auto")
    job = Job(addresses, asked, name, dpi=dpi, folder=None if out is None else Path(out))
    chosen = route_for(job, responder) if route == "auto" else route
    job = replace(job, options=replace(asked, route=chosen))
    job.check()
    return read_pages(job, responder, order=order)
