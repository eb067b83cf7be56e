# SPDX-License-Identifier: Apache-2.0
"""MuirBench: several pictures per question, and for each question a twin that cannot be answered."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.mcq import LMMS_LETTER_MUIRBENCH
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, pictures, reader, same, split_files, texts
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

COLUMNS = {
    **same("idx", "task", "question", "options", "answer"),
    "image": ("image_list", "images"),
}
OPTIONAL = same("image_relation", "image_type", "counterpart_idx")
_MARK = re.compile(r"<image>")


def question(row: Row, folder: Path) -> Question:
    """One row; its `<image>` marks are numbered, in the question first, then in the options."""
    media = pictures(row["image"], folder)
    count = 0

    def number(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"<image {count}>"

    text = _MARK.sub(number, row["question"])
    choices = tuple(_MARK.sub(number, option) for option in texts(row["options"]))
    tags = {"task": row["task"]}
    tags |= {name: str(row[name]) for name in ("image_relation", "image_type") if row.get(name)}
    made = multiple_choice.question(row["idx"], text, choices, row["answer"], media, tags=tags)
    twin = row.get("counterpart_idx")
    pair = sorted((str(row["idx"]), str(row["idx"] if twin is None else twin)))
    return replace(made, cluster="+".join(pair))


def ask_lmms(asked: Question) -> list[Piece]:
    """As lmms-eval asks, pictures where they are mentioned."""
    words = f"{asked.text}\n{multiple_choice.lettered(asked.choices)}\n{multiple_choice.DIRECT}"
    return multiple_choice.at_marks(words, asked.media)


questions = reader(split_files("test"), COLUMNS, question, optional=OPTIONAL)

TASKS = (
    Task(
        name="muirbench",
        title="MuirBench",
        source="MuirBench, arXiv 2406.09411",
        layout="the parquet files test-*.parquet of MUIRBENCH/MUIRBENCH: idx, task, image_relation, image_type,"
        " question, options, answer, image_list, counterpart_idx",
        prompts=(
            prompt(
                "vlmevalkit", multiple_choice.QWEN, questions, multiple_choice.ask_qwen_at_marks
            ),
            prompt("lmms-eval", multiple_choice.LMMS, questions, ask_lmms),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(*multiple_choice.LETTERS, LMMS_LETTER_MUIRBENCH),
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("task", "image_relation")),
        main="accuracy",
        chance=0.24,
        published=report_tables.row(report_tables.GENERAL, "- 68.0 63.5 - 70.7 59.6 47.7"),
        notes=(
            "micro accuracy over all 2,600 questions; a question and its twin that cannot be answered are one cluster",
            'other harnesses compare the answer letter for letter, so "(B)" is wrong there',
        ),
    ),
)
