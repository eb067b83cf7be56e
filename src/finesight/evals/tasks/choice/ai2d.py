# SPDX-License-Identifier: Apache-2.0
"""AI2D: school science diagrams whose labels are replaced by letters (the form "with mask")."""

from __future__ import annotations

from pathlib import Path

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.extract.mcq import LMMS_LETTER_AI2D
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import (
    Row,
    choice_columns,
    picture,
    reader,
    split_files,
    texts,
)
from finesight.evals.tasks.shared.questions import Question

COLUMNS = {"question": ("question",), "answer": ("answer",), "image": ("image",)}
OPTIONAL = {
    "options": ("options",),
    "id": ("index", "id"),
    "category": ("category",),
    **{letter: (letter,) for letter in "ABCD"},
}


def question(row: Row, folder: Path) -> Question:
    """One row; the parquet copy answers with a place counted from 0, the tab-separated one with a letter."""
    choices = texts(row.get("options")) or choice_columns(row)
    if not choices:
        raise EvalError("there is neither a column options nor columns A to D")
    answer = str(row["answer"])
    letter = answer if answer.isalpha() else multiple_choice.letter_at(answer, choices)
    made = picture(row["image"], folder)
    tags = {"category": str(row["category"])} if row.get("category") else {}
    return multiple_choice.question(
        row.get("id", row.where), row["question"], choices, letter, [made], tags=tags
    )


questions = reader((*split_files("test"), "AI2D_TEST.tsv"), COLUMNS, question, optional=OPTIONAL)

TASKS = (
    Task(
        name="ai2d",
        title="AI2D test, with mask",
        source="AI2D, arXiv 1603.07396",
        layout="the parquet files test-*.parquet of lmms-lab/ai2d (question, options, answer as a place counted from 0,"
        " image); or AI2D_TEST.tsv (index, question, A to D, answer, image)",
        prompts=multiple_choice.prompts(questions),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(*multiple_choice.LETTERS, LMMS_LETTER_AI2D),
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("category",)),
        main="accuracy",
        chance=0.25,
        published=report_tables.row(report_tables.OCR, "81.2 88.4 84.6 89.1 88.7 83.9 81.6"),
        notes=(
            "published numbers are for diagrams with masked labels; without the mask models score 5 to 8 points more,"
            " so AI2D_TEST_NO_MASK.tsv is another benchmark",
        ),
    ),
)
