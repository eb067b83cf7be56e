# SPDX-License-Identifier: Apache-2.0
"""BLINK: fourteen tasks of seeing that people solve within a blink."""

from __future__ import annotations

from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.mcq import LMMS_LETTER_BLINK
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, picture, reader, same, split_files, texts
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

COLUMNS = {**same("idx", "sub_task", "prompt", "choices", "answer", "image_1")}
OPTIONAL = same("image_2", "image_3", "image_4")
NOTE = "Note: You only need to respond with A, B, C or D without providing any additional information.\n"


def question(row: Row, folder: Path) -> Question:
    """One row; the benchmark words the whole question itself, options included."""
    media = [picture(row[f"image_{n}"], folder) for n in range(1, 5) if row.get(f"image_{n}")]
    tags = {"sub_task": row["sub_task"]}
    choices = texts(row["choices"])
    return multiple_choice.question(
        row["idx"], row["prompt"], choices, row["answer"], media, tags=tags
    )


def ask_official(asked: Question) -> list[Piece]:
    """Pictures, then the complete wording of the benchmark."""
    return [*asked.media, asked.text]


def ask_lmms(asked: Question) -> list[Piece]:
    """The same behind a note that asks for the letter alone."""
    return [*asked.media, f"{NOTE}{asked.text}"]


questions = reader(split_files("val"), COLUMNS, question, optional=OPTIONAL, pictures=("image_1",))

TASKS = (
    Task(
        name="blink",
        title="BLINK val",
        source="BLINK, arXiv 2404.12390",
        layout="the parquet files val-*.parquet of BLINK-Benchmark/BLINK, all in one folder or one folder per task:"
        " idx, sub_task, question, prompt, choices, answer, image_1 to image_4",
        prompts=(
            prompt("official", "the column prompt of the benchmark", questions, ask_official),
            prompt("lmms-eval", multiple_choice.LMMS, questions, ask_lmms),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(*multiple_choice.LETTERS, LMMS_LETTER_BLINK),
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("sub_task",)),
        main="accuracy",
        chance=0.38,
        published=report_tables.row(report_tables.GENERAL, "- 68.0 63.8 - 64.4 56.4 47.6"),
        notes=(
            "accuracy is micro over all 1,901 questions; accuracy/macro/sub_task is the mean of the paper",
            'a common reading takes the first capital at the start, so "The answer is B" was read as T',
        ),
    ),
)
