# SPDX-License-Identifier: Apache-2.0
"""Scans and tables of real projects: tiny copies in their layouts, and the real ones where they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from finesight.errors import EvalError
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.task import Answered
from finesight.evals.tasks.packaged.ocr_scans import TASKS as SCANS
from finesight.evals.tasks.reading.pubtabnet import HEADS_AS_CELLS, HTML_TABLE, table_of
from finesight.evals.tasks.reading.pubtabnet import TASKS as TABLES
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
    asked = check_whole(SCANS[0], scans, shuffled=0.3, best=0.0)
    assert [item.tags["turn"] for item in asked] == [
        *("upright", "upright", "upside down", "turned left")
    ]
    assert words(asked[0]) == "[]Read all the text in the image."


def test_errors_are_counted_with_blanks_taken_alike(scans):
    task, truth = SCANS[0], {"text": "one two\nthree"}
    assert task.score("one  two three", truth) == {"cer": 0.0, "wer": 0.0}
    assert task.score("one two", truth)["wer"] == pytest.approx(1 / 3)
    assert task.score(None, truth) == {"cer": 1.0, "wer": 1.0}
    assert task.score("x" * 999, truth)["cer"] == 1.0


def test_a_scan_without_its_text_is_a_broken_row(scans, tmp_path):
    (scans / "eurotext.txt").unlink()
    asked = items(SCANS[0], scans)
    assert "eurotext.txt cannot be read" in asked[0].truth[BROKEN]
    assert len(asked) == 4
    with pytest.raises(EvalError, match=r"holds none of eurotext.tif"):
        items(SCANS[0], tmp_path / "nothing")


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
    asked = check_whole(TABLES[0], tmp_path, shuffled=0.9)
    sources = [item.conversation.messages[0].parts[0].source for item in asked]
    assert sources == [tmp_path / "val" / "0.png", tmp_path / "1.png"]
    assert asked[0].tags == {"kind": "with spans"}
    jsonl(tmp_path / "PubTabNet_2.0.0.jsonl", [row(0, CELLS[:1])])
    assert "1 cells for 3 places" in items(TABLES[0], tmp_path)[0].truth[BROKEN]


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
@pytest.mark.parametrize(("task", "count"), [(SCANS[0], 5), (TABLES[0], 20)], ids=["ocr", "tables"])
def test_the_real_copies_are_whole(task, count):
    best, shuffled = (1.0, 0.5) if task.higher_is_better else (0.0, 0.3)
    asked = check_whole(task, Path(REAL) / task.name, shuffled=shuffled, best=best)
    assert len(asked) == count
