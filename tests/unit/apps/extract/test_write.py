# SPDX-License-Identifier: Apache-2.0
"""Written values: JSON as the user's structure, tables that no program runs, a report with the places."""

from __future__ import annotations

import csv
import json

import openpyxl
import pytest

from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.extract.extract import extract
from finesight.apps.extract.report import write_extract_report
from finesight.apps.extract.schema import load_schema
from finesight.apps.extract.write import COLUMNS, write_extractions
from tests.support.forms import Copyist, draw_form, schema


@pytest.fixture(scope="module")
def form():
    return draw_form(21, "lines", "en")


@pytest.fixture(scope="module")
def extraction(form):
    wrong = Copyist([form.raw], {"seller": "=HYPERLINK(1)", "total": "1.00"}, unsure=False)
    pages = [(form.read(), form.image())]
    return extract(pages, load_schema(schema()), wrong, ExtractOptions())


def test_the_json_has_the_users_structure_beside_the_evidence(tmp_path, form, extraction):
    path = tmp_path / "values.json"
    write_extractions(path, {"form.png": extraction}, "json")
    (document,) = json.loads(path.read_text())["documents"]
    assert document["data"] == {**form.data, "seller": "=HYPERLINK(1)", "total": 1}
    assert document["fields"]["net"]["evidence"][0]["match"] == "exact"
    assert document["coverage"]["seen"] == 1


def test_a_csv_cell_is_no_formula(tmp_path, form, extraction):
    path = tmp_path / "values.csv"
    write_extractions(path, {"form.png": extraction}, "csv")
    with path.open(encoding="utf-8-sig") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert rows["seller"]["value"] == "'=HYPERLINK(1)"
    assert float(rows["net"]["value"]) == form.data["net"]
    assert float(rows["net"]["x1"]) > 0
    assert rows["net"]["page"] == "1"
    assert "rule" in rows["total"]["problems"]


def test_an_xlsx_cell_is_a_number_or_a_text(tmp_path, form, extraction):
    path = tmp_path / "values.xlsx"
    write_extractions(path, {"form.png": extraction}, "xlsx")
    sheet = openpyxl.load_workbook(path)["values"]
    header, *rows = sheet.iter_rows()
    assert tuple(cell.value for cell in header) == COLUMNS
    by_path = {row[1].value: row for row in rows}
    assert by_path["net"][2].value == form.data["net"]
    assert by_path["seller"][2].data_type == "s"


def test_the_report_shows_pages_values_and_rules(tmp_path, form, extraction):
    path = tmp_path / "values.html"
    results = [("form.png", extraction, (form.read(),))]
    write_extract_report(path, results, lambda page: form.image())
    text = path.read_text()
    assert "data:image/" in text
    assert "1 rules fail" in text
    assert "total == net + tax" in text
    assert str(form.data["net"]) in text
