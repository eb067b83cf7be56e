# SPDX-License-Identifier: Apache-2.0
"""Pages of the files to read: PDFs, pictures, picture files with several pages, folders of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finesight.apps.document.read import PageImage
from finesight.errors import ConfigError, FinesightError, MediaError
from finesight.media import pdf
from finesight.media.image import num_pages
from finesight.media.pages import page_numbers
from finesight.media.pdf_text import page_lines
from finesight.media.source import kind_of

__all__ = ["PageAddress", "find_pages", "load"]

SUFFIXES = (".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
"""Files of a folder that are read, in the order of their names."""


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Where a page is.

    Attributes:
        path: the file.
        index: page of the file, counted from 0.
        number: page of the document, counted from 1.
        is_pdf: whether the file is a PDF.
        problem: why the file cannot be opened; it then counts as one page.
        is_namesake: whether another file has the same name in another folder.
    """

    path: Path
    index: int
    number: int
    is_pdf: bool
    problem: MediaError | None = None
    is_namesake: bool = False

    @property
    def source(self) -> str:
        """What the file is called in results: its name, or its path if another file has the same name."""
        return str(self.path) if self.is_namesake else self.path.name


def find_pages(paths: Sequence[Path], pages: str | None = None) -> list[PageAddress]:
    """Addresses of all pages, in order.

    Args:
        paths: files, and folders whose files are taken by name.
        pages: pages of each file, from 1, such as `1-3,7`; None takes all.

    Raises:
        ConfigError: a folder without pages, or no such pages.
        MediaError: none of the files can be opened.
    """
    found: list[PageAddress] = []
    files = list(_files(paths))
    names = Counter(path.name for path in set(files))
    for path in files:
        is_pdf, is_namesake = _is_pdf(path), names[path.name] > 1
        try:
            count = pdf.num_pages(path) if is_pdf else num_pages(path)
        except MediaError as error:
            found.append(PageAddress(path, 0, len(found) + 1, is_pdf, error, is_namesake))
            continue
        chosen = page_numbers(pages, count)
        found += [
            PageAddress(path, index, len(found) + place, is_pdf, is_namesake=is_namesake)
            for place, index in enumerate(chosen, 1)
        ]
    problems = [one.problem for one in found if one.problem]
    if problems and len(problems) == len(found):
        raise problems[0]
    return found


def load(address: PageAddress, *, dpi: float | None = None) -> PageImage:
    """Draw a page and read its text layer.

    Args:
        address: the page.
        dpi: resolution of a PDF page; None takes the default of `finesight.media.pdf`.

    Raises:
        MediaError: the page cannot be drawn.
    """
    if address.problem is not None:
        raise address.problem
    pixels = np.asarray(pdf.load_page(address.path, address.index, dpi=dpi))
    lines = page_lines(address.path, address.index, pixels=pixels) if address.is_pdf else ()
    return PageImage(address.source, address.index, address.number, pixels, lines)


def _is_pdf(path: Path) -> bool:
    """Whether a file is a PDF by its first bytes, or if these are of no picture, by its name."""
    with path.open("rb") as file:
        kind = kind_of(file.read(1024))
    return kind == "PDF document" or (path.suffix.lower() == ".pdf" and "picture" not in kind)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            if not path.is_file():
                raise FinesightError(
                    f"there is no file {path}", hint=f"paths are relative to {Path.cwd()}"
                )
            yield path
            continue
        inside = sorted(
            one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file()
        )
        if not inside:
            raise ConfigError(
                f"the folder {path} has no file to read", hint=f"it reads {', '.join(SUFFIXES)}"
            )
        yield from inside
