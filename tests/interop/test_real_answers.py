# SPDX-License-Identifier: Apache-2.0
"""Stored answers of real systems, scored by both sides: equal, or a difference that is listed for drawn answers."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from tests.interop.compare import PYTHON, Worker, findings_of
from tests.interop.comparisons import COMPARISONS
from tests.interop.differences import DIFFERENCES
from tests.interop.pairs import Pair

REAL = os.environ.get("FINESIGHT_REAL_DATA")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder"),
    pytest.mark.skipif(not PYTHON.exists(), reason="scripts/harness-venv.sh makes .harnesses"),
]


def lines(path):
    return map(json.loads, (Path(REAL) / path).read_text().splitlines())


def found(key, pairs):
    comparison = next(each for each in COMPARISONS if each.key == key)
    with Worker() as worker:
        done = findings_of(worker, comparison, DIFFERENCES, pairs)
    assert [(case.pair.answer, case.ours, case.theirs) for case in done.unlisted] == []
    assert done.total == len(pairs)
    return done


@pytest.mark.parametrize("system", ["Qwen-VL-Max", "Qwen-VL-Plus"])
def test_mathvision(system):
    questions = {row["id"]: row for row in lines("mathvision/test.jsonl")}
    pairs = [
        Pair("stored", row["response"], {"choices": asked["options"], "answer": asked["answer"]})
        for row in lines(f"mathvision/outputs/{system}.jsonl")
        for asked in [questions[row["id"]]]
    ]
    done = found("MATH-Vision lmms_mathvision", pairs)
    assert len(pairs) == 3040
    assert done.num_equal >= 3020  # the others belong to listed differences


def test_mmmu_pro():
    """The official code looks behind "Answer:"; a harness that does not loses two answers in five."""
    rows = list(lines("mmmu/mmmu_pro_gpt-4o_vision_cot.jsonl"))
    pairs = [
        Pair("stored", row["response"], {"choices": ast.literal_eval(row["options"])})
        for row in rows
    ]
    done = found("MMMU-Pro lmms_mmmu_pro", pairs)
    assert done.total == 1730
    assert done.listed["what follows Answer:"] > 400


def test_mmmu():
    folder = Path(REAL) / "mmmu"
    outputs = json.loads((folder / "llava1.5_13b_total_val_output.json").read_text())
    answers = json.loads((folder / "answer_dict_val.json").read_text())
    choices, short = [], []
    for name, row in answers.items():
        gold = row["ground_truth"]
        golds = gold if isinstance(gold, list) else [gold]
        if row["question_type"] == "multiple-choice":
            choices.append(Pair("stored", outputs[name], {"choices": list("ABCDEFGHI")}))
        else:
            short.append(Pair("stored", outputs[name], {"choices": [], "golds": golds}))
    assert found("MMMU lmms_mmmu", choices).total == 847
    assert found("MMMU, short answers lmms_mmmu_open", short).num_equal == 53
