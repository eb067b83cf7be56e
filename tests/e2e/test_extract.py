# SPDX-License-Identifier: Apache-2.0
"""`read --schema`, `classify` and `review`: commands with the embedded model, Python functions with an oracle."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import openpyxl
import pytest
from PIL import Image

import finesight as package
from finesight import files
from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.extract.records import Extraction
from finesight.cli.model_choice import ModelChoice
from finesight.errors import AppError
from tests.support.app_responders import answered, asked
from tests.support.contracts import draw_contract, playbook
from tests.support.documents import PageOracle
from tests.support.forms import Copyist, draw_form, schema

PAGE = Path(__file__).parents[2] / "examples" / "media" / "page.pdf"
TICKET = Path(__file__).parents[2] / "examples" / "media" / "ticket.png"
SCHEMA = {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]}
RULES = """
[[rule]]
id = "hours"
clause = "Opening hours"
kind = "required"
question = "When is the reading room open?"
"""


def test_values_are_printed_and_written(finesight, tmp_path):
    asked = ("read", PAGE, "--schema", json.dumps(SCHEMA), "--max-new-tokens", "48")
    more = [part for form in ("json", "csv", "xlsx") for part in ("--format", form)]
    outcome = finesight(*asked, "--out", "out", *more, "--report", "report.html", "--json")
    assert outcome.code in (0, 3), outcome.err
    (document,) = json.loads(outcome.out)["documents"]
    field = document["fields"]["room"]
    assert document["data"].keys() == {"room"}
    assert field["status"] in ("found", "unread", "absent")
    assert (outcome.code == 0) == (field["status"] == "found" and not document["problems"])
    written = json.loads((tmp_path / "out" / "extraction.json").read_text(encoding="utf-8"))
    assert written["documents"] == [document]
    with (tmp_path / "out" / "extraction.csv").open(encoding="utf-8-sig") as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["room"]
    assert (
        openpyxl.load_workbook(tmp_path / "out" / "extraction.xlsx")["values"]["B2"].value == "room"
    )
    assert (tmp_path / "out" / "document.json").is_file()
    assert "Extracted values" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_values_are_written_with_any_format_of_the_document(finesight, tmp_path):
    asked = ("read", PAGE, "--schema", json.dumps(SCHEMA), "--max-new-tokens", "48")
    outcome = finesight(*asked, "--out", "out", "--format", "html")
    assert outcome.code in (0, 3), outcome.err
    written = json.loads((tmp_path / "out" / "extraction.json").read_text(encoding="utf-8"))
    assert written["documents"][0]["fields"].keys() == {"room"}
    assert (tmp_path / "out" / "document.html").is_file()


def test_values_are_written_with_the_names_of_other_services(finesight, tmp_path):
    asked = ("read", PAGE, "--schema", json.dumps(SCHEMA), "--max-new-tokens", "48")
    outcome = finesight(*asked, "--out", "out", "--format", "azure", "--format", "landing")
    assert outcome.code in (0, 3), outcome.err
    azure = json.loads((tmp_path / "out" / "extraction.azure.json").read_text(encoding="utf-8"))
    (document,) = azure["analyzeResult"]["documents"]
    assert document["fields"].keys() == {"room"}
    (landing,) = json.loads(
        (tmp_path / "out" / "extraction.landing.json").read_text(encoding="utf-8")
    )
    assert landing["extraction_metadata"].keys() == landing["extraction"].keys() == {"room"}
    again = finesight(*asked, "--out", "out", "--format", "json")
    assert "by an earlier run" in again.err
    assert len(list((tmp_path / "out" / "values").glob("*/00001.json"))) <= 1
    refused = finesight(*asked, "--format", "azure")
    assert (refused.code, "--format azure needs --out" in refused.err) == (2, True)


def test_a_packet_is_classified(finesight, tmp_path):
    asked = ("classify", PAGE, "--label", "notice=opening hours", "--label", "invoice")
    outcome = finesight(*asked, "--threshold", "0", "--report", "kinds.html")
    assert outcome.code == 0, outcome.err
    name, pages, label, share = outcome.out.strip().split("\t")
    assert (name, pages) == ("page.pdf", "page 1")
    assert label in ("notice", "invoice")
    assert 0.5 <= float(share) <= 1
    assert "data:image/" in (tmp_path / "kinds.html").read_text(encoding="utf-8")


def test_a_review_ends_with_a_code_for_ci(finesight, tmp_path):
    (tmp_path / "rules.toml").write_text(RULES, encoding="utf-8")
    asked = ("review", PAGE, "--rules", "rules.toml", "--max-new-tokens", "64", "--route", "text")
    more = ("--report", "review.html", "--sarif", "review.sarif")
    outcome = finesight(*asked, "--annotated", "a.pdf", *more)
    verdict, name, _ = outcome.out.strip().split("\t")
    assert name == "hours"
    assert outcome.code == (0 if verdict == "pass" else 3), outcome.err
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert "not legal advice" in (tmp_path / "review.html").read_text(encoding="utf-8")
    (run,) = json.loads((tmp_path / "review.sarif").read_text(encoding="utf-8"))["runs"]
    assert [one["ruleId"] for one in run["results"]] == ([] if verdict == "pass" else ["hours"])


def test_equal_versions_need_no_rules(finesight):
    outcome = finesight("review", PAGE, "--against", PAGE, "--route", "text", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["changes"] == []


def test_equal_versions_are_said_to_be_equal(finesight):
    outcome = finesight("review", PAGE, "--against", PAGE, "--route", "text")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no clause differs" in outcome.err


def test_pages_are_those_of_their_file_and_a_broken_file_is_unread(finesight, tmp_path):
    (tmp_path / "broken.png").write_bytes(TICKET.read_bytes()[:200])
    asked = ("classify", PAGE, TICKET, "broken.png", "--label", "notice", "--label", "ticket")
    outcome = finesight(*asked)
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [line[:2] for line in lines] == [
        [name, "page 1"] for name in ("page.pdf", "ticket.png", "broken.png")
    ]
    assert lines[2][2] == "unread"
    assert outcome.code == 1


def test_wrong_usage_is_refused_before_a_model_is_opened(finesight, tmp_path):
    (tmp_path / "bad.toml").write_text("[[rule]]\nid = 'a'\n", encoding="utf-8")
    wrong_rule = json.dumps({**SCHEMA, "x-check": "room.__class__()"})
    for words, told in (
        (("read", PAGE, "--format", "csv"), "needs --schema"),
        (("read", PAGE, "--schema", json.dumps(SCHEMA), "--format", "csv"), "needs --out"),
        (("read", PAGE, "--schema", "none.json"), "cannot be read"),
        (("read", PAGE, "--schema", wrong_rule), "the rule"),
        (("read", PAGE, "--schema", '{"type": "object", "properties": {}}'), "names no value"),
        (("classify", PAGE, "--label", "one"), "at least two"),
        (("classify", PAGE, "--label", "one", "--label", ""), "empty"),
        (
            (
                "classify",
                PAGE,
                "--label",
                "a",
                "--label",
                "b",
                "--threshold",
                "0.4",
                "--examples",
                "e.csv",
            ),
            "leave one of them out",
        ),
        (("review", PAGE), "--rules"),
        (("review", PAGE, "--rules", "bad.toml"), "rule 1"),
        (("review", PAGE, "--against", PAGE, "--annotated", "a.pdf"), "--rules"),
    ):
        outcome = finesight(*words)
        assert outcome.code == 2, (words, outcome.err)
        assert told in outcome.err
        assert "Traceback" not in outcome.err


class FormOracle:
    """Reads a form line by line, and copies its values."""

    def __init__(self, form):
        self.copyist = Copyist([form.raw])
        self.page = PageOracle([(form.pixels, form.lines)])

    def respond(self, conversations, sampling):
        return [self._one(one, sampling) for one in conversations]

    def _one(self, conversation, sampling):
        question = asked(conversation)
        if question.text.startswith("Extract"):
            return self.copyist.respond([conversation], sampling)[0]
        try:
            return answered(question, self.page(question))
        except StopIteration:  # a turned copy of the page, on which nothing can be read
            return answered(question, "")


def test_extract_in_python(tmp_path):
    form = draw_form(31, "columns", "en")
    path = tmp_path / "form.png"
    Image.fromarray(form.pixels).save(path)
    found = package.extract(
        path,
        schema(),
        model=FormOracle(form),
        route="spotting",
        options=ExtractOptions(check_below=0),
    )
    assert isinstance(found, Extraction)
    assert found.data == form.data
    assert found.is_sound


class LockedOracle(FormOracle):
    """Tries to lock the folder of the run whenever values are asked for."""

    def __init__(self, form, folder):
        super().__init__(form)
        self.folder, self.told = folder, []

    def _one(self, conversation, sampling):
        if asked(conversation).text.startswith("Extract"):
            with pytest.raises(AppError) as raised:
                files.lock(self.folder / ".lock", error=AppError).close()
            self.told.append(raised.value.message)
        return super()._one(conversation, sampling)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks")
@pytest.mark.parametrize("is_command", [True, False])
def test_no_other_run_asks_for_the_same_values(finesight, tmp_path, monkeypatch, is_command):
    form, path, out = draw_form(31, "columns", "en"), tmp_path / "form.png", tmp_path / "out"
    Image.fromarray(form.pixels).save(path)
    oracle = LockedOracle(form, out)
    if is_command:
        monkeypatch.setattr(ModelChoice, "opened", lambda _: oracle)
        words = ("--schema", json.dumps(schema()), "--route", "spotting", "--out", out)
        assert finesight("read", path, *words).code in (0, 3)
    else:
        package.extract(path, schema(), model=oracle, route="spotting", out=out)
    assert oracle.told
    assert all("another process writes to" in one for one in oracle.told)
    files.lock(out / ".lock", error=AppError).close()


def test_review_in_python(tmp_path):
    contract = draw_contract(tmp_path, 41)
    found = package.review(
        contract.path,
        playbook(),
        model=contract.responder(),
        route="text",
        annotated=tmp_path / "annotated.pdf",
    )
    assert {one.rule.id: one.verdict for one in found.results} == contract.verdicts
    assert (tmp_path / "annotated.pdf").is_file()
