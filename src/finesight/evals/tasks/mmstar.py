# SPDX-License-Identifier: Apache-2.0
"""MMStar: 1,500 questions that cannot be answered without the picture, in six abilities."""

from __future__ import annotations

import re
from pathlib import Path

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.judge_rules import CHOICE
from finesight.evals.task import Task
from finesight.evals.tasks import _mcq, _published
from finesight.evals.tasks._common import Question
from finesight.evals.tasks._rows import Row, choice_columns, picture, reader, split_files
from finesight.evals.tasks._sums import average

COLUMNS = {"id": ("index",), "question": ("question",), "answer": ("answer",), "image": ("image",)}
OPTIONAL = {
    "category": ("category",),
    "ability": ("l2_category", "l2-category"),
    **{letter: (letter,) for letter in "ABCD"},
}
_WRITTEN = re.compile(r"(.*?)\n?\s*Options:\s*(A: .*)", re.DOTALL)
_OPTION = re.compile(r"(?:^|,\s*|\n\s*)([A-D]): ")


def options_within(text: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a row of the parquet copy, which writes `Options: A: ..., B: ...` in the question.

    Raises:
        EvalError: no options stand there.
    """
    whole = _WRITTEN.fullmatch(text.strip())
    if whole is None:
        raise EvalError("there are neither columns A to D nor options within the question")
    starts = list(_OPTION.finditer(whole[2]))
    ends = [match.start() for match in starts[1:]] + [len(whole[2])]
    found = tuple(
        whole[2][match.end() : end].strip().rstrip(".")
        for match, end in zip(starts, ends, strict=True)
    )
    return whole[1].strip(), found


def question(row: Row, folder: Path) -> Question:
    """One row."""
    text, choices = str(row["question"]), choice_columns(row, "ABCD")
    if not choices:
        text, choices = options_within(text)
    tags = {name: str(row[name]) for name in ("category", "ability") if row.get(name)}
    media = [picture(row["image"], folder)]
    return _mcq.question(row["id"], text, choices, str(row["answer"]), media, tags=tags)


questions = reader(
    ("MMStar.tsv", "mmstar.parquet", *split_files("val")), COLUMNS, question, optional=OPTIONAL
)

TASKS = (
    Task(
        name="mmstar",
        title="MMStar",
        source="MMStar, arXiv 2403.20330",
        layout="MMStar.tsv with index, question, A to D, answer, category, l2_category, image; or mmstar.parquet of"
        " Lin-Chen/MMStar, whose question ends with `Options: A: ..., B: ...` (column names from general knowledge)",
        prompts=_mcq.prompts(questions),
        sampling=Sampling(max_new_tokens=1024),
        extractors=_mcq.LETTERS,
        score=_mcq.is_letter,
        judge=CHOICE,
        aggregate=average(by=("category", "ability")),
        main="accuracy",
        chance=0.25,
        published=_published.row(_published.GENERAL, "65.1 64.7 69.5 68.3 70.8 63.9 55.9"),
        notes=("six abilities of 250 questions each, so micro and macro mean are the same",),
    ),
)
