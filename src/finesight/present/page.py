# SPDX-License-Identifier: Apache-2.0
"""HTML pages: sections of facts, texts, tables and figures, filled into one template (`page.html`, `page.css`).

A page is one self-contained file: pictures are embedded, and its content security policy forbids requests and scripts.
The template escapes every text; only drawings made with `finesight.present.svg` are inserted as markup.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from finesight import files
from finesight.errors import FinesightError
from finesight.present.marks import Mark, TimeSpan, hex_of, ink_on

LONGEST_SIDE = 1600
"""Longest side of an embedded picture in pixels; a larger one is scaled down after the marks are drawn."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Short facts side by side; warnings follow in another colour."""

    facts: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    title: str = ""
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True, slots=True)
class Notes:
    """A list of sentences."""

    notes: tuple[str, ...]
    title: str = ""
    is_warning: bool = False
    kind: ClassVar[str] = "notes"


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its line breaks; a folded one shows only its title until it is expanded."""

    title: str
    text: str
    is_folded: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table.

    Attributes:
        cells: one text per column.
        mark: its mark or time span; the number and colour are shown in front.
        is_strong: bold.
    """

    cells: tuple[str, ...]
    mark: Mark | TimeSpan | None = None
    is_strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: of the table.
        header: names of the columns.
        rows: from top to bottom.
        numbers: names of the columns with numbers, which use tabular figures.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    numbers: Collection[str] = ()
    kind: ClassVar[str] = "table"

    @property
    def has_marks(self) -> bool:
        """Whether a row has a mark."""
        return any(row.mark is not None for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture, a drawing or both, with title, caption and texts.

    Attributes:
        title: above it.
        picture: a data URL, see `data_address`; empty for none.
        drawing: an SVG made with `finesight.present.svg`.
        alt: alternative text of the picture.
        caption: below it.
        texts: below the caption: pairs of a title and a text.
    """

    title: str = ""
    picture: str = ""
    drawing: Markup | None = None
    alt: str = ""
    caption: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Figures side by side, each about `width_rem` wide; an empty gallery shows a note."""

    title: str
    figures: tuple[Figure, ...]
    width_rem: int = 16
    kind: ClassVar[str] = "gallery"


PagePart = Facts | Notes | Text | Table | Figure | Gallery


@dataclass(frozen=True, slots=True)
class Section:
    """A framed section of a page.

    Attributes:
        title: empty for none.
        parts: from top to bottom.
        source: origin of the content, in small print under the title.
    """

    title: str
    parts: tuple[PagePart, ...]
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page.

    Attributes:
        title: of the page.
        sections: consumed one by one, so that not all pictures are in memory at once.
        footer: text at the end.
        marks_switch: label of a switch that hides elements of class "marks" in drawings; empty for none.
    """

    title: str
    sections: Iterable[Section]
    footer: str = ""
    marks_switch: str = ""


def render_page(page: Page) -> str:
    """The page as HTML."""
    return _template().render(page=page)


def write_page(
    path: Path, page: Page, *, error: type[FinesightError] = FinesightError, parents: bool = False
) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        page: the page.
        error: class of the error if it cannot be written.
        parents: create its folder if missing.

    Raises:
        FinesightError: of the class `error`.
    """
    content = render_page(page).encode("utf-8", errors="replace")
    files.write_bytes(path, content, error=error, parents=parents)


def data_address(image: Image.Image, *, longest_side: int = LONGEST_SIDE) -> str:
    """A picture as a data URL; JPEG, or PNG where that is smaller (drawings, screenshots)."""
    shown = image.convert("RGB")
    if max(shown.size) > longest_side:
        shown.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    coded = []
    for name, options in (("jpeg", {"quality": 88}), ("png", {"optimize": True})):
        buffer = io.BytesIO()
        shown.save(buffer, format=name, **options)
        coded.append((buffer.getvalue(), name))
    content, kind = min(coded, key=lambda each: len(each[0]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(hex=hex_of, ink=ink_on)
    return environment.get_template("page.html")
