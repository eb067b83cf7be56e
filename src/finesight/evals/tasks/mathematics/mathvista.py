# SPDX-License-Identifier: Apache-2.0
"""MathVista: mathematics in pictures, with a typed answer (letter, integer, float or list)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.mathvista import (
    MATHVISTA_RULE,
    MATHVISTA_RULE_INT,
    MATHVISTA_RULE_OF_WORDS,
    normalise,
)
from finesight.evals.judge.rules import VALUE
from finesight.evals.tasks.choice.multiple_choice import lettered
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, record, texts
from finesight.evals.tasks.shared.questions import Piece, Question, Wording

TAGS = ("task", "source", "context", "language")
_REQUESTS = {
    "integer": ("an integer answer", "value", "1, 2, 3"),
    1: ("a floating-point number with one decimal place", "value", "1.2, 1.3, 1.4"),
    2: ("a floating-point number with two decimal places", "value", "1.23, 1.34, 1.45"),
    "list": ("a Python list as an answer", "list", "[1, 2, 3], [1.2, 1.3, 1.4]"),
}


def hint(row: Row) -> str:
    """The benchmark's request for the form of the answer."""
    if row["question_type"] == "multi_choice":
        return "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    precision = int(row["precision"] or 1) if row["answer_type"] == "float" else row["answer_type"]
    kind, what, examples = _REQUESTS[precision]
    return f"Please answer the question requiring {kind} and provide the final {what}, e.g., {examples}, at the end."


def question(row: Row, folder: Path) -> Question:
    """One row."""
    choices, answer = texts(row.get("choices")), str(row["answer"])
    unit = f" (Unit: {row['unit']})" if row.get("unit") else ""
    precision = None if row.get("precision") is None else int(row["precision"])
    metadata = record(row["metadata"])
    return Question(
        id=str(row["id"]),
        text=f"{row['question']}{unit}",
        truth={
            "choices": list(choices),
            "answer": answer,
            "question_type": row["question_type"],
            "answer_type": row["answer_type"],
            "precision": precision,
        },
        oracle=f"({chr(65 + choices.index(answer))})" if answer in choices else answer,
        media=(picture(row["image"], folder),),
        choices=choices,
        hint=hint(row),
        tags={name: str(metadata[name]) for name in TAGS if name in metadata},
    )


def ask(question: Question) -> list[Piece]:
    """The picture and the text of the column `query` in the published copy."""
    options = lettered(question.choices, "({letter}) {text}")
    choices = f"\nChoices:\n{options}" if options else ""
    query = f"Hint: {question.hint}\nQuestion: {question.text}{choices}".strip()
    return [*question.media, query]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Whether the extraction, normalised for its type, equals the gold answer as text; None is wrong."""
    normal = None if parsed is None else normalise(str(parsed), truth)
    return {"correct": float(normal is not None and normal == truth["answer"])}


TASKS: Mapping[str, Build] = {
    "mathvista": build(
        rows(question),
        Wording("official", "the query column of the benchmark", ask),
        extractors=(MATHVISTA_RULE_OF_WORDS, MATHVISTA_RULE, MATHVISTA_RULE_INT),
        score=score,
        judge=VALUE,
    )
}
