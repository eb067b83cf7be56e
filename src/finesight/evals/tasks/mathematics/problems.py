# SPDX-License-Identifier: Apache-2.0
"""Mathematics in pictures: MATH-Vision, MathVerse and MathVista.

MATH-Vision has competition problems with a drawing. MathVerse has geometry problems in five versions that move more of
the problem from the text into the drawing. MathVista has typed answers (letter, integer, float or list).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.boxed import BOXED, MATHVISION_OFFICIAL
from finesight.evals.extract.mathvista import (
    MATHVISTA_RULE,
    MATHVISTA_RULE_INT,
    MATHVISTA_RULE_OF_WORDS,
    normalise,
)
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.judge.rules import SOLUTION, VALUE
from finesight.evals.metrics.maths import is_equal
from finesight.evals.tasks.choice.multiple_choice import LMMS, is_letter, lettered
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, record, texts
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, either, template

BOX_IT = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'

LETTERS = 5
"""Largest number of options; they are part of the question text and are not counted."""

TAGS = ("task", "source", "context", "language")
_REQUESTS = {
    "integer": ("an integer answer", "value", "1, 2, 3"),
    1: ("a floating-point number with one decimal place", "value", "1.2, 1.3, 1.4"),
    2: ("a floating-point number with two decimal places", "value", "1.23, 1.34, 1.45"),
    "list": ("a Python list as an answer", "list", "[1, 2, 3], [1.2, 1.3, 1.4]"),
}


def _read_mathvision(row: Row, folder: Path) -> Question:
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


def _ask_mathvision(question: Question) -> list[Piece]:
    options = f"\nChoices:\n{lettered(question.choices)}" if question.choices else ""
    return [*question.media, f"{BOX_IT}\n{question.text}{options}"]


def _score_mathvision(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Equality with the gold answer or the text of the gold option."""
    if parsed is None or parsed == "":
        return {"correct": 0.0}
    golds = [truth["answer"]]
    if truth["choices"]:
        golds.append(truth["choices"][ord(truth["answer"]) - ord("A")])
    return {"correct": float(any(is_equal(gold, parsed) for gold in golds))}


def _read_mathverse(row: Row, folder: Path) -> Question | Sequence[Question]:
    """A row of MathVerse; () for the version without a picture."""
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


def _score_mathverse(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Equality of letters, or mathematical equality as in MATH-Vision."""
    if truth["choices"]:
        return is_letter(parsed, truth)
    return {"correct": float(bool(parsed) and is_equal(str(parsed), truth["answer"]))}


def _mathvista_hint(row: Row) -> str:
    """The benchmark's request for the form of the answer."""
    if row["question_type"] == "multi_choice":
        return "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    precision = int(row["precision"] or 1) if row["answer_type"] == "float" else row["answer_type"]
    kind, what, examples = _REQUESTS[precision]
    return f"Please answer the question requiring {kind} and provide the final {what}, e.g., {examples}, at the end."


def _read_mathvista(row: Row, folder: Path) -> Question:
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
        hint=_mathvista_hint(row),
        tags={name: str(metadata[name]) for name in TAGS if name in metadata},
    )


def _ask_mathvista(question: Question) -> list[Piece]:
    """The picture and the text of the column `query` in the published copy."""
    options = lettered(question.choices, "({letter}) {text}")
    choices = f"\nChoices:\n{options}" if options else ""
    query = f"Hint: {question.hint}\nQuestion: {question.text}{choices}".strip()
    return [*question.media, query]


def _score_mathvista(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Whether the extraction, normalised for its type, equals the gold answer as text; None is wrong."""
    normal = None if parsed is None else normalise(str(parsed), truth)
    return {"correct": float(normal is not None and normal == truth["answer"])}


RULE = either("rule", f"2+{ROBUST_LETTER.version}", ROBUST_LETTER, MATHVISION_OFFICIAL)
MATHVISION = build(
    rows(_read_mathvision),
    Wording("lmms-eval", LMMS, _ask_mathvision),
    extractors=(MATHVISION_OFFICIAL, BOXED),
    score=_score_mathvision,
    judge=SOLUTION,
)
TASKS: Mapping[str, Build] = {
    "mathverse": build(
        rows(_read_mathverse),
        Wording("cot", "query_cot of the benchmark", template()),
        Wording("direct", "query_wo of the benchmark", template("{hint}")),
        extractors=(RULE,),
        score=_score_mathverse,
        judge=SOLUTION,
    ),
    "mathvision": MATHVISION,
    "mathvision_mini": MATHVISION,
    "mathvista": build(
        rows(_read_mathvista),
        Wording("official", "the query column of the benchmark", _ask_mathvista),
        extractors=(MATHVISTA_RULE_OF_WORDS, MATHVISTA_RULE, MATHVISTA_RULE_INT),
        score=_score_mathvista,
        judge=VALUE,
    ),
}
