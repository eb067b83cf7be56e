# SPDX-License-Identifier: Apache-2.0
"""Read all pages of some files into a folder, page by page, so that a killed run goes on where it stopped.

::

    OUT/job.json               settings of the run: another run with other settings is refused
    OUT/pages/00001.json       a page as it was read, written whole or not at all
    OUT/values/KEY/00001.json  its extracted values; KEY depends on the schema

A page that raises an error is a page with the status "unreadable": it never stops the others. A page about which a
question had no answer, as a server failed, is asked about again by the next run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from finesight import files
from finesight.apps.document.pages import PageAddress, load
from finesight.apps.document.read import ReadOptions, has_ink, probe
from finesight.apps.document.records import Document, ReadPage, Route
from finesight.apps.document.stitch import Order, stitched
from finesight.apps.document.upright import read_upright
from finesight.errors import AppError, FinesightError
from finesight.geometry import Size
from finesight.responder import Responder

__all__ = ["Job", "PageStore", "chosen_route", "locked", "read_pages", "route_for"]

_PAGE = TypeAdapter(ReadPage)

KeptT = TypeVar("KeptT")


@dataclass(frozen=True, slots=True)
class PageStore(Generic[KeptT]):
    """What a run has found on each page, one file a page, so that a killed run does not lose it.

    Attributes:
        folder: of the files; None keeps nothing.
        form: of a page in JSON.
    """

    folder: Path | None
    form: TypeAdapter[KeptT]

    def known(self, number: int) -> KeptT | None:
        """What an earlier run has kept of a page; None if nothing, or if its file is damaged."""
        if self.folder is None:
            return None
        try:
            return self.form.validate_json(self._path(number).read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, number: int, found: KeptT) -> None:
        """Write what was found on a page, whole or not at all.

        Raises:
            AppError: it cannot be written.
        """
        if self.folder is not None:
            files.write_bytes(
                self._path(number), self.form.dump_json(found), error=AppError, parents=True
            )

    def _path(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{number:05}.json"


@dataclass(frozen=True, slots=True)
class Job:
    """Pages to read, and the folder that keeps those that were read.

    Attributes:
        pages: all pages, in order.
        options: how they are read.
        model: name of the model, for the settings of the run.
        dpi: resolution of PDF pages; None takes the default.
        folder: keeps read pages; None keeps them in memory only.
    """

    pages: Sequence[PageAddress]
    options: ReadOptions
    model: str
    dpi: float | None = None
    folder: Path | None = None

    def check(self) -> None:
        """Make the folder, or compare its settings with those of this run.

        Raises:
            AppError: it holds pages that were read with other settings or of other files.
        """
        if self.folder is None:
            return
        settings = self._settings()
        path = self.folder / "job.json"
        if not path.is_file():
            files.write_json(path, settings, error=AppError, parents=True)
            return
        earlier = _read_settings(path)
        for key in sorted(settings.keys() | earlier.keys()):
            if settings.get(key) != earlier.get(key):
                raise AppError(
                    f"{self.folder} holds pages that were read with {key} = {earlier.get(key)}, "
                    f"this run has {settings.get(key)}",
                    hint="give another folder, or delete this one to read all pages again",
                )

    def store(self) -> PageStore[ReadPage]:
        """The pages that were read."""
        return PageStore(None if self.folder is None else self.folder / "pages", _PAGE)

    def _settings(self) -> dict[str, Any]:
        content = hashlib.sha256()
        for path in dict.fromkeys(page.path for page in self.pages):
            with path.open("rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
        options = self.options
        more: dict[str, Any] = {
            name: True for name in ("upright", "is_photo") if getattr(options, name)
        }
        if options.max_figures != ReadOptions().max_figures:
            more["max_figures"] = options.max_figures
        return {
            **more,
            "files": content.hexdigest()[:16],
            "pages": [[page.path.name, page.index] for page in self.pages],
            "model": self.model,
            "route": options.route,
            "dpi": self.dpi,
            "pixels": [options.min_pixels, options.max_pixels],
        }


def chosen_route(folder: Path | None) -> Route | None:
    """The route that an earlier run in the folder has chosen; None if there was none."""
    path = None if folder is None else folder / "job.json"
    if path is None or not path.is_file():
        return None
    route: Route = TypeAdapter(Route).validate_python(_read_settings(path).get("route"))
    return route


def route_for(job: Job, responder: Responder) -> Route:
    """The route of an earlier run in the folder, else the one that `probe` finds on the first page with ink.

    Pages that cannot be drawn are passed over here; reading them reports why.
    """
    known = chosen_route(job.folder)
    if known is not None:
        return known
    for address in job.pages:
        try:
            page = load(address, dpi=job.dpi)
        except FinesightError:
            continue
        if has_ink(page):
            return probe(page, responder, job.options)
    return job.options.route


def read_pages(
    job: Job,
    responder: Responder,
    *,
    order: Order = "model",
    on_page: Callable[[ReadPage, bool], None] = lambda *_: None,
) -> Document:
    """Read the pages that are not read yet, and join all pages to a document.

    Args:
        job: the pages; its folder is locked against a second run.
        responder: answers questions about pictures.
        order: of the blocks of each page.
        on_page: called with each page, and whether an earlier run has read it.

    Raises:
        AppError: another process reads into the folder, or it cannot be written.
    """
    with locked(job.folder):
        pages = tuple(_pages(job, responder, on_page))
    return stitched(Document(pages), order=order)


@contextmanager
def locked(folder: Path | None) -> Iterator[None]:
    """Lock the folder of a job against other processes, so that no page is asked about twice; None locks nothing.

    Raises:
        AppError: another process has locked it.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with files.lock(folder / ".lock", error=AppError):
        yield


def _pages(
    job: Job, responder: Responder, on_page: Callable[[ReadPage, bool], None]
) -> Iterator[ReadPage]:
    store = job.store()
    for address in job.pages:
        known = store.known(address.number)
        if known is not None and not known.is_answered:
            known = None  # the model or its server failed; it may work again
        page = known or _read(job, address, responder)
        if known is None:
            store.keep(address.number, page)
        on_page(page, known is not None)
        yield page


def _read(job: Job, address: PageAddress, responder: Responder) -> ReadPage:
    try:
        return read_upright(load(address, dpi=job.dpi), responder, job.options)
    except FinesightError as error:
        empty = ReadPage(
            source=address.source,
            index=address.index,
            number=address.number,
            size=Size(0, 0),
            status="unreadable",
        )
        return replace(empty, problems=(error.message,))


def _read_settings(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = TypeAdapter(dict[str, Any]).validate_json(path.read_bytes())
    return found
