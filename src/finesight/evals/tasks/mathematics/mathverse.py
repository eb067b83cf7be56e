# SPDX-License-Identifier: Apache-2.0
"""MathVerse: the same geometry problems in five versions, with ever more said only by the drawing; read by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.boxed import MATHVISION_OFFICIAL
from finesight.evals.extract.mcq import ROBUST_LETTER
from finesight.evals.judge.rules import SOLUTION
from finesight.evals.metrics.maths import is_equal
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, picture, reader, record, same, split_files
from finesight.evals.tasks.shared.questions import Piece, Question, either, prompt

COLUMNS = {
    "id": ("sample_index",),
    **same("problem_index", "problem_version", "question", "answer", "question_type", "image"),
}
OPTIONAL = same("query_cot", "query_wo", "metadata")
LETTERS = 5
"""Options stand in the words of the question and are not counted; no question has more."""


def question(row: Row, folder: Path) -> Question | Sequence[Question]:
    """One row; none of the version without a picture."""
    version = str(row["problem_version"])
    if version == "Text Only":
        return ()
    answer = str(row["answer"]).strip()
    is_choice = row["question_type"] == "multi-choice"
    metadata = record(row.get("metadata"))
    tags = {"version": version, "kind": str(row["question_type"])}
    tags |= {"subject": str(metadata["subject"])} if metadata.get("subject") else {}
    return Question(
        id=str(row["id"]),
        text=str(row.get("query_cot") or row["question"]),
        truth={"choices": list(ascii_uppercase[:LETTERS]) if is_choice else [], "answer": answer},
        oracle=answer if is_choice else f"The answer is {answer}",
        media=(picture(row["image"], folder, folder / "images"),),
        hint=str(row.get("query_wo") or row["question"]),
        cluster=str(row["problem_index"]),
        tags=tags,
    )


def ask_thinking(asked: Question) -> list[Piece]:
    """The benchmark's query that asks for steps."""
    return [*asked.media, asked.text]


def ask_direct(asked: Question) -> list[Piece]:
    """The benchmark's query for an answer alone."""
    return [*asked.media, asked.hint]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The letter, or equality as MATH-Vision means it."""
    if not parsed:
        return {"correct": 0.0}
    if truth["choices"]:
        return {"correct": float(parsed == truth["answer"])}
    return {"correct": float(is_equal(str(parsed), truth["answer"]))}


questions = reader(
    ("testmini.json", *split_files("testmini"), "testmini.parquet"),
    COLUMNS,
    question,
    optional=OPTIONAL,
)
RULE = either(
    "rule",
    f"2+{ROBUST_LETTER.version}",
    lambda truth: ROBUST_LETTER if truth["choices"] else MATHVISION_OFFICIAL,
)

TASKS = (
    Task(
        name="mathverse",
        title="MathVerse testmini, by rule",
        source="MathVerse, arXiv 2403.14624",
        layout="testmini.json or testmini.parquet of AI4Math/MathVerse: sample_index, problem_index, problem_version,"
        " question, answer, question_type, image, query_wo, query_cot, metadata; pictures in images/",
        prompts=(
            prompt("cot", "query_cot of the benchmark", questions, ask_thinking),
            prompt("direct", "query_wo of the benchmark", questions, ask_direct),
        ),
        sampling=Sampling(max_new_tokens=4096),
        extractors=(RULE,),
        score=score,
        judge=SOLUTION,
        aggregate=average(by=("version", "kind", "subject")),
        main="accuracy",
        chance=0.14,
        published=report_tables.row(report_tables.GENERAL, "- 50.2 51.7 - 57.6 49.2 47.6"),
        notes=(
            "published numbers are judged by a language model; these are read by rule and not comparable without"
            " --judge",
            "which of the versions the report's mini means is not known: all five are here, each under version",
        ),
    ),
)
