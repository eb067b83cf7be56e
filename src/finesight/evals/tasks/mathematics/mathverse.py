# SPDX-License-Identifier: Apache-2.0
"""MathVerse: geometry problems in five versions that move more of the problem from the text into the drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.boxed import MATHVISION_OFFICIAL
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.judge.rules import SOLUTION
from finesight.evals.metrics.maths import is_equal
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, record
from finesight.evals.tasks.shared.questions import Question, Wording, either, say

LETTERS = 5
"""Largest number of options; they are part of the question text and are not counted."""


def question(row: Row, folder: Path) -> Question | Sequence[Question]:
    """One row; () for the version without a picture."""
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


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Equality of letters, or mathematical equality as in MATH-Vision."""
    if not parsed:
        return {"correct": 0.0}
    if truth["choices"]:
        return {"correct": float(parsed == truth["answer"])}
    return {"correct": float(is_equal(str(parsed), truth["answer"]))}


RULE = either("rule", f"2+{ROBUST_LETTER.version}", ROBUST_LETTER, MATHVISION_OFFICIAL)

TASKS: Mapping[str, Build] = {
    "mathverse": build(
        rows(question),
        Wording("cot", "query_cot of the benchmark", say()),
        Wording("direct", "query_wo of the benchmark", say("{hint}")),
        extractors=(RULE,),
        score=score,
        judge=SOLUTION,
    )
}
