# SPDX-License-Identifier: Apache-2.0
"""Reading documents: our own time and memory with instant answers, and lines that reach the Markdown."""

from __future__ import annotations

import html
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import Comparison, in_process, resident_bytes

if TYPE_CHECKING:
    from finesight.conversation import Conversation, Reply, Sampling
    from finesight.geometry import Size

NUM_PAGES = 200
TABLE_PAGES = 3
ROWS = 30
"""Rows of the table on each of its pages, without the repeated header."""
_PAGE_SECONDS = 0.150
_MEMORY_RATIO = 1.2
_LEAST_LINES = 0.99
_WIDTH, _HEIGHT = 595, 842
_TOP, _LINE, _LEFT, _RIGHT = 90, 18, 60, 535
_LINES, _PARAGRAPH = 36, 9
_WORDS = (
    "harbour", "ice", "ship", "lighthouse", "winter", "coast", "captain", "fee", "report", "office", "tide", "storm",
    "cargo", "rope", "anchor", "bell",
)  # fmt: skip

Line = tuple[str, float, float, float]
"""Text, left, top and right, in points from the top left."""


def page_lines(number: int, num_pages: int) -> list[Line]:
    """Lines of a page: a running head, text or rows of a table, and a foot. Pages are counted from 1."""
    draw = random.Random(number)
    body: list[Line] = []
    if is_of_table(number, num_pages):
        rows = table_rows(number, num_pages)
        for index, row in enumerate(rows):
            places = ((_LEFT, 200.0), (220.0, 360.0), (380.0, float(_RIGHT)))
            for text, (left, right) in zip(row, places, strict=True):
                body.append((text, left, _TOP + _LINE * index, right))
    else:
        for index in range(_LINES):
            words = [draw.choice(_WORDS) for _ in range(11)]
            top = _TOP + _LINE * (index + index // _PARAGRAPH)
            end = "." if index % _PARAGRAPH == _PARAGRAPH - 1 else ""
            body.append(
                (" ".join([*words, f"{number}-{index}{end}"]).capitalize(), _LEFT, top, _RIGHT)
            )
    foot = (f"Page {number} of {num_pages}", _LEFT, 800.0, _RIGHT)
    return [("Almanac of the harbours", _LEFT, 40.0, _RIGHT), *body, foot]


def is_of_table(number: int, num_pages: int) -> bool:
    """Whether a page has a part of the table."""
    return num_pages // 2 <= number < num_pages // 2 + TABLE_PAGES


def table_rows(number: int, num_pages: int) -> list[list[str]]:
    """Rows of the table on a page; the header is repeated."""
    first = (number - num_pages // 2) * ROWS
    rows = [
        [f"Port {row}", f"{row} ships", f"{3 * row} crews"] for row in range(first, first + ROWS)
    ]
    return [["Port", "Ships", "Crews"], *rows]


def write_book(path: Path, num_pages: int = NUM_PAGES) -> None:
    """Write a PDF with a text layer."""
    import pikepdf
    from pikepdf import Dictionary, Name, Stream

    with pikepdf.new() as pdf:
        font = pdf.make_indirect(
            Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        )
        for number in range(1, num_pages + 1):
            shown = [
                f"BT /F0 11 Tf 1 0 0 1 {left} {_HEIGHT - top - 11} Tm ({text}) Tj ET"
                for text, left, top, _ in page_lines(number, num_pages)
            ]
            pdf.add_blank_page(page_size=(_WIDTH, _HEIGHT))
            page = pdf.pages[-1].obj
            page.Resources = Dictionary(Font=Dictionary(F0=font))
            page.Contents = Stream(pdf, "\n".join(shown).encode("ascii"))
        pdf.save(path)


class InstantReader:
    """Answers about the pages of the book in their order, as QwenVL HTML and without delay.

    Args:
        first: number of the page of the first question.
        num_pages: of the book.
    """

    def __init__(self, first: int = 1, num_pages: int = NUM_PAGES) -> None:
        self.number, self.num_pages = first, num_pages

    def respond(self, conversations: Sequence[Conversation], _sampling: Sampling) -> list[Reply]:
        """One answer for each conversation."""
        return [self._reply(one) for one in conversations]

    def _reply(self, conversation: Conversation) -> Reply:
        from finesight.conversation import ImagePart, MediaRecord, Reply, Usage
        from finesight.geometry import Resize, Size
        from finesight.processor.resize import smart_resize

        picture = conversation.messages[0].parts[0]
        assert isinstance(picture, ImagePart)
        height, width = picture.source.shape[:2]  # type: ignore[union-attr]  # pages are arrays
        rows, columns = smart_resize(height, width, min_pixels=56 * 56, max_pixels=1280 * 28 * 28)
        seen = Size(columns, rows)
        text = page_html(self.number, self.num_pages, seen)
        self.number += 1
        record = MediaRecord(
            kind="image",
            source="page",
            resize=Resize(Size(width, height), seen),
            visual_tokens=seen.area // 784,
        )
        usage = Usage(1000, record.visual_tokens, 500)
        return Reply(text=text, token_ids=(), finish_reason="stop", usage=usage, media=(record,))


def page_html(number: int, num_pages: int, seen: Size) -> str:
    """A page as QwenVL HTML, with boxes in the pixels that a model sees."""
    lines = page_lines(number, num_pages)
    head, *body, foot = lines
    if is_of_table(number, num_pages):
        written = "".join(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
            for row in table_rows(number, num_pages)
        )
        inner = [f"<table {_bbox(body, seen)}>{written}</table>"]
    else:
        inner = [
            _paragraph(body[start : start + _PARAGRAPH], seen)
            for start in range(0, len(body), _PARAGRAPH)
        ]
    rows = [_paragraph([head], seen), *inner, _paragraph([foot], seen)]
    return "\n".join(["```html", "<html><body>", *rows, "</body></html>", "```"])


def _paragraph(lines: Sequence[Line], seen: Size) -> str:
    text = html.escape(" ".join(line[0] for line in lines))
    return f"<p {_bbox(lines, seen)}>{text}</p>"


def _bbox(lines: Sequence[Line], seen: Size) -> str:
    x, y = seen.width / _WIDTH, seen.height / _HEIGHT
    left, right = min(line[1] for line in lines), max(line[3] for line in lines)
    top, bottom = lines[0][2], lines[-1][2] + 14
    numbers = (left * x, top * y, right * x, bottom * y)
    return f'data-bbox="{" ".join(str(round(number)) for number in numbers)}"'


def bench_read(*, num_pages: int = NUM_PAGES, num_model_pages: int = 4) -> list[Comparison]:
    """Read a book with instant answers in a separate process, and some of its pages with the embedded model."""
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        path = Path(folder) / "book.pdf"
        write_book(path, num_pages)
        found = in_process("benchmarks.documents", "read_book", str(path))
        share = share_of_lines(path, num_pages, num_model_pages)
    return [
        Comparison(
            f"seconds of processor time of reading a page without the model, {num_pages} pages",
            found["processor_seconds"],
            _PAGE_SECONDS,
            1.0,
            at_least=False,
            note=f"{found['page_seconds']:.3f} s on the clock",
        ),
        Comparison(
            f"peak bytes after page {num_pages} against page {num_pages // 10}",
            found["last_peak"],
            found["early_peak"],
            _MEMORY_RATIO,
            at_least=False,
        ),
        Comparison(
            f"share of lines of the text layer missing in the Markdown, embedded model, {num_model_pages} pages",
            1 - share,
            1 - _LEAST_LINES,
            1.0,
            at_least=False,
        ),
    ]


def read_book(path: str) -> None:
    """Read a book with instant answers and write its documents; prints seconds a page and peak memory as JSON."""
    from finesight.apps.document.html import document_html, document_json
    from finesight.apps.document.job import Job, read_pages
    from finesight.apps.document.markdown import document_markdown
    from finesight.apps.document.pages import find_pages
    from finesight.apps.document.read import ReadOptions

    addresses = find_pages([Path(path)])
    num_pages = len(addresses)
    peaks: dict[int, int] = {}

    def on_page(page: Any, _known: bool) -> None:
        peaks[page.number] = resident_bytes("VmHWM")

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        job = Job(addresses, ReadOptions(), "instant", folder=Path(folder))
        start, start_cpu = time.perf_counter(), time.process_time()
        job.check()
        document = read_pages(job, InstantReader(num_pages=num_pages), on_page=on_page)
        for written in (document_markdown(document), document_html(document)):
            assert written
        document_json(document)
        spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    found = {
        "page_seconds": spent / num_pages,
        "processor_seconds": spent_cpu / num_pages,
        "early_peak": peaks[max(num_pages // 10, 1)],
        "last_peak": resident_bytes("VmHWM"),
    }
    json.dump(found, sys.stdout)


def share_of_lines(path: Path, num_pages: int, num_read: int) -> float:
    """Share of lines of the first pages, without head and foot, that the Markdown has after the embedded model read."""
    import finesight
    from finesight.apps.document.markdown import document_markdown
    from finesight.apps.document.read import ReadOptions

    options = ReadOptions(max_new_tokens=48, max_tries=2)
    document = finesight.read(path, pages=f"1-{num_read}", options=options)
    text = " ".join(document_markdown(document).replace("\\", "").split())
    lines = [
        line[0] for number in range(1, num_read + 1) for line in page_lines(number, num_pages)[1:-1]
    ]
    return sum(line in text for line in lines) / len(lines)
