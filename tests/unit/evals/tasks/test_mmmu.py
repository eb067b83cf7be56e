# SPDX-License-Identifier: Apache-2.0
"""MMMU and MMMU-Pro: tiny copies, and real outputs that must score what was published."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from finesight.conversation import Conversation, ImagePart, TextPart
from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.rows import BROKEN, literal_list
from finesight.evals.core.scoring import score_answer
from finesight.evals.core.task import Answered, Item, Scored
from finesight.evals.tasks.choice import mmmu, mmmu_pro
from tests.support.benchmark_copies import (
    cell,
    check_whole,
    items,
    jsonl,
    named,
    parquet,
    text64,
    tsv,
    words,
)

REAL = os.environ.get("FINESIGHT_REAL_DATA")
needs_real = pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder")
TASK = registry.task("mmmu")
NONE = {f"image_{number}": None for number in range(3, 8)}


@pytest.fixture
def rows() -> list[dict]:
    rows = [
        {"id": "validation_Art_1", "answer": "B", "options": "['Goya', '<image 2>', 'Klee']"},
        {"id": "validation_Math_7", "answer": "2.83", "options": "[]"},
        {"id": "validation_Art_Theory_2", "answer": "C", "options": "['one', 'two', 'three']"},
        {"id": "validation_Music_3", "answer": "A", "options": "['four', 'five', 'six']"},
    ]
    return [
        {
            "question": "Who made <image 1>?",
            "question_type": "open" if row["options"] == "[]" else "multiple-choice",
            "image_1": cell(number),
            "image_2": cell(9) if number == 0 else None,
            **NONE,
            **row,
        }
        for number, row in enumerate(rows)
    ]


def test_mmmu_from_parquet_by_subject(tmp_path, rows):
    parquet(tmp_path / "Art" / "validation-00000-of-00001.parquet", rows[:1])
    parquet(tmp_path / "Math" / "validation-00000-of-00001.parquet", rows[1:])
    asked = check_whole(TASK, tmp_path, shuffled=0.0)
    parts = asked[0].conversation.messages[0].parts
    assert [type(part) for part in parts] == [TextPart, ImagePart, TextPart, ImagePart, TextPart]
    assert words(asked[0]) == (
        "Question: Who made []?\nOptions:\nA. Goya\nB. []\nC. Klee\n"
        "Please select the correct answer from the options above."
    )
    assert words(asked[1]) == "Question: Who made []?"
    assert parts[1].max_pixels == 5120 * 28 * 28
    assert [item.tags["subject"] for item in asked] == ["Art", "Math", "Art_Theory", "Music"]
    assert asked[1].tags["domain"] == "Science"
    names = [each.name for each in TASK.prompts]
    direct = words(items(TASK, tmp_path, names.index("lmms-eval"))[2])
    assert direct == (
        "Who made []?\nA. one\nB. two\nC. three\n\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_mmmu_from_tab_separated_cells(tmp_path):
    rows = [
        {
            "index": f"{split}_Art_{n}",
            "question": "Which <image 1>?",
            **dict(zip("ABCD", ("ape", "bee", "cat", "dog"), strict=True)),
            "answer": "ABCD"[n],
            "image": f"['{text64(n)}', '{text64(n + 1)}']",
            "split": split,
        }
        for n in range(4)
        for split in ("dev", "validation")
    ]
    tsv(tmp_path / "MMMU_DEV_VAL.tsv", rows)
    asked = check_whole(TASK, tmp_path, shuffled=0.0)
    assert [item.id for item in asked] == [f"validation_Art_{n}" for n in range(4)]
    assert len(list(asked[0].conversation.media())) == 2


def test_mmmu_reads_letters_and_short_answers_by_their_own_rules():
    choice = {"choices": ["apple", "banana", "cherry", "date"], "answer": "B"}
    assert score_answer(TASK, mmmu.OFFICIAL, Answered("(B)", choice)).parts == {"correct": 1.0}
    assert score_answer(TASK, mmmu.OFFICIAL, Answered("**B**", choice)).parts == {"correct": 0.0}
    number = {"choices": [], "golds": ["2.83"]}
    assert (
        score_answer(TASK, mmmu.OFFICIAL, Answered("The answer is 2.83", number)).parts["correct"]
        == 1
    )
    assert score_answer(TASK, mmmu.OFFICIAL, Answered("2.8", number)).parts["correct"] == 0
    assert mmmu.subject_of("validation_Art_Theory_3") == "Art_Theory"


def test_mmmu_says_which_column_is_missing(tmp_path, rows):
    parquet(tmp_path / "validation-0.parquet", [{"id": "a", "words": "b", "answer": "A"}])
    with pytest.raises(EvalError, match=r"no column question .* Found: id, words, answer"):
        items(TASK, tmp_path)


def test_mmmu_pro_shows_pictures_by_their_numbers(tmp_path, rows):
    standard, vision, four = named("mmmu_pro_standard", "mmmu_pro_vision", "mmmu_pro_four")
    for row in rows:
        row |= {"subject": "Art"}
        row |= {} if row["answer"] in "ABC" else {"answer": "C", "options": "['1', '2', '3']"}
    rows[0]["question"] = "Compare <image 2> with <image 1>."
    rows[0]["options"] = "['p', 'q', 'r']"
    for task, folder in ((standard, "standard (10 options)"), (four, "standard (4 options)")):
        parquet(tmp_path / folder / "test-00000-of-00001.parquet", rows)
        asked = check_whole(task, tmp_path, shuffled=0.25)
        shown = list(asked[0].conversation.media())
        assert [part.source for part in shown] == [cell(9)["bytes"], cell(0)["bytes"]]
    keys = ("id", "options", "answer", "subject")
    seen = [{**{k: row[k] for k in keys}, "image": cell(n)} for n, row in enumerate(rows)]
    parquet(tmp_path / "vision" / "test-00000-of-00001.parquet", seen)
    asked = check_whole(vision, tmp_path, shuffled=0.25)
    assert words(asked[0]) == f"[]{mmmu_pro.SEEN_STEPS}"


@pytest.mark.real_data
@needs_real
def test_mmmu_gives_the_published_score_of_llava_again():
    folder = Path(REAL) / "mmmu"
    outputs = json.loads((folder / "llava1.5_13b_total_val_output.json").read_text())
    answers = json.loads((folder / "answer_dict_val.json").read_text())
    scored = []
    for name, row in answers.items():
        is_choice = row["question_type"] == "multiple-choice"
        gold = row["ground_truth"]
        truth = {
            "choices": list("ABCDEFGHI") if is_choice else [],  # the file keeps no options
            "answer": gold,
            "golds": gold if isinstance(gold, list) else [gold],
        }
        tags = {"subject": mmmu.subject_of(name)}
        verdict = score_answer(TASK, mmmu.OFFICIAL, Answered(outputs[name], truth))
        item = Item(id=name, conversation=Conversation(()), truth=truth, tags=tags)
        scored.append(Scored(item=item, parsed=verdict.parsed, parts=verdict.parts))
    metrics = TASK.aggregate(scored)
    assert len(scored) == 900
    assert sum(one.parts["correct"] for one in scored) == 330
    assert round(metrics["accuracy"], 3) == 0.367
    assert domain(metrics, "Art", "Art_Theory", "Design", "Music") == 0.525
    business = ("Accounting", "Economics", "Finance", "Manage", "Marketing")
    assert domain(metrics, *business) == 0.227
    assert domain(metrics, "Biology", "Chemistry", "Geography", "Math", "Physics") == 0.293


def domain(metrics, *subjects: str) -> float:
    """Every subject has thirty questions."""
    return round(sum(metrics[f"accuracy/subject/{name}"] for name in subjects) / len(subjects), 3)


@pytest.mark.real_data
@needs_real
def test_mmmu_pro_gives_the_stored_verdicts_on_gpt4o_again():
    task = registry.task("mmmu_pro_vision")
    lines = (Path(REAL) / "mmmu" / "mmmu_pro_gpt-4o_vision_cot.jsonl").read_text().splitlines()
    scored = []
    for row in map(json.loads, lines):
        truth = {"choices": literal_list(row["options"]), "answer": row["answer"]}
        verdict = score_answer(task, task.extractors[0], Answered(row["response"], truth))
        assert verdict.parts["correct"] == row["if_right"], row["id"]
        item = Item(id=row["id"], conversation=Conversation(()), truth=truth)
        scored.append(Scored(item=item, parsed=verdict.parsed, parts=verdict.parts))
    assert len(scored) == 1730
    assert sum(one.parts["correct"] for one in scored) == 866
    assert round(task.aggregate(scored)["accuracy"], 4) == 0.5006


def test_options_in_a_list_within_the_list_are_read(tmp_path):
    vision = registry.task("mmmu_pro_vision")
    row = {
        "id": "validation_Accounting_29",
        "answer": "B",
        "subject": "Accounting",
        "image": "a.png",
    }
    written = "[['A', 'B', 'Not enough information']]"
    for options in (written, ast.literal_eval(written)):
        jsonl(tmp_path / "vision.jsonl", [{**row, "options": options}])
        (asked,) = items(vision, tmp_path)
        assert asked.truth["choices"] == ["A", "B", "Not enough information"]
        official, robust = vision.extractors[:2]
        answered = Answered("So it is B.\n\nAnswer: B", asked.truth)
        assert score_answer(vision, robust, answered).parts == {"correct": 1.0}
        assert score_answer(vision, official, answered).parts == {"correct": 0.0}  # as published
    standard = registry.task("mmmu_pro_standard")
    jsonl(tmp_path / "standard (10 options).jsonl", [{**row, "options": written, "question": "?"}])
    assert words(items(standard, tmp_path)[0]).startswith("[]?\nA. A\nB. B\nC. Not enough")


def test_options_that_cannot_be_read_are_counted(tmp_path):
    row = {"id": "validation_Art_1", "answer": "B", "subject": "Art", "image": "a.png"}
    jsonl(tmp_path / "vision.jsonl", [{**row, "options": "[['A', 'B'"}])
    (asked,) = items(registry.task("mmmu_pro_vision"), tmp_path)
    assert "is no list" in asked.truth[BROKEN]


@pytest.mark.real_data
@needs_real
def test_all_questions_of_mmmu_pro_are_read_and_score_what_was_published(tmp_path):
    task = registry.task("mmmu_pro_vision")
    lines = (Path(REAL) / "mmmu" / "mmmu_pro_gpt-4o_vision_cot.jsonl").read_text().splitlines()
    stored = {row["id"]: row for row in map(json.loads, lines)}
    keys = ("id", "options", "answer", "subject")
    jsonl(
        tmp_path / "vision.jsonl",
        [{**{key: row[key] for key in keys}, "image": "x.png"} for row in stored.values()],
    )
    scored = []
    for item in items(task, tmp_path):
        verdict = score_answer(
            task, task.extractors[0], Answered(stored[item.id]["response"], item.truth)
        )
        assert verdict.parts["correct"] == stored[item.id]["if_right"], item.id
        scored.append(Scored(item=item, parsed=verdict.parsed, parts=verdict.parts))
    assert len(scored) == 1730
    assert round(task.aggregate(scored)["accuracy"], 4) == 0.5006
