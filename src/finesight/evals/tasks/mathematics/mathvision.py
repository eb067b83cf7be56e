# SPDX-License-Identifier: Apache-2.0
"""MATH-Vision: competition mathematics with a drawing, options or a free answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.boxed import BOXED, MATHVISION_OFFICIAL
from finesight.evals.judge.rules import SOLUTION
from finesight.evals.metrics.maths import is_equal
from finesight.evals.tasks.choice.multiple_choice import LMMS, lettered
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, picture, reader, split_files, texts
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

BOX_IT = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'
COLUMNS = {
    "id": ("id",),
    "question": ("question",),
    "options": ("options", "choices"),
    "answer": ("answer",),
    "image": ("decoded_image", "image"),
    "level": ("level",),
    "subject": ("subject", "category"),
}


def question(row: Row, folder: Path) -> Question:
    """One row."""
    choices = texts(row["options"])
    answer = str(row["answer"])
    return Question(
        id=str(row["id"]),
        text=row["question"],
        truth={"choices": list(choices), "answer": answer},
        oracle=f"\\boxed{{{answer}}}",
        media=(picture(row["image"], folder),),
        choices=choices,
        tags={"level": str(row["level"]), "subject": row["subject"]},
    )


def ask(question: Question) -> list[Piece]:
    """The picture, the wish for a box, the question, its options."""
    options = f"\nChoices:\n{lettered(question.choices)}" if question.choices else ""
    return [*question.media, f"{BOX_IT}\n{question.text}{options}"]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Equal to the gold answer, or to the text of the gold option."""
    if parsed is None or parsed == "":
        return {"correct": 0.0}
    golds = [truth["answer"]]
    if truth["choices"]:
        golds.append(truth["choices"][ord(truth["answer"]) - ord("A")])
    return {"correct": float(any(is_equal(gold, parsed) for gold in golds))}


def _task(name: str, title: str, split: str, chance: float, published: str, note: str) -> Task:
    questions = reader((f"{split}.jsonl", *split_files(split)), COLUMNS, question)
    return Task(
        name=name,
        title=title,
        source="MATH-Vision, arXiv 2402.14804; github.com/mathllm/MATH-V",
        layout=f"{split}.jsonl with id, question, options, answer, level, subject, image, and images/ beside it; or"
        f" the parquet files {split}-*.parquet of MathLLMs/MathVision",
        prompts=(prompt("lmms-eval", LMMS, questions, ask),),
        sampling=Sampling(max_new_tokens=4096),
        extractors=(MATHVISION_OFFICIAL, BOXED),
        score=score,
        judge=SOLUTION,
        aggregate=average(by=("subject", "level")),
        main="accuracy",
        chance=chance,
        published=report_tables.row(report_tables.GENERAL, published),
        notes=(
            "micro accuracy; options are counted right by letter or by text",
            note,
            "four gold answers of the full test hold a box of their own, which the official rule never matches",
            "the report does not say how its answers were read; other harnesses ask a judge, as --judge does",
        ),
    )


TASKS = (
    _task(
        "mathvision",
        "MATH-Vision",
        "test",
        0.1,
        "- 30.4 32.2 25.9 38.1 25.1 21.2",
        "1,532 of the 3,040 questions have five options, the others a free answer",
    ),
    _task(
        "mathvision_mini",
        "MATH-Vision testmini",
        "testmini",
        0.125,
        "- - - - - - -",
        "numbers of this tenth are not in the report",
    ),
)
