# SPDX-License-Identifier: Apache-2.0
"""Pictures of HTML pages drawn by Chromium, with the place of each visible character and of each marked element.

A page marks the elements that matter with `data-part="KIND"`, an optional id, and further `data-` attributes. Fonts are
embedded in the page (`font_face`), so they need not be installed. Whatever is hidden, clipped or covered is left out of
the truth.

    css = font_face("body-font", face)
    html = f'<style>{css} body {{ font: 16px "body-font" }}</style><h1 data-part="title">Hello</h1>'
    page = shared_renderer().draw(html, Size(224, 168))
    page.rows[0].text, page.parts[0].box
"""

from __future__ import annotations

import atexit
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from finesight.browser.browser import Browser
from finesight.data.sources.fonts import Face
from finesight.geometry import Box, Size

__all__ = ["DrawnPage", "Part", "Renderer", "TextRow", "font_face", "shared_renderer"]

PAGES_PER_BROWSER = 500
"""A browser is replaced after so many pages, because its memory grows."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """The part of one text node that is in one row.

    Attributes:
        text: its visible characters, white space collapsed, none at its ends.
        edges: `float32[len(text), 2]`, left and right edge of each character's advance, in pixels.
        top: top of the row's ink, in pixels.
        bottom: bottom of the row's ink, in pixels.
        part: index of the innermost marked element around it, in `DrawnPage.parts`; -1 if there is none.
    """

    text: str
    edges: npt.NDArray[np.float32]
    top: float
    bottom: float
    part: int

    @property
    def box(self) -> Box:
        """Box of the row: advances horizontally, ink vertically."""
        left, right = float(self.edges.min()), float(self.edges.max())
        return Box(left, self.top, right, self.bottom)


@dataclass(frozen=True, slots=True)
class Part:
    """An element with `data-part` that is neither hidden nor clipped away, and whose middle is not covered.

    Attributes:
        kind: value of `data-part`.
        id: the element's id; may be empty.
        tag: name of its tag, in lower case.
        text: its text in one line, or the value of a form field.
        box: border box, clipped to what its ancestors and the viewport show, in pixels.
        parent: index of the marked element around it; -1 if there is none.
        data: its other `data-` attributes; "data-sort-key" is `sortKey`.
        is_whole: whether nothing of its border box is clipped away.
    """

    kind: str
    id: str
    tag: str
    text: str
    box: Box
    parent: int
    data: Mapping[str, str]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """A page's picture and truth.

    Attributes:
        image: `uint8[H, W, 3]`.
        rows: rows of visible text, in the order of the document.
        parts: visible marked elements, in the order of the document.
    """

    image: npt.NDArray[np.uint8]
    rows: tuple[TextRow, ...]
    parts: tuple[Part, ...]


class Renderer:
    """Draws pages with one browser, which is started by the first page and replaced from time to time."""

    def __init__(self) -> None:
        self._browser: Browser | None = None
        self._num_pages = 0

    def draw(self, html: str, size: Size) -> DrawnPage:
        """Draw a page of `size` pixels; what reaches beyond it is not shown.

        Args:
            html: the document. Its scripts run.
            size: of the picture.

        Raises:
            ScreenUnavailable: playwright or Chromium is missing, or the page does not load.
        """
        browser = self._next_browser(size)
        browser.show(html, size)
        found = browser.evaluate(_script())
        image = np.array(browser.screenshot())
        rows = tuple(_row(each) for each in found["rows"])
        return DrawnPage(image, rows, tuple(_part(each) for each in found["parts"]))

    def open(self, path: Path, size: Size) -> Browser:
        """Open a local page of several files in this renderer's browser, which the caller then measures itself.

        Raises:
            ScreenUnavailable: as `draw`.
        """
        browser = self._next_browser(size)
        browser.open(path, size)
        return browser

    def close(self) -> None:
        """End the browser; the next page starts another one."""
        if self._browser is not None:
            self._browser.close()
            self._browser = None

    def _next_browser(self, size: Size) -> Browser:
        if self._num_pages % PAGES_PER_BROWSER == 0:
            self.close()
        if self._browser is None or not self._browser.is_open:
            self._browser = Browser(size)
        self._num_pages += 1
        return self._browser


@lru_cache(maxsize=1)
def shared_renderer() -> Renderer:
    """The renderer of this process; its browser is closed when the process ends."""
    renderer = Renderer()
    atexit.register(renderer.close)
    return renderer


def font_face(name: str, face: Face, *, weight: str = "normal") -> str:
    """A CSS rule that makes a face available as the font family `name`, for text of a weight ("normal" or "bold").

    The rule contains the file. Collections (.ttc) do not work, because CSS cannot choose one of their faces.
    """
    source = f"url(data:font/opentype;base64,{_encoded(face.path)})"
    return f'@font-face {{ font-family: "{name}"; font-weight: {weight}; src: {source} }}'


@lru_cache(maxsize=64)
def _encoded(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()


@lru_cache(maxsize=1)
def _script() -> str:
    return Path(__file__).with_name("rendered.js").read_text(encoding="utf-8")


def _row(found: Mapping[str, Any]) -> TextRow:
    # A letter may become two in upper case ("ß", "SS"); both then have its edges.
    edges = np.array(found["edges"], np.float32).reshape(-1, 2)
    counts = [len(char) for char in found["chars"]]
    return TextRow(
        text="".join(found["chars"]),
        edges=np.repeat(edges, counts, axis=0),
        top=found["top"],
        bottom=found["bottom"],
        part=found["part"],
    )


def _part(found: Mapping[str, Any]) -> Part:
    return Part(
        kind=found["kind"],
        id=found["id"],
        tag=found["tag"],
        text=found["text"],
        box=Box(*found["box"]),
        parent=found["parent"],
        data=found["data"],
        is_whole=found["is_whole"],
    )
