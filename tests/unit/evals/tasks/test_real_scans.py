# SPDX-License-Identifier: Apache-2.0
"""Scans and tables of real projects: tiny copies in their layouts, and the real ones where they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.task import Answered
from finesight.evals.tasks.packaged.scan_lines import cut_lines
from finesight.evals.tasks.reading.pubtabnet import HEADS_AS_CELLS, HTML_TABLE, table_of
from tests.support.benchmark_copies import check_whole, items, jsonl, save, words

REAL = os.environ.get("FINESIGHT_REAL_DATA")
needs_real = pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder")
CELLS = [{"tokens": ["<b>", "a", "</b>"]}, {"tokens": ["1", ".", "5"]}, {"tokens": []}]
STRUCTURE = [*("<thead>", "<tr>", "<td", ' colspan="2"', ">", "</td>", "</tr>", "</thead>")]
STRUCTURE += ["<tbody>", "<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</tbody>"]


@pytest.fixture
def scans(tmp_path):
    save(tmp_path / "eurotext.tif", 1)
    (tmp_path / "eurotext.txt").write_text("Der „schnelle” Fuchs\nspringt", encoding="utf-8")
    for number, end in enumerate((".tif", "-rotated-180.png", "-rotated-L.png"), 2):
        save(tmp_path / f"phototest{end}", number)
    (tmp_path / "phototest.gold.txt").write_text("quick brown dog\n\n", encoding="utf-8")
    return tmp_path


def test_scans_that_are_there_are_asked(scans):
    asked = check_whole(registry.task("ocr_scans"), scans, shuffled=0.3, best=0.0)
    assert [item.tags["turn"] for item in asked] == [
        *("upright", "upright", "upside down", "turned left")
    ]
    assert words(asked[0]) == "[]Read all the text in the image."


def page_of(*widths):
    """A page with a bar of ink per line, and the word "line" and its number as text."""
    page = Image.new("L", (120, 40 * len(widths) + 20), 255)
    for number, width in enumerate(widths):
        page.paste(0, (10, 40 * number + 18, 10 + width, 40 * number + 42))
    return page, "\n\n".join(f"line {number}" for number in range(len(widths)))


def test_pages_are_cut_into_lines_in_their_own_direction(tmp_path):
    page, text = page_of(50, 80, 30)
    page.save(tmp_path / "phototest.tif")
    page.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phototest-rotated-L.png")
    page.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "phototest-rotated-180.png")
    (tmp_path / "phototest.gold.txt").write_text(text)
    upright = check_whole(registry.task("scan_lines"), tmp_path, shuffled=0.1, best=0.0)
    pictures = [item.conversation.messages[0].parts[0].source for item in upright]
    assert [item.id for item in upright] == [f"phototest.tif/{number}" for number in (1, 2, 3)]
    assert [picture.size for picture in pictures] == [(66, 40), (96, 40), (46, 40)]
    turned = check_whole(registry.task("scan_lines_turned"), tmp_path, shuffled=0.0, best=0.0)
    assert [item.tags["turn"] for item in turned] == ["upside down"] * 3 + ["turned left"] * 3
    assert [item.truth["text"] for item in turned] == ["line 0", "line 1", "line 2"] * 2
    pictures = [item.conversation.messages[0].parts[0].source for item in turned]
    assert [picture.size for picture in pictures[3:]] == [(40, 66), (40, 96), (40, 46)]


def test_a_page_with_fewer_lines_than_its_text_is_a_broken_row(scans):
    asked = items(registry.task("scan_lines"), scans)
    Image.new("L", (60, 60), 255).save(scans / "eurotext.tif")
    assert "cannot be cut into lines" in items(registry.task("scan_lines"), scans)[0].truth[BROKEN]
    assert len(asked) == 3
    with pytest.raises(EvalError, match="no ink between rows"):
        cut_lines(page_of(50, 80)[0], 9)


@needs_real
def test_real_scans_are_cut_where_there_is_no_ink():
    upright = items(registry.task("scan_lines"), Path(REAL) / "ocr_scans")
    assert len(upright) == 12 + 8
    heights = [item.conversation.messages[0].parts[0].source.height for item in upright]
    assert 40 <= min(heights) <= max(heights) < 70
    assert len(items(registry.task("scan_lines_turned"), Path(REAL) / "ocr_scans")) == 3 * 8


def test_errors_are_counted_with_blanks_taken_alike(scans):
    task, truth = registry.task("ocr_scans"), {"text": "one two\nthree"}
    assert task.score("one  two three", truth) == {"cer": 0.0, "wer": 0.0}
    assert task.score("one two", truth)["wer"] == pytest.approx(1 / 3)
    assert task.score(None, truth) == {"cer": 1.0, "wer": 1.0}
    assert task.score("x" * 999, truth)["cer"] == 1.0


def test_a_scan_without_its_text_is_a_broken_row(scans, tmp_path):
    (scans / "eurotext.txt").unlink()
    asked = items(registry.task("ocr_scans"), scans)
    assert "eurotext.txt cannot be read" in asked[0].truth[BROKEN]
    assert len(asked) == 4
    with pytest.raises(EvalError, match=r"holds none of eurotext.tif"):
        items(registry.task("ocr_scans"), tmp_path / "nothing")


def test_tables_are_put_together_from_structure_and_cells():
    assert table_of(STRUCTURE, CELLS) == (
        '<html><body><table><thead><tr><td colspan="2"><b>a</b></td></tr></thead>'
        "<tbody><tr><td>1.5</td><td></td></tr></tbody></table></body></html>"
    )
    with pytest.raises(ValueError, match="2 cells for 3 places"):
        table_of(STRUCTURE, CELLS[:2])


def test_pubtabnet(tmp_path):
    def row(number, cells=CELLS):
        html = {"cells": cells, "structure": {"tokens": STRUCTURE}}
        return {"filename": f"{number}.png", "split": "val", "imgid": number, "html": html}

    other = [{"tokens": list("zzzzzzzz")}] * 3
    jsonl(tmp_path / "PubTabNet_2.0.0.jsonl", [row(0), row(1, other)])
    save(tmp_path / "val" / "0.png", 0)
    save(tmp_path / "1.png", 1)
    asked = check_whole(registry.task("pubtabnet"), tmp_path, shuffled=0.9)
    sources = [item.conversation.messages[0].parts[0].source for item in asked]
    assert sources == [tmp_path / "val" / "0.png", tmp_path / "1.png"]
    assert asked[0].tags == {"kind": "with spans"}
    jsonl(tmp_path / "PubTabNet_2.0.0.jsonl", [row(0, CELLS[:1])])
    assert "1 cells for 3 places" in items(registry.task("pubtabnet"), tmp_path)[0].truth[BROKEN]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Here:\n```html\n<table><tr><th>a</th></tr></table>\n```", "<tr><td>a</td></tr></table>"),
        ("<table><tr><td>cut", "<tr><td>cut"),
        ("no table", None),
    ],
)
def test_the_first_table_of_an_answer(text, read):
    found = HEADS_AS_CELLS.read(Answered(text, {}))
    assert found == (None if read is None else f"<table>{read}")
    plain = HTML_TABLE.read(Answered(text, {}))
    assert plain is None or plain in text


@pytest.mark.real_data
@needs_real
@pytest.mark.parametrize(("name", "count"), [("ocr_scans", 5), ("pubtabnet", 20)])
def test_the_real_copies_are_whole(name, count):
    task = registry.task(name)
    best, shuffled = (1.0, 0.5) if task.higher_is_better else (0.0, 0.3)
    asked = check_whole(task, Path(REAL) / task.name, shuffled=shuffled, best=best)
    assert len(asked) == count
