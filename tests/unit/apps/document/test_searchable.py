# SPDX-License-Identifier: Apache-2.0
"""Text of a searchable PDF is found again, in any script and at its place."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from finesight.apps.document.pages import find_pages
from finesight.apps.document.records import Document
from finesight.apps.document.searchable import write_searchable_pdf
from finesight.apps.document.turned import turned_page
from finesight.errors import AppError
from finesight.geometry import Size
from tests.support.read_pages import block, page

pytest.importorskip("pikepdf")

SIZE = Size(600, 800)
LONG = "The harbour was closed by ice in February and no ship came for nine days in a row"


@pytest.fixture
def picture(tmp_path):
    pixels = np.full((SIZE.height, SIZE.width, 3), 255, np.uint8)
    pixels[100:130, 50:400] = 0
    path = tmp_path / "scan.png"
    Image.fromarray(pixels).save(path)
    return path


def written(tmp_path, picture, read):
    path = tmp_path / "out.pdf"
    write_searchable_pdf(path, Document((read,)), find_pages([picture]))
    return pypdfium2.PdfDocument(path)


def found(document, text):
    """Boxes of a text, in pixels of the page, from the top."""
    opened = document[0]
    layer = opened.get_textpage()
    place = layer.search(text).get_next()
    assert place is not None, text
    start, count = place
    height = opened.get_height()
    boxes = []
    for index in range(layer.count_rects(start, count)):
        left, bottom, right, top = layer.get_rect(index)
        boxes.append([2 * edge for edge in (left, height - top, right, height - bottom)])
    return boxes


def test_text_is_found_at_its_place(tmp_path, picture):
    texts = [
        "Annual report",
        "港口因为结冰关闭",
        "Größe – 12 €",
        "كان الميناء مغلقا 12 يوما",
        "𝒳 + 🚢",
    ]
    blocks = [block(text, 100 + 60 * index, left=50, right=400) for index, text in enumerate(texts)]
    document = written(tmp_path, picture, page(1, *blocks, size=SIZE))
    assert document[0].get_size() == (300.0, 400.0)
    whole = document[0].get_textpage().get_text_range()
    for text in texts:
        assert text in whole
    for text in texts[:-1]:  # PDFium does not search for characters outside of the basic plane
        assert found(document, text)
    (box,) = found(document, texts[0])
    assert box == pytest.approx([50, 100, 400, 130], abs=8)


def test_a_paragraph_is_laid_out_in_its_box(tmp_path, picture):
    one = block(LONG, 200, left=50, right=350, height=90)
    document = written(tmp_path, picture, page(1, one, size=SIZE))
    text = " ".join(document[0].get_textpage().get_text_range().split())
    assert text == LONG
    for word in ("harbour", "nine"):
        (box,) = found(document, word)
        assert 45 <= box[0] < box[2] <= 355
        assert 195 <= box[1] < box[3] <= 295


def test_the_rows_of_a_table_and_text_without_a_place_are_there(tmp_path, picture):
    table = block(top=300, rows=[["Port", "Ships"], ["Åby", "3"]], height=60)
    loose = block("no place")
    loose = replace(loose, block=replace(loose.block, box=None))
    document = written(tmp_path, picture, page(1, table, loose, size=SIZE))
    for text in ("Port Ships", "Åby 3", "no place"):
        assert found(document, text)


def test_a_turned_page_is_upright(tmp_path):
    upright = np.full((SIZE.height, SIZE.width, 3), 255, np.uint8)
    upright[100:130, 50:400] = 0
    path = tmp_path / "scan.png"
    Image.fromarray(np.ascontiguousarray(np.rot90(upright, -1))).save(path)
    read = page(1, block("Annual report", 100, left=50, right=400), size=SIZE)
    came = replace(turned_page(read, -1), turn=1)
    document = written(tmp_path, path, came)
    assert document[0].get_size() == (300.0, 400.0)
    (box,) = found(document, "Annual report")
    assert box == pytest.approx([50, 100, 400, 130], abs=8)
    drawn = np.asarray(document[0].render(scale=2).to_pil().convert("L"))
    assert drawn[115, 200] < 80
    assert drawn[400, 200] > 200


def test_a_missing_package_is_named(tmp_path, picture, monkeypatch):
    monkeypatch.setitem(sys.modules, "pikepdf", None)
    with pytest.raises(
        AppError, match="pikepdf is not installed and a searchable PDF needs it"
    ) as caught:
        written(tmp_path, picture, page(1, size=SIZE))
    assert "finesight[documents]" in caught.value.hint
