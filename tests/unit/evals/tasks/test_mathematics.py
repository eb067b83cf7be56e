# SPDX-License-Identifier: Apache-2.0
"""MATH-Vision and MathVista: tiny copies, and real outputs that must score what was published."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.scoring import score_answer
from finesight.evals.core.self_check import check_task
from finesight.evals.core.task import Answered, Scored
from finesight.evals.extract.mathvista import normalise
from tests.support.benchmark_copies import (
    as_json,
    cell,
    check_whole,
    items,
    jsonl,
    parquet,
    save,
    words,
)

REAL = os.environ.get("FINESIGHT_REAL_DATA")
SYSTEMS = [
    ("Qwen-VL-Max", 474),
    ("Qwen-VL-Plus", 326),
    ("InternLM-XComposer2-VL", 442),
    ("InternLM-XComposer2-VL-CoT", 437),
]
needs_real = pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder")


@pytest.fixture
def mathvision_rows() -> list[dict]:
    options = ["$1$", "$2$", "$\\frac{1}{2}$", "$4$", "$5$"]
    rows = [
        {"question": "How much?\n<image1>", "options": options, "answer": "C"},
        {"question": "How long?\n<image1>", "options": [], "answer": "60"},
        {"question": "Which?\n<image1>", "options": ["A", "B", "C", "D", "E"], "answer": "E"},
        {"question": "How wide?\n<image1>", "options": [], "answer": "2\\sqrt{3}"},
    ]
    return [
        {"id": str(n), "level": n, "subject": "algebra", "image": f"images/{n}.jpg", **row}
        for n, row in enumerate(rows, 1)
    ]


def test_mathvision_reads_its_lines(tmp_path, mathvision_rows):
    jsonl(tmp_path / "test.jsonl", mathvision_rows)
    for number in range(1, 5):
        save(tmp_path / "images" / f"{number}.jpg", number)
    asked = check_whole(registry.task("mathvision"), tmp_path, shuffled=0.0)
    assert [item.tags["level"] for item in asked] == ["1", "2", "3", "4"]
    assert words(asked[0]).startswith(
        '[]Please solve the problem step by step and put your answer in one "\\boxed{}".'
    )
    assert words(asked[0]).endswith("\nChoices:\nA. $1$\nB. $2$\nC. $\\frac{1}{2}$\nD. $4$\nE. $5$")
    assert asked[0].conversation.messages[0].parts[0].source == tmp_path / "images/1.jpg"


def test_mathvision_reads_parquet_and_counts_an_option_by_its_text(tmp_path, mathvision_rows):
    for row in mathvision_rows:
        row |= {"decoded_image": cell(row["level"])}
    parquet(tmp_path / "data" / "testmini-00000-of-00001.parquet", mathvision_rows)
    task = registry.task("mathvision_mini")
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert isinstance(asked[0].conversation.messages[0].parts[0].source, bytes)
    assert task.score("0.5", asked[0].truth) == {"correct": 1.0}
    assert task.score("a", asked[0].truth) == {"correct": 0.0}


def test_mathvision_says_which_column_is_missing(tmp_path, mathvision_rows):
    jsonl(tmp_path / "test.jsonl", [{"key": 1, "text": "?"} for _ in mathvision_rows])
    with pytest.raises(EvalError, match=r"no column id .* Found: key, text"):
        items(registry.task("mathvision"), tmp_path)
    with pytest.raises(EvalError, match=r"holds none of testmini.jsonl"):
        items(registry.task("mathvision_mini"), tmp_path)


@pytest.fixture
def mathvista_rows() -> dict[str, dict]:
    rows = [
        {"question": "Which?", "choices": ["3/11", "8/11", "6/11"], "answer": "8/11"},
        {"question": "How long?", "unit": "years", "answer": "14", "answer_type": "integer"},
        {"question": "How far?", "precision": 1.0, "answer": "0.6", "answer_type": "float"},
        {"question": "When?", "answer": "[2014, 2016]", "answer_type": "list"},
    ]
    return {
        str(n): {
            "pid": str(n),
            "image": f"images/{n}.jpg",
            "choices": None,
            "unit": None,
            "precision": None,
            "question_type": "multi_choice" if row.get("choices") else "free_form",
            "answer_type": "text",
            "metadata": {"task": "figure", "source": "made", "context": "chart", "language": "en"},
            **row,
        }
        for n, row in enumerate(rows, 1)
    }


def test_mathvista(tmp_path, mathvista_rows):
    as_json(tmp_path / "testmini.json", mathvista_rows)
    task = registry.task("mathvista")
    asked = check_whole(task, tmp_path, shuffled=0.0, best=1.0)
    assert words(asked[0]) == (
        "[]Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\n"
        "Question: Which?\nChoices:\n(A) 3/11\n(B) 8/11\n(C) 6/11"
    )
    assert "Question: How long? (Unit: years)" in words(asked[1])
    assert task.score("B", asked[0].truth) == {"correct": 1.0}
    assert task.score("0.64", asked[2].truth) == {"correct": 1.0}
    assert task.score("14.0", asked[1].truth) == {"correct": 1.0}
    assert task.score("fourteen", asked[1].truth) == {"correct": 0.0}
    by_name = {rule.name: rule for rule in task.extractors}
    assert task.extractors[0].name == "mathvista-rule-of-words"
    for said, now, before in (("14.5", 1.0, 0.0), ("14.0", 1.0, 0.0), ("14", 1.0, 1.0)):
        for name, correct in (("mathvista-rule", now), ("mathvista-rule-int", before)):
            verdict = score_answer(task, by_name[name], Answered(said, asked[1].truth))
            assert verdict.parts == {"correct": correct}, (name, said)


@pytest.mark.real_data
@needs_real
@pytest.mark.parametrize(("system", "total"), SYSTEMS)
def test_mathvision_gives_the_official_totals_again(system, total):
    folder = Path(REAL) / "mathvision"
    task = registry.task("mathvision")
    outputs = {
        row["id"]: row
        for row in map(json.loads, (folder / f"outputs/{system}.jsonl").read_text().splitlines())
    }
    scored = []
    for item in items(task, folder):
        row = outputs[item.id]
        verdict = score_answer(task, task.extractors[0], Answered(row["response"], item.truth))
        assert verdict.parts["correct"] == row["correct"], row
        scored.append(Scored(item=item, parsed=verdict.parsed, parts=verdict.parts))
    assert len(scored) == 3040
    assert sum(one.parts["correct"] for one in scored) == total
    metrics = task.aggregate(scored)
    official = json.loads((folder / f"outputs/{system}_result.json").read_text())
    for name, line in official.items():
        right, _, rest = line.partition("/")
        share = int(right) / int(rest.partition("=")[0])
        if name == "-all":
            assert metrics["accuracy"] == pytest.approx(share)
        elif f"accuracy/subject/{name}" in metrics:
            assert metrics[f"accuracy/subject/{name}"] == pytest.approx(share)
        elif name.removeprefix("-level").isdigit():
            assert metrics[f"accuracy/level/{name[-1]}"] == pytest.approx(share)


@pytest.mark.real_data
@needs_real
@pytest.mark.parametrize(
    ("task", "folder", "lost"),
    [
        (registry.task("mathvision"), "mathvision", 6),
        (registry.task("mathvision_mini"), "mathvision", 0),
        (registry.task("mathvista"), "mathvista", 0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_right_answers_of_the_real_copy_are_read(task, folder, lost):
    asked = items(task, Path(REAL) / folder)
    found = check_task(task, asked)
    assert found.failures == ()
    assert round(len(asked) * (1 - found.oracle)) == lost  # gold answers no rule can match
    assert found.empty == 0.0
    assert found.shuffled < task.chance + 0.02


@pytest.mark.real_data
@needs_real
def test_mathvision_testmini_has_its_pictures():
    asked = items(registry.task("mathvision_mini"), Path(REAL) / "mathvision")
    assert len(asked) == 304
    assert all(part.source.is_file() for item in asked for part in item.conversation.media())


@pytest.mark.real_data
@needs_real
def test_mathvista_gives_the_published_score_of_bard_again():
    folder = Path(REAL) / "mathvista"
    task = registry.task("mathvista")
    outputs = json.loads((folder / "output_bard.json").read_text())
    scored = []
    for item in items(task, folder):
        row = outputs[item.id]
        parts = task.score(row["extraction"], item.truth)
        assert parts["correct"] == row["true_false"], row
        scored.append(Scored(item=item, parsed=row["extraction"], parts=parts))
    assert sum(one.parts["correct"] for one in scored) == 348
    assert task.aggregate(scored)["accuracy"] == pytest.approx(0.348)


@pytest.mark.real_data
@needs_real
def test_predictions_stored_with_bard_are_those_of_the_older_rule_of_mathvista():
    task = registry.task("mathvista")
    rules = {rule.name: rule for rule in task.extractors}
    outputs = json.loads((Path(REAL) / "mathvista" / "output_bard.json").read_text())
    others = {"mathvista-rule": [], "mathvista-rule-int": []}
    for name, row in outputs.items():
        if row["answer_type"] != "integer" or row["question_type"] == "multi_choice":
            continue
        try:
            float(row["extraction"])
        except ValueError:
            continue  # our rule would look for a number in it
        for rule, wrong in others.items():
            said = rules[rule].read(Answered(row["extraction"], row))
            if (None if said is None else normalise(said, row)) != row["prediction"]:
                wrong.append(name)
    assert others == {"mathvista-rule": ["89", "617", "729"], "mathvista-rule-int": []}


@pytest.mark.real_data
@needs_real
def test_mathvista_asks_in_the_words_of_the_benchmark():
    folder = Path(REAL) / "mathvista"
    outputs = json.loads((folder / "output_bard.json").read_text())
    others = [
        item.id
        for item in items(registry.task("mathvista"), folder)
        if words(item).removeprefix("[]") != outputs[item.id]["query"].strip()
    ]
    assert len(others) == 10  # Bard was asked with the options in another order
    for name in others:
        asked = words(
            next(item for item in items(registry.task("mathvista"), folder) if item.id == name)
        )
        said = asked.removeprefix("[]").partition("\nChoices:")[0]
        assert said == outputs[name]["query"].partition("\nChoices:")[0]
