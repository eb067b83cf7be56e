# SPDX-License-Identifier: Apache-2.0
"""Written values: JSON as the user's structure, tables that no program runs, a report with the places."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import openpyxl
import pytest

from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.extract.extract import extract
from finesight.apps.extract.report import write_extract_report
from finesight.apps.extract.schema import load_schema
from finesight.apps.extract.services import azure_json, landing_json
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


def test_azure_names_have_typed_values_places_and_doubts(form, extraction):
    own = load_schema(schema())
    value = azure_json([("form.png", extraction, (form.read(),))], own, "oracle")
    result = value["analyzeResult"]
    (page,), (document,) = result["pages"], result["documents"]
    assert (page["pageNumber"], page["unit"]) == (1, "pixel")
    assert form.raw["seller"] in result["content"]
    fields = document["fields"]
    net, date = fields["net"], fields["invoice_date"]
    assert (net["type"], net["valueNumber"], net["content"]) == (
        "number",
        form.data["net"],
        form.raw["net"],
    )
    assert (date["type"], date["valueDate"]) == ("date", form.data["invoice_date"])
    (region,) = net["boundingRegions"]
    box = extraction.fields["net"].evidence[0].box
    assert region["pageNumber"] == 1
    assert region["polygon"][:2] == [round(box.x1, 1), round(box.y1, 1)]
    assert region["polygon"][4:6] == [round(box.x2, 1), round(box.y2, 1)]
    (first, *_), items = fields["items"]["valueArray"], form.data["items"]
    assert len(fields["items"]["valueArray"]) == len(items)
    assert first["valueObject"]["quantity"]["valueInteger"] == items[0]["quantity"]
    assert document["confidence"] == min(
        round(one.score.value, 4)
        for one in extraction.fields.values()
        if one.score.value is not None
    )
    assert any(one["code"] == "x-check" for one in result["warnings"])


def test_landing_names_have_the_users_data_and_chunks_in_shares_of_the_page(form, extraction):
    page = form.read()
    (value,) = landing_json([("form.png", extraction, (page,))])
    assert value["extraction"] == extraction.data
    net = value["extraction_metadata"]["net"]
    assert net["value"] == form.data["net"]
    assert net["confidence"] == round(extraction.fields["net"].score.value, 4)
    chunks = {one["chunk_id"]: one for one in value["chunks"]}
    (place,) = chunks[net["chunk_references"][0]]["grounding"]
    assert place["page"] == 0
    box = extraction.fields["net"].evidence[0].box
    assert place["box"]["l"] * page.size.width == pytest.approx(box.x1, abs=0.1)
    assert place["box"]["b"] * page.size.height == pytest.approx(box.y2, abs=0.1)
    assert len(value["extraction_metadata"]["items"]) == len(form.data["items"])
    assert value["metadata"]["filename"] == "form.png"
    assert any("the rule" in one["msg"] for one in value["metadata"]["warnings"])
    assert value["errors"] == []


def test_a_page_that_was_not_read_is_an_error_of_landing_and_a_warning_of_azure(form, extraction):
    page = replace(form.read(), status="partly", problems=("it broke off",))
    found = [("form.png", extraction, (page,))]
    (value,) = landing_json(found)
    assert value["errors"] == [{"page_num": 0, "error": "it broke off", "error_code": "partly"}]
    warnings = azure_json(found, load_schema(schema()), "oracle")["analyzeResult"]["warnings"]
    assert {"code": "partly", "message": "it broke off", "target": "form.png: page 1"} in warnings
