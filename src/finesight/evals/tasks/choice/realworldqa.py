# SPDX-License-Identifier: Apache-2.0
"""RealWorldQA: everyday and street scenes, options or a short answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.mcq import ROBUST_LETTER
from finesight.evals.extract.text import LAST_LINE
from finesight.evals.judge.rules import OPEN_ANSWER
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, choice_columns, picture, reader, split_files
from finesight.evals.tasks.shared.questions import Piece, Question, either, prompt

COLUMNS = {"question": ("question",), "answer": ("answer",), "image": ("image",)}
OPTIONAL = {"id": ("index", "id"), **{letter: (letter,) for letter in "ABCD"}}


def question(row: Row, folder: Path) -> Question:
    """One row: options in columns, or a question that says itself how to answer."""
    choices = choice_columns(row, "ABCD")
    identity, media = str(row.get("id", row.where)), (picture(row["image"], folder),)
    if choices:
        return multiple_choice.question(identity, row["question"], choices, row["answer"], media)
    answer = str(row["answer"]).strip()
    return Question(
        id=identity,
        text=row["question"],
        truth={"choices": [], "answer": answer},
        oracle=answer,
        media=media,
    )


def ask(asked: Question) -> list[Piece]:
    """As for MMMU where there are options, else the question as it stands."""
    return multiple_choice.ask_qwen(asked) if asked.choices else [*asked.media, asked.text]


def plain(text: str) -> str:
    """An answer without case, blanks and the full stop."""
    return text.strip().strip(".").strip().lower()


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The letter, or the short answer without case and full stop."""
    if truth["choices"]:
        return multiple_choice.is_letter(parsed, truth)
    return {"correct": float(parsed is not None and plain(str(parsed)) == plain(truth["answer"]))}


READER = either(
    "letter-or-line",
    f"2+{ROBUST_LETTER.version}",
    lambda truth: ROBUST_LETTER if truth["choices"] else LAST_LINE,
)
questions = reader(("RealWorldQA.tsv", *split_files("test")), COLUMNS, question, optional=OPTIONAL)

TASKS = (
    Task(
        name="realworldqa",
        title="RealWorldQA",
        source="RealWorldQA, published by xAI with Grok-1.5 Vision",
        layout="RealWorldQA.tsv with index, question, A to D, answer, image; or the parquet files test-*.parquet of"
        " xai-org/RealworldQA with question, answer, image (column names from general knowledge)",
        prompts=(
            prompt("vlmevalkit", multiple_choice.QWEN, questions, ask),
            prompt("lmms-eval", multiple_choice.LMMS, questions, open_questions.ending("")),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(READER,),
        score=score,
        judge=OPEN_ANSWER,
        aggregate=average(),
        main="accuracy",
        chance=0.3,
        published=report_tables.row(report_tables.GENERAL, "60.1 75.4 78.7 77.8 75.7 68.5 65.4"),
        notes=(
            "the parquet copy writes its options into the question; they are then compared as texts",
        ),
    ),
)
