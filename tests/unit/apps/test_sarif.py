# SPDX-License-Identifier: Apache-2.0
"""Findings as SARIF: what does not pass, where, how grave, and what was not looked at."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from finesight.apps.evidence import Coverage, Evidence, Found, Provenance, Skipped
from finesight.apps.grounding.alerts import write_inspection_sarif
from finesight.apps.grounding.findings import Finding, Inspected
from finesight.apps.grounding.presets import read_inspection
from finesight.apps.review.alerts import write_review_sarif
from finesight.apps.review.records import ClauseChange, Review, RuleResult
from finesight.apps.review.rules import Rule
from finesight.errors import AppError
from finesight.geometry import Box, Size

FULL = Coverage(unit="checks", total=1, seen=(0,))
PLACE = Evidence(page=2, box=Box(10, 20, 30.04, 40), quote="within 60 days", match="exact")


def written(path) -> dict:
    value = json.loads(path.read_text(encoding="utf-8"))
    assert value["version"] == "2.1.0"
    assert value["$schema"].endswith("sarif-2.1.0.json")
    (run,) = value["runs"]
    rules = [one["id"] for one in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in ("error", "warning", "note")
    return run


def result_of(name, verdict, *, severity="error", places=(), reason="Why."):
    rule = Rule(id=name, clause="Payment", kind="required", question="?", severity=severity)
    return RuleResult(rule=rule, verdict=verdict, reason=reason, evidence=places)


def review_of(*results, changes=None, coverage=FULL):
    made = Provenance(model="oracle")
    return Review(title="t", results=results, changes=changes, coverage=coverage, provenance=made)


def test_rules_that_do_not_pass_are_findings_on_their_pages(tmp_path):
    found = review_of(
        result_of("a", "fail", places=(PLACE,)),
        result_of("b", "pass", places=(PLACE,)),
        result_of("c", "unclear"),
        result_of("d", "missing", severity="warning"),
    )
    write_review_sarif(tmp_path / "r.sarif", "in/a contract.pdf", found)
    run = written(tmp_path / "r.sarif")
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
        ("a", "error"),
        ("c", "warning"),
        ("d", "note"),
    ]
    assert [one["id"] for one in run["tool"]["driver"]["rules"]] == ["a", "b", "c", "d"]
    (place,) = run["results"][0]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "in/a%20contract.pdf"},
        "region": {"startLine": 3, "snippet": {"text": "within 60 days"}},
    }
    assert place["properties"] == {"page": 3, "box": [10, 20, 30.0, 40]}
    assert "not legal advice" in run["results"][0]["message"]["text"]
    (whole,) = run["results"][1]["locations"]
    assert whole["physicalLocation"]["region"] == {"startLine": 1}
    assert run["invocations"][0]["executionSuccessful"] is True


def test_pages_that_were_not_read_and_differences_are_in_the_file(tmp_path):
    coverage = Coverage(unit="pages", total=2, seen=(0,), skipped=(Skipped("page 2", "torn"),))
    change = ClauseChange(
        kind="changed", new_number="4", new_text="New words", new_evidence=(PLACE,)
    )
    write_review_sarif(
        tmp_path / "r.sarif", "c.pdf", review_of(changes=(change,), coverage=coverage)
    )
    run = written(tmp_path / "r.sarif")
    (told,) = run["invocations"][0]["toolExecutionNotifications"]
    assert told == {"level": "error", "message": {"text": "page 2: torn"}}
    assert run["invocations"][0]["executionSuccessful"] is False
    (noted,) = run["results"]
    assert (noted["level"], noted["message"]["text"]) == ("note", "changed: 4 New words")


@pytest.mark.parametrize(
    ("severity", "verdict", "level"),
    [
        ("high", "fail", "error"),
        ("high", "unsure", "warning"),
        ("medium", "fail", "warning"),
        ("low", "unsure", "note"),
    ],
)
def test_checks_that_do_not_pass_are_findings_on_their_pictures(
    tmp_path, monkeypatch, severity, verdict, level
):
    monkeypatch.chdir(tmp_path)
    inspection = read_inspection("meter")
    name = next(iter(inspection.checks))
    found = Found(value="9", raw="9", evidence=(replace(PLACE, page=None),))
    one = Finding(check=name, severity=severity, verdict=verdict, found=found, message="9 is\nlow")
    good = replace(one, verdict="pass")
    picture = Inspected(
        source=str(tmp_path / "shots" / "meter.png"),
        page=1,
        size=Size(60, 60),
        verdict="fail",
        findings=(one, good),
        coverage=FULL,
    )
    write_inspection_sarif(tmp_path / "i.sarif", inspection, [picture], [("x.png", "is empty")])
    run = written(tmp_path / "i.sarif")
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == (name, level)
    assert result["message"]["text"] == f"{verdict}: 9 is low"
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "shots/meter.png"
    assert place["properties"]["page"] == 2
    (told,) = run["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"] == "x.png: is empty"


def test_a_finding_keeps_its_fingerprint_and_a_file_outside_has_its_address(tmp_path):
    prints = []
    for verdict in ("fail", "fail", "missing"):
        places = (PLACE,) if verdict == "fail" else ()
        found = review_of(result_of("a", verdict, places=places, reason=f"Run {len(prints)}."))
        write_review_sarif(tmp_path / "r.sarif", "/elsewhere/c.pdf", found)
        (one,) = written(tmp_path / "r.sarif")["results"]
        prints.append(one["partialFingerprints"]["finesight/v1"])
    assert prints[0] == prints[1] != prints[2]
    uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "file:///elsewhere/c.pdf"


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AppError):
        write_review_sarif(tmp_path / "file" / "r.sarif", "c.pdf", review_of())
