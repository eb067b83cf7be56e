# SPDX-License-Identifier: Apache-2.0
"""The text layer of a PDF page: its lines with boxes in pixels of the drawn page.

The text layer is what a PDF says about its own characters. It need not be what a reader sees: a line may be invisible,
or drawn in the colour of the paper (`TextLine.is_visible`). A scanned page has none, or one made by an OCR program.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium

from finesight.geometry import Box, Size
from finesight.media.pdf import open_page

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finesight.conversation import MediaSource
    from finesight.media.fetch import FetchPolicy
    from finesight.media.source import LocalSource

__all__ = ["TextLine", "in_points", "page_lines"]

Affine: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Column and row of a pixel, each as factors of x, of y and of 1."""

_LINE_ENDS = frozenset("\r\n\u2028\u2029")
_WIDE_GAP = 3.0
"""A gap of more heights of a character between two characters separates two lines: the columns of a page."""
_FINE = 16
"""PDFium counts whole pixels: a page of sixteen times the size has sixteenths."""
_LEAST_INK = 12
"""Difference of grey levels (0 to 255) inside a box below which nothing is seen in it."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of the text layer.

    Attributes:
        text: its characters.
        box: around them, in pixels of the drawn page.
        is_visible: whether something is drawn in the box.
        lefts: left edge of each character of `text`, in pixels; empty if the line does not run from left to right.
    """

    text: str
    box: Box
    is_visible: bool = True
    lefts: tuple[float, ...] = ()

    def part(self, start: int, end: int) -> Box:
        """Box of the characters from `start` to `end`; the whole line if their places are not known."""
        if not self.lefts:
            return self.box
        right = self.lefts[end] if end < len(self.lefts) else self.box.x2
        return Box(self.lefts[start], self.box.y1, max(right, self.lefts[start]), self.box.y2)


def page_lines(
    source: MediaSource | LocalSource,
    page: int,
    *,
    pixels: NDArray[np.uint8],
    policy: FetchPolicy | None = None,
) -> tuple[TextLine, ...]:
    """Lines of the text layer of a PDF page, in the order of the file.

    Args:
        source: a PDF, as for `finesight.media.pdf.load_page`.
        page: number of the page, counted from 0.
        pixels: uint8[H, W, 3], the page as `load_page` draws it, at any resolution.
        policy: limits for addresses.

    Returns:
        Lines; empty if the page has no text layer.

    Raises:
        MediaError: as `load_page`.
    """
    height, width = pixels.shape[:2]
    with open_page(source, page, policy=policy) as opened:
        glyphs = list(_glyphs(opened, Size(width, height)))
    return tuple(
        _line(run, pixels) for run in _runs(glyphs) if any(char.strip() for char, _ in run)
    )


def in_points(
    source: MediaSource | LocalSource, page: int, *, size: Size, boxes: Sequence[Box]
) -> list[Box]:
    """Boxes of the drawn page in points from the bottom left of the page, as annotations have them.

    Args:
        source: a PDF.
        page: number of the page, counted from 0.
        size: of the drawn page, in pixels.
        boxes: in its pixels.

    Returns:
        Boxes whose y grows upwards; of a turned page, those of the page before it is turned.

    Raises:
        MediaError: as `finesight.media.pdf.load_page`.
    """
    found = []
    with open_page(source, page) as opened:
        for box in boxes:
            corners = []
            for x, y in ((box.x1, box.y1), (box.x2, box.y2)):
                across, up = ctypes.c_double(), ctypes.c_double()
                pixel = round(x * _FINE), round(y * _FINE)
                pdfium.FPDF_DeviceToPage(
                    opened.raw, 0, 0, size.width * _FINE, size.height * _FINE, 0, *pixel, across, up
                )
                corners.append((across.value, up.value))
            columns, rows = zip(*corners, strict=True)
            found.append(Box(min(columns), min(rows), max(columns), max(rows)))
    return found


def _glyphs(page: pypdfium2.PdfPage, size: Size) -> Iterator[tuple[str, Box | None]]:
    """Every character with its box in pixels; None for one that PDFium inserted, such as a line end."""
    text, place = page.get_textpage(), _placing(page, size)
    try:
        for index in range(text.count_chars()):
            code = pdfium.FPDFText_GetUnicode(text.raw, index)
            char = chr(code) if code else "\ufffd"
            if (
                char in _LINE_ENDS or char == "\ufffe"
            ):  # 0xFFFE is PDFium's soft hyphen at a line end
                yield ("-" if char == "\ufffe" else "\n"), None
                continue
            left, bottom, right, top = text.get_charbox(index, loose=True)
            yield char, _on_page(place, (left, bottom, right, top))
    finally:
        text.close()


