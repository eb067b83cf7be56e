# SPDX-License-Identifier: Apache-2.0
"""A book with running heads and a table over three pages, read by a process that is killed three times."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.documents import ROWS, TABLE_PAGES, table_rows, write_book
from finesight.apps.document.docling import docling_json
from finesight.apps.document.markdown import document_markdown
from finesight.apps.document.mineru import content_list
from finesight.apps.document.stitch import items_of
from tests.support.read_book import read_into

pytest.importorskip("pikepdf")

ROOT = Path(__file__).parents[2]
_SECONDS = 120


@pytest.fixture(
    scope="module", params=[12, pytest.param(200, marks=pytest.mark.slow)], ids=["short", "long"]
)
def num_pages(request):
    return request.param


@pytest.fixture(scope="module")
def book(num_pages, tmp_path_factory):
    path = tmp_path_factory.mktemp("book") / "book.pdf"
    write_book(path, num_pages)
    return path


def killed_at(number: int, book: Path, folder: Path) -> None:
    """Read until the folder has so many pages, and kill the process."""
    command = [sys.executable, "-m", "tests.support.read_book", book, folder]
    with subprocess.Popen(command, cwd=ROOT) as process:
        limit = time.monotonic() + _SECONDS
        while process.poll() is None and len(list(folder.glob("pages/0*.json"))) < number:
            assert time.monotonic() < limit
            time.sleep(0.01)
        process.kill()


def test_a_book_is_joined_and_a_killed_run_loses_nothing(book, num_pages, tmp_path):
    for share in (0.2, 0.5, 0.8):
        killed_at(round(share * num_pages), book, tmp_path / "out")
    document = read_into(book, tmp_path / "out")
    assert [page.number for page in document.pages] == list(range(1, num_pages + 1))
    assert document.coverage.is_full
    heads = [[one.role for one in page.blocks if one.role != "body"] for page in document.pages]
    assert heads == [["page_header", "page_footer"]] * num_pages
    (table,) = [item for item in items_of(document) if item.block.rows]
    first = num_pages // 2
    rows = [
        row for page in range(first, first + TABLE_PAGES) for row in table_rows(page, num_pages)[1:]
    ]
    assert [[cell.text for cell in row] for row in table.block.rows] == [
        ["Port", "Ships", "Crews"],
        *rows,
    ]
    assert len(rows) == TABLE_PAGES * ROWS
    text = document_markdown(document)
    assert "Almanac" not in text
    assert "Page 3 of" not in text
    for number in range(1, num_pages + 1):
        is_table = first <= number < first + TABLE_PAGES
        assert text.count(f" {number}-0 ") == (0 if is_table else 1)
    if num_pages < 20:
        assert document == read_into(book, tmp_path / "again")
    tables = [one for one in content_list(document) if one["type"] == "table"]
    assert len(tables) == 1
    assert docling_json(document, "book")["tables"][0]["data"]["num_rows"] == len(rows) + 1
