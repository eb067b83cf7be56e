# SPDX-License-Identifier: Apache-2.0
"""MMStar: 1,500 questions that cannot be answered without the picture, in six abilities."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, choice_columns, picture, reader, split_files
from finesight.evals.tasks.shared.questions import Question

COLUMNS = {"id": ("index",), "question": ("question",), "answer": ("answer",), "image": ("image",)}
OPTIONAL = {
    "category": ("category",),
    "ability": ("l2_category", "l2-category"),
    **{letter: (letter,) for letter in "ABCD"},
}
_HEADING = re.compile(r"\s*\b(?:Options|Choices)\s{0,4}:\s{0,4}", re.IGNORECASE)
_LABELS = (r"{}\s{{0,2}}: ?", r"\({}\) ?", r"{}\. ?", r"{}\) ?")
"""How the letter of an option is written; one row keeps to one of them."""
_BOUNDARIES = (r"(?:[,;]\s{0,8}|\s{0,8}\n\s{0,8})", r"\s{1,8}")
"""What stands between two options; the second only where there is none of the first."""


def options_within(text: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a row that writes both in the question, as the authors' own file does.

    `Options: A: ape, B: bee` and `Choices:` with `(A) ape` on lines of their own are forms of that file; `A.` and `A)`
    are read as well, and options without a heading where each has its line.

    Raises:
        EvalError: no options stand there.
    """
    text = text.strip()
    headings = list(_HEADING.finditer(text))
    places = [(match.start(), match.end()) for match in reversed(headings)]
    places += [(match.start(), match.end()) for match in re.finditer(r"\n\s{0,8}", text)]
    for end_of_question, start in places:
        for label, boundary in product(_LABELS, _BOUNDARIES):
            if len(found := _listed(text[start:], label, boundary)) > 1:
                return text[:end_of_question].strip(), found
    raise EvalError("there are neither columns A to D nor options within the question")


def _listed(block: str, label: str, boundary: str) -> tuple[str, ...]:
    """Texts of the options that a block of text begins with, each under the next letter."""
    first = re.match(label.format("A"), block)
    if first is None:
        return ()
    found, at = [], first.end()
    for letter in "BCDEFGHI":
        following = re.compile(f"{boundary}{label.format(letter)}").search(block, at)
        if following is None:
            break
        found.append(block[at : following.start()])
        at = following.end()
    return tuple(text.strip().rstrip(".") for text in (*found, block[at:]))


def question(row: Row, folder: Path) -> Question:
    """One row."""
    text, choices = str(row["question"]), choice_columns(row, "ABCD")
    if not choices:
        text, choices = options_within(text)
    tags = {name: str(row[name]) for name in ("category", "ability") if row.get(name)}
    media = [picture(row["image"], folder)]
    return multiple_choice.question(row["id"], text, choices, str(row["answer"]), media, tags=tags)


questions = reader(
    ("MMStar.tsv", "mmstar.parquet", *split_files("val")), COLUMNS, question, optional=OPTIONAL
)

TASKS = (
    Task(
        name="mmstar",
        title="MMStar",
        source="MMStar, arXiv 2403.20330",
        layout="MMStar.tsv with index, question, A to D, answer, category, l2_category, image; or mmstar.parquet of"
        " Lin-Chen/MMStar, whose question ends with its options, `Options: A: ..., B: ...` or `Choices:` and"
        " a line `(A) ...` for each (column names from general knowledge)",
        prompts=multiple_choice.prompts(questions),
        sampling=Sampling(max_new_tokens=1024),
        extractors=multiple_choice.LETTERS,
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("category", "ability")),
        main="accuracy",
        chance=0.25,
        published=report_tables.row(report_tables.GENERAL, "65.1 64.7 69.5 68.3 70.8 63.9 55.9"),
        notes=("six abilities of 250 questions each, so micro and macro mean are the same",),
    ),
)
