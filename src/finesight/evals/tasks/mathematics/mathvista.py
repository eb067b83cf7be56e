# SPDX-License-Identifier: Apache-2.0
"""MathVista: mathematics in pictures of every kind, with a typed answer (letter, integer, float or list)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.mathvista import (
    MATHVISTA_RULE,
    MATHVISTA_RULE_INT,
    MATHVISTA_RULE_OF_WORDS,
    normalise,
)
from finesight.evals.judge.rules import VALUE
from finesight.evals.tasks.choice.multiple_choice import lettered
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import (
    Row,
    picture,
    reader,
    record,
    same,
    split_files,
    texts,
)
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

COLUMNS = {
    **same("question", "answer", "question_type", "answer_type", "metadata"),
    "id": ("pid", "id"),
    "image": ("decoded_image", "image"),
}
OPTIONAL = same("choices", "unit", "precision")
TAGS = ("task", "source", "context", "language")
_WISHES = {
    "integer": ("an integer answer", "value", "1, 2, 3"),
    1: ("a floating-point number with one decimal place", "value", "1.2, 1.3, 1.4"),
    2: ("a floating-point number with two decimal places", "value", "1.23, 1.34, 1.45"),
    "list": ("a Python list as an answer", "list", "[1, 2, 3], [1.2, 1.3, 1.4]"),
}


def hint(row: Row) -> str:
    """The wish for a form of answer, as the benchmark words it."""
    if row["question_type"] == "multi_choice":
        return "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    precision = int(row["precision"] or 1) if row["answer_type"] == "float" else row["answer_type"]
    kind, what, examples = _WISHES[precision]
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


questions = reader(
    ("testmini.json", *split_files("testmini")), COLUMNS, question, optional=OPTIONAL
)


def words(question: Question) -> str:
    """What stands in the column `query` of the published copy."""
    options = (
        f"\nChoices:\n{lettered(question.choices, '({letter}) {text}')}" if question.choices else ""
    )
    return f"Hint: {question.hint}\nQuestion: {question.text}{options}".strip()


def ask(question: Question) -> list[Piece]:
    """The picture and the benchmark's own query."""
    return [*question.media, words(question)]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """What was read, made normal for its type, equals the gold answer as a text; nothing read is wrong."""
    normal = None if parsed is None else normalise(str(parsed), truth)
    return {"correct": float(normal is not None and normal == truth["answer"])}


TASKS = (
    Task(
        name="mathvista",
        title="MathVista testmini",
        source="MathVista, arXiv 2310.02255; github.com/lupantech/MathVista",
        layout="testmini.json, an object of questions by pid, with images/ beside it; or the parquet files testmini-*"
        " of AI4Math/MathVista. Columns pid, question, choices, unit, precision, answer, question_type, answer_type,"
        " metadata, image or decoded_image",
        prompts=(prompt("official", "the query column of the benchmark", questions, ask),),
        sampling=Sampling(max_new_tokens=4096),
        extractors=(MATHVISTA_RULE_OF_WORDS, MATHVISTA_RULE, MATHVISTA_RULE_INT),
        score=score,
        judge=VALUE,
        aggregate=average(by=TAGS),
        main="accuracy",
        chance=0.179,
        published=report_tables.row(report_tables.GENERAL, "67.7 63.8 72.3 70.5 74.8 68.2 62.3"),
        notes=(
            "published scores read long answers with a language model; a rule reads them here, which costs some points,"
            " unless --judge does",
            "mathvista-rule is the authors' present rule, which cuts the decimals off an answer to an integer question;"
            " mathvista-rule-int is their older one, by which most published outputs were scored and such an answer is"
            " wrong. The first, the default, is the present one, but silence is wrong, and where a number is looked for"
            " it also reads 1/2, 1.5e3 and the minus of typesetting",
            "the official rule takes the option nearest in letters, so a wrong reading can be right by luck",
        ),
    ),
)
