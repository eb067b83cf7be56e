# SPDX-License-Identifier: Apache-2.0
"""Logs of other harnesses meet our items by what they call them, and say what did not meet."""

from __future__ import annotations

import csv
import json
import sys

import openpyxl
import pytest

from finesight.errors import EvalError
from finesight.evals.responders.harness_logs import harness_of, load_outputs
from tests.support.toy_eval import item

ITEMS = [item(number) for number in (1, 2, 3)]


def logged(number, text, **more):
    """A line of lmms-eval 0.7.3: documents are left out, `resps` too where nothing was filtered."""
    line = {"doc_id": number, "target": str(2 * number + 2), "filtered_resps": text}
    return {**line, "token_counts": [None], "doc_hash": "0", "input": "What", "acc": 1.0, **more}


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def table(path, rows):
    """A result table as VLMEvalKit writes it: every cell in quotes."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    return path


def predicted(name, text, **more):
    return {"index": name, "question": "What?", "answer": "2", "prediction": text, **more}


def texts(match):
    return dict(match[0].stored)


def test_a_log_without_documents_is_matched_by_place(tmp_path):
    path = write_lines(
        tmp_path / "samples_toy.jsonl",
        [logged(2, "six", resps=["It is six."]), logged(0, "two")],
    )
    outputs = load_outputs(path)
    assert (harness_of(path), outputs.harness) == ("lmms-eval", "lmms-eval")
    match = outputs.match(ITEMS)
    assert texts(match) == {"q3": "It is six.", "q1": "two"}  # raw answers, not the filtered ones
    assert match[0].name == "replay of samples_toy.jsonl (lmms-eval)"
    assert match[1] == [
        "2 of 3 items have an output, matched by place in the split",
        "the log's target occurs in the truth of 2 of 2 items",
        "1 items without an output: q2",
    ]


def test_places_stay_right_after_an_id_that_comes_twice(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [logged(0, "two"), logged(2, "four")])
    match = load_outputs(path).match([item(1), item(1), item(2)])
    assert texts(match) == {"q1": "two", "q2": "four"}
    assert match[1][-1] == "1 items without an output: q1 (again, row 1)"


NAMED = {
    "by its document": {"doc": {"id": "q2", "question": "What?"}},
    "by a metric": {"toy_acc": {"question_id": "q2", "score": 1.0}},
    "by a metric with another name beside it": {"toy_acc": {"question_id": "q2", "index": 7}},
}


@pytest.mark.parametrize("more", NAMED.values(), ids=NAMED)
def test_names_come_before_places(tmp_path, more):
    path = write_lines(tmp_path / "a.jsonl", [logged(0, "four", **more)])
    match = load_outputs(path).match(ITEMS)
    assert texts(match) == {"q2": "four"}
    assert match[1][-1] == "2 items without an output: q1, q3"


@pytest.mark.parametrize("resps", [["raw"], [["raw"]], "raw"])
def test_raw_answers_of_every_depth(tmp_path, resps):
    path = write_lines(tmp_path / "a.jsonl", [logged(0, "x", resps=resps)])
    assert texts(load_outputs(path).match(ITEMS)) == {"q1": "raw"}


def test_a_table_is_matched_by_its_index(tmp_path):
    rows = [
        predicted("q1", "two\nlines", id="999"),
        predicted("q3", ""),
        predicted("q2", "Failed to obtain answer via API."),
        predicted("q9", "nine"),
    ]
    path = table(tmp_path / "m_toy.tsv", [{**row, "id": "1"} for row in rows])
    outputs = load_outputs(path)
    assert outputs.harness == "VLMEvalKit"
    match = outputs.match(ITEMS)
    assert texts(match) == {"q1": "two\nlines", "q3": ""}
    lost = "items whose output is lost: the model failed, or its cell was too short"
    assert match[1] == [
        "3 of 3 items have an output, matched by column index",
        "the log's target occurs in the truth of 1 of 3 items",
        f"1 {lost}: q2",
        "1 outputs without an item: index q9",
    ]


def test_another_column_than_the_index_may_name_the_items(tmp_path):
    rows = [predicted(0, "b", question_id="q2"), predicted(1, "c", question_id="q3")]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    match = load_outputs(tmp_path / "a.json").match(ITEMS)
    assert texts(match) == {"q2": "b", "q3": "c"}
    assert match[1][0].endswith("matched by column question_id")


def test_numbers_of_spreadsheets_are_whole(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([predicted(7.0, "x"), predicted(8, 4)]))
    items = [item(1, item_id="7"), item(2, item_id="8")]
    assert texts(load_outputs(tmp_path / "a.json").match(items)) == {"7": "x", "8": "4"}


def test_many_names_are_shortened(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [logged(0, "two")])
    said = load_outputs(path).match([item(number) for number in range(9)])[1]
    assert said[-1] == "8 items without an output: q1, q2, q3, q4, q5, ..."


def test_a_spreadsheet(tmp_path):
    book = openpyxl.Workbook()
    for row in (("index", "prediction"), ("q1", "two"), ("q2", None), ("q3", "x" * 32_767)):
        book.active.append(row)
    book.save(tmp_path / "m_toy.xlsx")
    match = load_outputs(tmp_path / "m_toy.xlsx").match(ITEMS)
    assert texts(match) == {"q1": "two", "q2": ""}
    assert match[1][-1].endswith("too short: q3")  # cut where the cell ended
    (tmp_path / "b.xlsx").write_bytes(b"PK no")
    with pytest.raises(EvalError, match="cannot be read as a spreadsheet"):
        load_outputs(tmp_path / "b.xlsx")


def test_a_spreadsheet_needs_openpyxl(tmp_path, monkeypatch):
    with pytest.raises(EvalError, match="there is no file"):
        load_outputs(tmp_path / "a.xlsx")
    (tmp_path / "a.xlsx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(EvalError, match="pip install openpyxl"):
        load_outputs(tmp_path / "a.xlsx")


OURS = {
    "our samples": [{"id": "q1", "text": "two", "finish_reason": "stop"}],
    "others": [{"question_id": "q1", "answer": "two"}],
    "no row": [],
}


@pytest.mark.parametrize("lines", OURS.values(), ids=OURS)
def test_other_files_are_left_to_their_reader(tmp_path, lines):
    path = write_lines(tmp_path / "a.jsonl", lines)
    assert load_outputs(path) is None
    assert load_outputs(tmp_path) is None
    assert load_outputs(tmp_path / "nowhere.jsonl") is None


BAD = {
    "log-likelihoods": ([logged(0, [-1.5, True])], r"no single text: \[-1.5, true\]"),
    "several answers": ([logged(0, "a", resps=["a", "b"])], "no single text"),
    "unlike the first": (
        [logged(0, "a"), {"doc_id": 1}],
        "no filtered_resps, unlike the first row",
    ),
}


@pytest.mark.parametrize(("lines", "said"), BAD.values(), ids=BAD)
def test_rows_that_hold_no_answer_are_refused(tmp_path, lines, said):
    with pytest.raises(EvalError, match=said):
        load_outputs(write_lines(tmp_path / "a.jsonl", lines))


def test_a_broken_line_is_refused(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [logged(0, "a")])
    path.write_text(path.read_text() + "{\n")
    with pytest.raises(EvalError, match="line 2: not JSON"):
        load_outputs(path)


APART = {
    "twice": ([logged(0, "a"), logged(0, "b")], "a second output for item 'q1'"),
    "another split": ([logged(99, "a")], "output for row 99, the copy has 3 items"),
}


@pytest.mark.parametrize(("lines", "said"), APART.values(), ids=APART)
def test_what_does_not_belong_together_is_refused(tmp_path, lines, said):
    with pytest.raises(EvalError, match=said):
        load_outputs(write_lines(tmp_path / "a.jsonl", lines)).match(ITEMS)


def test_another_benchmark_is_refused(tmp_path):
    path = table(tmp_path / "a.tsv", [predicted("mm-1", "a")])
    with pytest.raises(EvalError, match="no output of any of 3 items; columns tried: index; "):
        load_outputs(path).match(ITEMS)
