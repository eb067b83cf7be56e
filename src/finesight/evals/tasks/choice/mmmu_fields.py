# SPDX-License-Identifier: Apache-2.0
"""Columns, subjects and domains of MMMU and MMMU-Pro."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finesight.evals.core.rows import literal_list
from finesight.evals.tasks.choice.multiple_choice import letter_of, numbered
from finesight.evals.tasks.shared.columns import Row, choice_columns, picture, pictures, texts
from finesight.evals.tasks.shared.questions import Question

LAYOUT = (
    "the parquet files validation-*.parquet of MMMU/MMMU, all in one folder or one folder per subject, with id,"
    " question, options, answer, question_type, image_1 to image_7; or MMMU_DEV_VAL.tsv with index, question, A to I,"
    " answer, image, split"
)
PICTURES = ("image", *(f"image_{number}" for number in range(1, 8)))
VALIDATION = (
    *("validation-*.parquet", "data/validation-*.parquet", "*/validation-*.parquet"),
    *("validation.jsonl", "MMMU_DEV_VAL.tsv"),
)
COLUMNS = {
    "id": ("id", "index"),
    "question": ("question",),
    "answer": ("answer",),
}
OPTIONAL = {
    "question": ("question",),
    "options": ("options",),
    "kind": ("question_type",),
    "subject": ("subject", "category"),
    "split": ("split",),
    "image": ("image",),
    **{f"image_{number}": (f"image_{number}",) for number in range(1, 8)},
    **{letter: (letter,) for letter in "ABCDEFGHI"},
}
DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        *("Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine"),
        *("Pharmacy", "Public_Health"),
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        *("Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics"),
        *("Energy_and_Power", "Materials", "Mechanical_Engineering"),
    ),
}
_DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects}


def question(row: Row, folder: Path) -> Question | tuple[()]:
    """A row with options or a free answer and pictures in numbered columns; none of another split."""
    if row.get("split") not in (None, "validation", "val"):
        return ()
    choices, _ = options(row.get("options"))
    choices = choices or choice_columns(row)
    is_open = row.get("kind") in ("open", "short-answer") or not choices
    return as_question(row, () if is_open else choices, folder)


def options(cell: Any) -> tuple[tuple[str, ...], int]:
    """Texts of the options, and how many the authors' code sees: one for all that stand in a list within the list.

    Raises:
        EvalError: the cell is written as a list within a list and cannot be read.
    """
    if isinstance(cell, str) and cell.lstrip().startswith("[["):
        cell = literal_list(cell)
    if not isinstance(cell, (list, tuple)):
        cell = texts(cell)
    flat = [one for each in cell for one in (each if isinstance(each, (list, tuple)) else [each])]
    return tuple(str(one) for one in flat), len(cell)


def as_question(row: Row, choices: tuple[str, ...], folder: Path) -> Question:
    """A row with its pictures numbered by position."""
    shown = {n: picture(row[f"image_{n}"], folder) for n in range(1, 8) if row.get(f"image_{n}")}
    if not shown:
        shown = dict(enumerate(pictures(row.get("image"), folder), 1))
    asked = tuple(numbered(text, shown) for text in choices)
    golds = texts(row["answer"])
    answer = letter_of(golds[0], choices) if choices else golds[0]
    identity = str(row["id"])
    subject = row.get("subject") or subject_of(identity)
    return Question(
        id=identity,
        text=numbered(row.get("question") or "", shown),
        truth={"choices": list(asked), "answer": answer, "golds": list(golds)},
        oracle=answer if choices else f"The answer is {answer}",
        media=tuple(shown[number] for number in sorted(shown)),
        choices=asked,
        tags={
            "subject": subject,
            "domain": _DOMAIN_OF.get(subject, "other"),
            "kind": "choice" if choices else "open",
        },
    )


def subject_of(identity: str) -> str:
    """`validation_Art_Theory_3` is of Art_Theory."""
    return "_".join(identity.split("_")[1:-1]) or identity
