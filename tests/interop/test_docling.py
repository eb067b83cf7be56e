# SPDX-License-Identifier: Apache-2.0
"""Documents as docling-core loads and exports them, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.documents import write_book
from finesight.apps.document.docling import docling_json
from finesight.apps.document.stitch import items_of
from tests.support.drawn_pages import addresses_of, drawn_files, drawn_page, oracle_of
from tests.support.pages import needs_browser
from tests.support.read_book import read_into

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-docling" / "bin" / "python"
_SECONDS = 300
_LOAD = """
import json, sys
from docling_core.types.doc.document import DoclingDocument
document = DoclingDocument.load_from_json(sys.argv[1])
document.save_as_json(sys.argv[1] + ".again")
assert document.export_to_html() and document.export_to_doctags()
print(json.dumps({
    "version": document.version,
    "texts": [one.text for one in document.texts],
    "places": [[place.page_no for place in one.prov] for one in document.texts],
    "tables": [[[cell.text for cell in row] for row in one.data.grid] for one in document.tables],
    "markdown": document.export_to_markdown(),
}))
"""


@pytest.fixture(scope="module", autouse=True)
def environment():
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: run scripts/docling-venv.sh with the interpreter of the tests")


def loaded(document, path: Path) -> dict:
    path.write_text(json.dumps(docling_json(document, "document")), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [PYTHON, "-c", _LOAD, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env=clean,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def table_texts(document) -> list:
    return [
        [[cell.text for cell in row] for row in item.block.rows]
        for item in items_of(document)
        if item.block.rows
    ]


def test_a_book_with_a_table_over_three_pages(tmp_path):
    write_book(tmp_path / "book.pdf", 12)
    document = read_into(tmp_path / "book.pdf", tmp_path / "out")
    found = loaded(document, tmp_path / "book.json")
    assert found["version"] == "1.10.0"
    assert found["tables"] == table_texts(document)
    assert found["texts"] == [item.block.text for item in items_of(document) if not item.block.rows]
    assert found["markdown"].count("| Port ") == 1 + 90
    assert "Almanac" not in found["markdown"], "furniture is left out"


@needs_browser
def test_drawn_pages_in_three_languages(tmp_path):
    from finesight.apps.document.job import Job, read_pages
    from finesight.apps.document.read import ReadOptions
    from tests.support.app_responders import Oracle

    files = drawn_files(tmp_path, [drawn_page(seed) for seed in range(40)])
    addresses = addresses_of(files, "pdf")
    job = Job(addresses, ReadOptions(max_pixels=2048 * 28 * 28), "oracle")
    document = read_pages(job, Oracle(oracle_of(files, addresses)))
    found = loaded(document, tmp_path / "drawn.json")
    assert found["tables"] == table_texts(document)
    wanted = [text for _, one in document.blocks() for text in block_texts(one.block)]
    assert found["texts"] == wanted


def block_texts(block) -> list[str]:
    if block.rows:
        return []
    if block.children:
        return [text for child in block.children for text in block_texts(child)]
    return [block.text]
