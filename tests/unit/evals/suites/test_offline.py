# SPDX-License-Identifier: Apache-2.0
"""The suite on real data, with tiny folders and answers that know the truth."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from finesight.errors import EvalError
from finesight.evals.core.responders import Baseline
from finesight.evals.core.self_check import stored_oracle
from finesight.evals.suites.goldens import Golden, replay
from finesight.evals.suites.offline import run_offline, save_offline
from tests.support.benchmark_copies import as_json, jsonl, save

REAL = os.environ.get("FINESIGHT_REAL_DATA")


@pytest.fixture
def real(tmp_path):
    folder = tmp_path / "real"
    save(folder / "ocr_scans" / "phototest.tif", 1)
    (folder / "ocr_scans" / "phototest.gold.txt").write_text("quick brown dog\n")
    row = {"id": "1", "question": "How much?", "options": [], "answer": "60"}
    row |= {"level": 1, "subject": "algebra", "image": "images/1.jpg"}
    mathvision = folder / "mathvision"
    jsonl(mathvision / "testmini.jsonl", [row])
    jsonl(mathvision / "test.jsonl", [row, {**row, "id": "2", "answer": "7"}])
    save(mathvision / "images" / "1.jpg", 1)
    outputs = [{"id": "1", "response": "60"}, {"id": "2", "response": "It is 8."}]
    jsonl(mathvision / "outputs" / "Other.jsonl", outputs)
    as_json(mathvision / "outputs" / "Other_result.json", {"-all": "1/2=50.0%"})
    return folder


def test_what_is_there_is_run_and_what_is_not_is_named(real, tmp_path):
    told = []
    done = run_offline(
        Baseline("oracle", stored_oracle),
        "original",
        [tmp_path / "elsewhere", real],
        tmp_path / "out",
        on_progress=lambda *each: told.append(each),
    )
    assert [(each.task, each.value) for each in done.results] == [
        ("ocr_scans", 0.0),
        ("mathvision_mini", 1.0),
    ]
    missing = [part.task for part in done.missing]
    assert missing[:3] == ["page_scan", "pubtabnet", "vega_charts"]
    assert all(part.how for part in done.missing)
    assert done.goldens == (Golden("MATH-Vision", "Other", 1.0, 1.0, 2),)
    assert told == [("ocr_scans", 1, 1), ("mathvision_mini", 1, 1)]


def test_table_json_and_page(real, tmp_path):
    out = tmp_path / "out"
    done = run_offline(Baseline("constant", lambda _: "nonsense"), "original", [real], out, limit=1)
    content = save_offline(done, out, model="<tiny>")
    assert json.loads((out / "offline.json").read_text()) == content
    assert [row["row"] for row in content["rows"]] == [
        *("ocr_scans", "mathvision_mini", "replay: MATH-Vision")
    ]
    assert content["rows"][0]["value"] > 50
    assert content["rows"][2]["agrees"] is True
    page = (out / "offline.html").read_text()
    assert "Stored outputs scored again" in page
    assert "&lt;tiny&gt;" in page
    assert "data:image/" in page
    assert content["missing"]["coins"]["needs"] == ["skimage"]


def test_a_total_that_differs_is_said(real):
    as_json(real / "mathvision" / "outputs" / "Other_result.json", {"-all": "2/2=100%"})
    (golden,) = replay(real)
    assert not golden.agrees


def test_broken_outputs_and_empty_folders_are_errors(real, tmp_path):
    jsonl(real / "mathvision" / "outputs" / "Other.jsonl", [{"id": "9", "response": "60"}])
    with pytest.raises(EvalError, match="cannot be scored by mathvision: KeyError"):
        replay(real)
    with pytest.raises(EvalError, match="no holds none of the folders easy_vqa, fashion_mnist"):
        run_offline(
            Baseline("constant", lambda _: ""), "original", [tmp_path / "no"], tmp_path / "out"
        )


@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder")
def test_every_published_total_is_met():
    found = replay(Path(REAL))
    assert len(found) == 8
    assert [each.system for each in found if not each.agrees] == []
