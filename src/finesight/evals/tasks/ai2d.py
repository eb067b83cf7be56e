# SPDX-License-Identifier: Apache-2.0
"""AI2D: school science diagrams whose labels are replaced by letters (the form "with mask")."""

from __future__ import annotations

from pathlib import Path

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.extract.mcq import LMMS_LETTER_AI2D
from finesight.evals.judge_rules import CHOICE
from finesight.evals.task import Task
from finesight.evals.tasks import _mcq, _published
from finesight.evals.tasks._common import Question
from finesight.evals.tasks._rows import Row, choice_columns, picture, reader, split_files, texts
from finesight.evals.tasks._sums import average

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
    letter = answer if answer.isalpha() else _mcq.letter_at(answer, choices)
    made = picture(row["image"], folder)
    tags = {"category": str(row["category"])} if row.get("category") else {}
    return _mcq.question(
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
        prompts=_mcq.prompts(questions),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(*_mcq.LETTERS, LMMS_LETTER_AI2D),
        score=_mcq.is_letter,
        judge=CHOICE,
        aggregate=average(by=("category",)),
        main="accuracy",
        chance=0.25,
        published=_published.row(_published.OCR, "81.2 88.4 84.6 89.1 88.7 83.9 81.6"),
        notes=(
            "published numbers are for diagrams with masked labels; without the mask models score 5 to 8 points more,"
            " so AI2D_TEST_NO_MASK.tsv is another benchmark",
        ),
    ),
)