def _placing(page: pypdfium2.PdfPage, size: Size) -> Affine:
    """The map from points of the page to pixels; PDFium knows of turned and cropped pages."""
    width, height = page.get_size()
    corners = [(0.0, 0.0), (width, 0.0), (0.0, height)]
    (x0, y0), (x1, y1), (x2, y2) = (_point(page, size, x, y) for x, y in corners)
    return (
        ((x1 - x0) / width, (x2 - x0) / height, x0),
        ((y1 - y0) / width, (y2 - y0) / height, y0),
    )


def _on_page(place: Affine, edges: tuple[float, float, float, float]) -> Box | None:
    """A box in points, from the bottom left of the unturned page, in pixels of the drawn one."""
    left, bottom, right, top = edges
    if right <= left or top <= bottom:
        return None
    (a, b, c), (d, e, f) = place
    columns = (a * left + b * top + c, a * right + b * bottom + c)
    rows = (d * left + e * top + f, d * right + e * bottom + f)
    return Box(min(columns), min(rows), max(columns), max(rows))


def _point(page: pypdfium2.PdfPage, size: Size, x: float, y: float) -> tuple[float, float]:
    """A point of the page in pixels."""
    column, row = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(
        page.raw, 0, 0, size.width * _FINE, size.height * _FINE, 0, x, y, column, row
    )
    return column.value / _FINE, row.value / _FINE


def _runs(glyphs: Sequence[tuple[str, Box | None]]) -> Iterator[list[tuple[str, Box | None]]]:
    """Characters line by line; a wide gap ends a line, too."""
    run: list[tuple[str, Box | None]] = []
    last: Box | None = None
    for char, box in glyphs:
        if char == "\n" and box is None:
            if run:
                yield run
            run, last = [], None
            continue
        if box and last and box.x1 - last.x2 > _WIDE_GAP * max(box.height, last.height):
            yield run
            run = []
        run.append((char, box))
        if box and char.strip():
            last = box
    if run:
        yield run


def _line(run: Sequence[tuple[str, Box | None]], pixels: NDArray[np.uint8]) -> TextLine:
    boxes = [box for char, box in run if box and char.strip()]
    text, lefts = _placed(run)
    if not boxes:
        return TextLine(text, Box(0, 0, 0, 0), is_visible=False)
    box = Box(
        min(one.x1 for one in boxes),
        min(one.y1 for one in boxes),
        max(one.x2 for one in boxes),
        max(one.y2 for one in boxes),
    )
    rows = slice(max(int(box.y1), 0), int(box.y2) + 1)
    columns = slice(max(int(box.x1), 0), int(box.x2) + 1)
    part = pixels[rows, columns].mean(2)
    return TextLine(
        text, box, is_visible=bool(part.size and np.ptp(part) >= _LEAST_INK), lefts=lefts
    )


def _placed(run: Sequence[tuple[str, Box | None]]) -> tuple[str, tuple[float, ...]]:
    """The text with single spaces, and the left edge of each character; none if they do not increase."""
    chars: list[str] = []
    lefts: list[float] = []
    end = 0.0
    for char, box in run:
        is_space = not char.strip()
        if not is_space or (chars and chars[-1] != " "):
            chars.append(" " if is_space else char)
            # A space that PDFium inserted has no box: it begins where the character before it ends.
            lefts.append(end if is_space or box is None else box.x1)
        end = box.x2 if box and not is_space else end
    if chars and chars[-1] == " ":
        chars.pop()
        lefts.pop()
    is_upright = all(first <= second + 1 for first, second in pairwise(lefts))
    return "".join(chars), tuple(_tenths(left) for left in lefts) if is_upright else ()


@lru_cache(maxsize=1 << 16)
def _kept(tenths: int) -> float:
    """One object for each number: a book has millions of characters at a few thousand places."""
    return tenths / 10


def _tenths(left: float) -> float:
    return _kept(round(left * 10))
