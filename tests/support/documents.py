# SPDX-License-Identifier: Apache-2.0
"""Drawn documents with known lines, and an oracle that writes them in the official formats."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from finesight.geometry import Box
from finesight.media.pdf import load_page
from finesight.media.pdf_text import page_lines

PAGE_POINTS = (420, 595)


@dataclass(frozen=True)
class Line:
    """A drawn line of text: left and top in points, size in points, colour, tag."""

    text: str
    x: float = 40
    y: float = 40
    size: float = 12
    colour: str = "black"
    tag: str = "p"


def lines_below(texts: Sequence[str], *, top=60, gap=30, **more) -> list[Line]:
    return [Line(text, y=top + gap * index, **more) for index, text in enumerate(texts)]


def write_pdf(path: Path, pages: Sequence[Sequence[Line]], *, turned: int = 0) -> Path:
    """A PDF with a text layer."""
    width, height = PAGE_POINTS
    with matplotlib.rc_context({"pdf.fonttype": 42}), PdfPages(path) as pdf:
        for lines in pages:
            figure = Figure(figsize=(width / 72, height / 72))
            for line in lines:
                x, y = line.x / width, 1 - line.y / height
                figure.text(x, y, line.text, size=line.size, color=line.colour, va="top")
            pdf.savefig(figure)
    if turned:
        content = path.read_bytes()
        marked = content.replace(b"/Type /Page ", f"/Type /Page /Rotate {turned} ".encode())
        path.write_bytes(marked)
    return path


def pixels_of(path: Path, page=0) -> np.ndarray:
    return np.asarray(load_page(path, page))


def boxes_of(path: Path, page=0) -> list[tuple[str, Box]]:
    """Text and box of every line of a page, in pixels."""
    return [(one.text, one.box) for one in page_lines(path, page, pixels=pixels_of(path, page))]


class PageOracle:
    """Writes the lines of the part of a page that it sees; parts reach to the end of the page.

    Args:
        lines: text, box and tag of every line, for each page by its pixels.
    """

    def __init__(self, pages: Sequence[tuple[np.ndarray, Sequence[tuple[str, Box, str]]]]) -> None:
        self.pages = pages

    def __call__(self, question) -> str:
        part = question.pictures[0]
        whole, lines = next(
            (pixels, lines)
            for pixels, lines in self.pages
            if np.array_equal(pixels[len(pixels) - len(part) :], part)
        )
        top = len(whole) - len(part)
        seen = [
            (text, question.numbers(Box(box.x1, box.y1 - top, box.x2, box.y2 - top)), tag)
            for text, box, tag in lines
            if box.y1 >= top - 2
        ]
        if question.text.startswith("QwenVL HTML"):
            rows = [
                f'<{tag} data-bbox="{" ".join(map(str, box))}">{html.escape(text)}</{tag}>'
                for text, box, tag in seen
            ]
            return "```html\n<html><body>\n" + "\n".join(rows) + "\n</body></html>\n```"
        if question.text.startswith("Spotting"):
            rows = [json.dumps({"bbox_2d": box, "text_content": text}) for text, box, _ in seen]
            return "```json\n[\n" + ",\n".join(rows) + "\n]\n```"
        return "\n".join(text for text, _, _ in seen)


def oracle_of(path: Path, tags: dict[str, str] | None = None) -> PageOracle:
    """An oracle of all pages of a PDF whose text layer is the truth."""
    from finesight.media.pdf import num_pages

    pages = []
    for page in range(num_pages(path)):
        lines = [(text, box, (tags or {}).get(text, "p")) for text, box in boxes_of(path, page)]
        pages.append((pixels_of(path, page), lines))
    return PageOracle(pages)
