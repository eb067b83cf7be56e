# SPDX-License-Identifier: Apache-2.0
"""RealWorldQA: everyday and street scenes, options or a short answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.extract.mcq import ROBUST_LETTER
from finesight.evals.extract.text import LAST_LINE
from finesight.evals.judge_rules import OPEN_ANSWER
from finesight.evals.task import Task
from finesight.evals.tasks import _mcq, _published, _qa
from finesight.evals.tasks._common import Piece, Question, either, prompt
from finesight.evals.tasks._rows import Row, choice_columns, picture, reader, split_files
from finesight.evals.tasks._sums import average

COLUMNS = {"question": ("question",), "answer": ("answer",), "image": ("image",)}
OPTIONAL = {"id": ("index", "id"), **{letter: (letter,) for letter in "ABCD"}}


def question(row: Row, folder: Path) -> Question:
    """One row: options in columns, or a question that says itself how to answer."""
    choices = choice_columns(row, "ABCD")
    identity, media = str(row.get("id", row.where)), (picture(row["image"], folder),)
    if choices:
        return _mcq.question(identity, row["question"], choices, row["answer"], media)
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
    return _mcq.ask_qwen(asked) if asked.choices else [*asked.media, asked.text]


def plain(text: str) -> str:
    """An answer without case, blanks and the full stop."""
    return text.strip().strip(".").strip().lower()


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The letter, or the short answer without case and full stop."""
    if truth["choices"]:
        return _mcq.is_letter(parsed, truth)
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
            prompt("vlmevalkit", _mcq.QWEN, questions, ask),
            prompt("lmms-eval", _mcq.LMMS, questions, _qa.ending("")),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(READER,),
        score=score,
        judge=OPEN_ANSWER,
        aggregate=average(),
        main="accuracy",
        chance=0.3,
        published=_published.row(_published.GENERAL, "60.1 75.4 78.7 77.8 75.7 68.5 65.4"),
        notes=(
            "the parquet copy writes its options into the question; they are then compared as texts",
        ),
    ),
)
