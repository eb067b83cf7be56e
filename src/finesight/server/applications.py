# SPDX-License-Identifier: Apache-2.0
"""`/v1/apps/...`: the applications, answered by the models of the server.

::

    POST /v1/apps/read              a document as Markdown and blocks with places
    POST /v1/apps/extract           values of a document in the structure of a schema
    POST /v1/apps/locate            places of what phrases describe
    POST /v1/apps/describe-screen   controls and texts of a screenshot

The file is sent as `file_data` (a `data:` address or base64), or as `file_url`. A response is what the command of the
same name prints with `--json`. What could not be read is named in it with the reason; its status is then 200 as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from finesight.apps.accessibility.describe import DescribeOptions, describe
from finesight.apps.document.html import document_json
from finesight.apps.document.job import Job, read_pages, route_for
from finesight.apps.document.markdown import document_markdown
from finesight.apps.document.pages import PageAddress, find_pages
from finesight.apps.document.read import ReadOptions
from finesight.apps.document.records import Document, Route
from finesight.apps.document.stitch import Order
from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.extract.extract import extract
from finesight.apps.extract.schema import load_schema
from finesight.apps.extract.schema_checks import check_schema
from finesight.apps.extract.write import extraction_json
from finesight.apps.grounding.detect import search_within
from finesight.apps.grounding.locate import locate
from finesight.apps.page_images import with_images
from finesight.errors import ConfigError, FinesightError
from finesight.media.image import load_image
from finesight.media.source import scheme_of
from finesight.remote.documents import opened_file
from finesight.server.answering import unless_gone
from finesight.server.app_fields import Fields
from finesight.server.asking import Asking, Ended
from finesight.server.chat import model_of
from finesight.server.models import Served
from finesight.server.schema import APPS, documented
from finesight.server.state import state_of

router = APIRouter()

MOST_PAGES = 50
"""Pages of one request; a longer document is read in several."""
_ROUTES: tuple[Route | Literal["auto"], ...] = ("auto", "html", "spotting", "text")
_ORDERS: tuple[Order, ...] = ("model", "geometry")
_READ = ("pages", "route", "order", "upright", "photo")


@dataclass(frozen=True, slots=True)
class _Call:
    """What an application works on."""

    fields: Fields
    data: bytes | Path
    served: Served
    asking: Asking

    @property
    def source(self) -> str:
        """Name of the file."""
        return self.data.name if isinstance(self.data, Path) else self.fields.filename("file")

    @contextmanager
    def pages(self) -> Iterator[list[PageAddress]]:
        """The pages of the file, which is on the disk meanwhile."""
        with TemporaryDirectory(prefix="finesight-") as folder:
            if isinstance(self.data, Path):
                path = self.data
            else:
                path = Path(folder, self.source)
                path.write_bytes(self.data)
            try:
                found = find_pages([path], self.fields.pages())
            except FinesightError as error:  # the client does not know the folder
                error.message = _without(folder, error.message)
                raise
            if len(found) > MOST_PAGES:
                raise ConfigError(
                    f"{len(found)} pages are asked for; at most {MOST_PAGES} are read in one request",
                    hint=f'give some of them: "pages": "1-{MOST_PAGES}"',
                )
            yield found


_Work = Callable[[_Call], dict[str, Any]]


@router.post("/v1/apps/read", **documented(APPS["read"]))
async def read_document(request: Request) -> Response:
    """Read a PDF or a picture of a page; also gives its Markdown."""
    return await _answered(request, _read, _READ)


@router.post("/v1/apps/extract", **documented(APPS["extract"]))
async def extract_fields(request: Request) -> Response:
    """Extract the values of a JSON Schema from a document, with their places and scores."""
    return await _answered(request, _extract, ("schema", *_READ))


@router.post("/v1/apps/locate", **documented(APPS["locate"]))
async def locate_phrases(request: Request) -> Response:
    """Find what phrases describe in a picture."""
    return await _answered(request, _locate, ("phrase", "as", "all", "count", "verify"))


@router.post("/v1/apps/describe-screen", **documented(APPS["describe-screen"]))
async def describe_screenshot(request: Request) -> Response:
    """List the controls and texts of a screenshot."""
    return await _answered(request, _describe, ("order", "suggest"))


async def _answered(request: Request, work: _Work, known: Collection[str]) -> Response:
    state = state_of(request)
    async with AsyncExitStack() as stack:
        body = await stack.enter_async_context(state.gate.admit(request))
        served = await stack.enter_async_context(state.models.use(model_of(body)))
        fields = Fields(body, known)
        url = fields.given.get("file_url")
        is_fetched = isinstance(url, str) and scheme_of(url) in ("http", "https")
        file = {
            name: fields.given[name] for name in ("file_data", "file_url") if name in fields.given
        }
        open_it = partial(asyncio.to_thread, opened_file, file, state.access.open_file)
        slots = state.fetching if is_fetched else state.encoding
        data = await unless_gone(request, slots.run(open_it))
        asking = state.asking(served)
        stack.callback(state.forget, asking)
        run = partial(asyncio.to_thread, _response, work, _Call(fields, data, served, asking))
        return await unless_gone(request, state.applications.run(run))


def _response(work: _Work, call: _Call) -> Response:
    """The response of an application; its JSON is written on the same thread, as it may be long."""
    try:
        call.asking.check()
        return JSONResponse(work(call))
    except Ended as ended:
        raise ended.error from ended


def _read(call: _Call) -> dict[str, Any]:
    with call.pages() as addresses:
        document = _document(call, addresses)
    return {
        **document_json(document),
        "markdown": document_markdown(document),
        "model": call.served.name,
        "files": [],
    }


def _document(call: _Call, addresses: list[PageAddress]) -> Document:
    fields = call.fields
    options = ReadOptions(
        **fields.limits(2048),
        upright=fields.choice("upright", ("auto", "off")) == "auto",
        is_photo=fields.flag("photo"),
    )
    order = fields.choice("order", _ORDERS)
    route = fields.choice("route", _ROUTES)
    job = Job(addresses, options, call.served.name)
    chosen = route_for(job, call.asking) if route == "auto" else route
    document = read_pages(
        replace(job, options=replace(options, route=chosen)),
        call.asking,
        order=order,
        on_page=lambda *_: call.asking.check(),
    )
    folder = str(addresses[0].path.parent)
    pages = [
        replace(page, problems=tuple(_without(folder, each) for each in page.problems))
        for page in document.pages
    ]
    return replace(document, pages=tuple(pages))


def _without(folder: str, text: str) -> str:
    """A message about a file that names it without its folder on this machine."""
    return text.replace(f"{folder}/", "")


def _extract(call: _Call) -> dict[str, Any]:
    schema = load_schema(call.fields.schema())
    check_schema(schema)
    options = ExtractOptions(**call.fields.limits(2048))
    name = call.served.name
    with call.pages() as addresses:
        pages = with_images(_document(call, addresses).pages, addresses)
        found = extract(pages, schema, call.asking, options, model=name)
    return {**extraction_json({call.source: found}), "model": name, "files": []}


def _locate(call: _Call) -> dict[str, Any]:
    fields = call.fields
    counts = fields.flag("count")
    limits = fields.limits(2048)
    tokens = limits.pop("max_new_tokens")
    search = search_within(call.served.engine.processor.config.max_pixels, **limits)
    search = replace(
        search,
        shape=fields.choice("as", ("box", "point")),
        every=fields.flag("all") or counts,
        count=counts,
        verify=fields.flag("verify"),
        sampling=replace(search.sampling, max_new_tokens=tokens),
    )
    pixels = np.asarray(load_image(call.data))
    found = locate(call.asking, pixels, fields.phrases(), search, source=call.source)
    return {"pictures": [found.to_dict()], "failed": [], "model": call.served.name, "files": []}


def _describe(call: _Call) -> dict[str, Any]:
    fields = call.fields
    options = DescribeOptions(
        **fields.limits(4096),
        order=fields.choice("order", ("model", "place")),
        suggests=fields.flag("suggest", default=True),
    )
    pixels = np.asarray(load_image(call.data).convert("RGB"))
    found = describe(
        pixels, call.asking, source=call.source, model=call.served.name, options=options
    )
    screen = {**found.to_dict(), "changes": [], "speech": found.speech()}
    return {"screens": [screen], "files": []}
