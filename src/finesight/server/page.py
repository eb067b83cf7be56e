# SPDX-License-Identifier: Apache-2.0
"""The web page at `/`, its files under `/page/`, and the pages of PDFs as pictures for it.

The files are in the folder `page`; the browser loads them as they are. The page itself needs no API key: what it shows
comes from the API, which checks the key.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from PIL import Image

from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.media.pages import page_numbers
from finesight.media.pdf import load_page, num_pages
from finesight.media.source import localize
from finesight.remote.chat_request import refuse_unknown
from finesight.server.answering import unless_gone
from finesight.server.errors import HttpError
from finesight.server.state import state_of

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    # Nothing comes from another server, no script or style is part of the HTML, and no other page shows this one.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
}
_MOST_PAGES = 50
"""Pages of a PDF that are drawn; the page asks for others by their numbers."""
_SHOWN_SIDE = 1600
"""Longest side of a drawn page, in pixels."""


@router.head("/", include_in_schema=False)  # the program of Ollama looks in this way for a server
@router.get("/")
async def page() -> Response:
    """The web page."""
    return _file("index.html")


@router.get("/page/{name}")
async def page_file(name: str) -> Response:
    """A style sheet or script of the page.

    Raises:
        HttpError: there is no such file (404).
    """
    return _file(name)


def _file(name: str) -> Response:
    path = _FOLDER / name
    # A name with a slash does not reach this route; ".." is no file.
    if path.parent != _FOLDER or path.suffix not in _TYPES or not path.is_file():
        raise HttpError(404, f"the page has no file {shown(name)}")
    kind = f"{_TYPES[path.suffix]}; charset=utf-8"
    return Response(path.read_bytes(), headers=_HEADERS, media_type=kind)


@router.post("/page/pages")
async def pdf_pages(request: Request) -> Response:
    """Pages of a PDF as JPEG pictures.

    The body is `{"file_data": ..., "pages": "1-3,7"}`; `file_data` is a `data:` address. Without `pages` the first
    pages are drawn, at most 50.
    """
    state = state_of(request)
    async with state.gate.admit(request) as body:
        draw = partial(asyncio.to_thread, _drawn, body)
        return JSONResponse(await unless_gone(request, state.encoding.run(draw)))


def _drawn(body: Any) -> dict[str, Any]:
    given = dict(body) if isinstance(body, Mapping) else {}
    refuse_unknown(given, ("file_data", "pages"), {})
    address = given.get("file_data")
    if not isinstance(address, str) or not address.startswith("data:"):
        raise ConfigError("file_data is missing", hint="give the PDF as a data: address")
    data = localize(address, kind="document").data
    count = num_pages(data)
    pages = given.get("pages")
    numbers = page_numbers(pages, count)
    if pages is not None and len(numbers) > _MOST_PAGES:
        raise ConfigError(f"{len(numbers)} pages are asked for; at most {_MOST_PAGES} are drawn")
    drawn = [_picture(load_page(data, number), number) for number in numbers[:_MOST_PAGES]]
    return {"num_pages": count, "pages": drawn}


def _picture(image: Image.Image, number: int) -> dict[str, Any]:
    """A page as the browser shows it; `width` and `height` are those that boxes refer to."""
    width, height = image.size
    image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    address = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    return {"page": number, "width": width, "height": height, "url": address}
