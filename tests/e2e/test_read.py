# SPDX-License-Identifier: Apache-2.0
"""`finesight read` with the embedded model: on a terminal, into a folder, again, and with wrong files."""

from __future__ import annotations

import json
from pathlib import Path

import pypdfium2

PAGE = Path(__file__).parents[2] / "examples" / "media" / "page.pdf"
LINES = ("Reading room", "Open Monday", "Second door")
WRITTEN = "<!-- page 1 -->\n\n" + "\n\n".join(LINES) + "\n"


def test_markdown_is_printed(finesight):
    outcome = finesight("read", PAGE)
    assert outcome.code == 0, outcome.err
    assert outcome.out == WRITTEN
    assert "pages are read as text" in outcome.err
    assert "1 page: 1 read" in outcome.err


def test_a_folder_has_the_documents_and_is_used_again(finesight, tmp_path):
    first = finesight("read", PAGE, "--out", "out", "--format", "md", "--format", "html", "--json")
    assert first.code == 0, first.err
    values = json.loads(first.out)
    assert values["coverage"] == {
        "unit": "pages", "total": 1, "seen": 1, "skipped": [], "details": {},
    }  # fmt: skip
    assert [block["text"] for block in values["pages"][0]["blocks"]] == list(LINES)
    assert (tmp_path / "out" / "document.md").read_text(encoding="utf-8") == WRITTEN
    assert (tmp_path / "out" / "document.html").is_file()
    second = finesight("read", PAGE, "--out", "out")
    assert "1 of them by an earlier run" in second.err
    other = finesight("read", PAGE, "--out", "out", "--route", "html")
    assert other.code == 1
    assert "route = text, this run has html" in other.err


def test_what_is_no_document_is_an_error(finesight, tmp_path):
    Path("notes.txt").write_text("no page", encoding="utf-8")
    for path in ("missing.pdf", "notes.txt"):
        outcome = finesight("read", path)
        assert outcome.code in (1, 2)
        assert path in outcome.err
        assert "Traceback" not in outcome.err


def test_all_formats_a_report_and_an_answer(finesight, tmp_path):
    formats = [word for name in ("docling", "mineru", "pdf") for word in ("--format", name)]
    outcome = finesight(
        "read", PAGE, "--out", "out", *formats, "--report", "report.html",
        "--ask", "How many tables are there?",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.out == "0 tables\n  counted in what was read of 1 of 1 pages\n"
    values = json.loads((tmp_path / "out" / "document.docling.json").read_text(encoding="utf-8"))
    assert [one["text"] for one in values["texts"]] == list(LINES)
    entries = json.loads(
        (tmp_path / "out" / "document.content_list.json").read_text(encoding="utf-8")
    )
    assert [one["text"] for one in entries] == list(LINES)
    pdf = pypdfium2.PdfDocument(tmp_path / "out" / "document.pdf")
    assert pdf[0].get_textpage().get_text_range().split("\r\n") == list(LINES)
    assert "Reading room" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_forms_that_are_only_files_need_a_folder(finesight):
    outcome = finesight("read", PAGE, "--format", "pdf")
    assert outcome.code == 2
    assert "--format pdf needs --out" in outcome.err


def test_options_without_effect_are_refused(finesight):
    for words, told in (
        (("--one-document",), "--one-document needs --schema"),
        (("--ask-pages", "2"), "--ask-pages needs --ask"),
        (("--ask", " "), "--ask is empty"),
    ):
        outcome = finesight("read", PAGE, *words)
        assert outcome.code == 2
        assert told in outcome.err


def test_a_bad_file_does_not_stop_the_others(finesight, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"\x00\x01junk")
    (folder / "b.pdf").write_bytes(b"")
    (folder / "c.pdf").write_bytes(PAGE.read_bytes())
    outcome = finesight("read", "scans")
    assert outcome.code == 1
    assert "Reading room" in outcome.out
    assert "a.pdf is no PDF" in outcome.out
    assert "is no picture" not in outcome.out + outcome.err
    assert "2 of 3 pages were not read to their end: 1, 2" in outcome.err
    assert "--max-tries" not in outcome.err
