# SPDX-License-Identifier: Apache-2.0
"""MATH-Vision: competition problems with a drawing, with options or a free answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.boxed import BOXED, MATHVISION_OFFICIAL
from finesight.evals.judge.rules import SOLUTION
from finesight.evals.metrics.maths import is_equal
from finesight.evals.tasks.choice.multiple_choice import LMMS, lettered
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, texts
from finesight.evals.tasks.shared.questions import Piece, Question, Wording

BOX_IT = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'


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
    """Picture, request for a box, question, options."""
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


MATHVISION = build(
    rows(question),
    Wording("lmms-eval", LMMS, ask),
    extractors=(MATHVISION_OFFICIAL, BOXED),
    score=score,
    judge=SOLUTION,
)
TASKS: Mapping[str, Build] = {"mathvision": MATHVISION, "mathvision_mini": MATHVISION}
