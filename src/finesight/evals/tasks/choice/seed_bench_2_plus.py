# SPDX-License-Identifier: Apache-2.0
"""SEED-Bench-2-Plus: charts, maps and web pages full of text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, choice_columns, picture, reader, split_files
from finesight.evals.tasks.shared.questions import Question

COLUMNS = {
    "id": ("question_id", "index"),
    "question": ("question",),
    "answer": ("answer",),
    "image": ("image", "data_id"),
    **{letter: (letter, f"choice_{letter}", f"choice_{letter.lower()}") for letter in "ABCD"},
}
OPTIONAL = {
    "kind": ("question_image_type", "data_type", "category"),
    "picture_id": ("data_id", "image_id"),
}


def question(row: Row, folder: Path) -> Question:
    """One row."""
    tags = {"kind": str(row["kind"])} if row.get("kind") else {}
    media = [picture(row["image"], folder, folder / "cc3m-image", folder / "images")]
    choices = choice_columns(row, "ABCD")
    made = multiple_choice.question(
        row["id"], row["question"], choices, row["answer"], media, tags=tags
    )
    cluster = row.get("picture_id")
    return replace(made, cluster=None if cluster is None else str(cluster))


questions = reader(
    (*split_files("test"), "SEEDBench2_Plus.tsv", "SEED-Bench-2-plus-question.json"),
    COLUMNS,
    question,
    optional=OPTIONAL,
)

TASKS = (
    Task(
        name="seed_bench_2_plus",
        title="SEED-Bench-2-Plus",
        source="SEED-Bench-2-Plus, arXiv 2404.16790",
        layout="SEEDBench2_Plus.tsv (index, question, A to D, answer, category, image), the parquet files"
        " test-*.parquet of doolayer/SEED-Bench-2-Plus (question_id, choice_A to choice_D, question_image_type), or the"
        " published JSON with pictures named by data_id; column names from general knowledge",
        prompts=multiple_choice.prompts(questions),
        sampling=Sampling(max_new_tokens=1024),
        extractors=multiple_choice.LETTERS,
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("kind",)),
        main="accuracy",
        chance=0.25,
        published=report_tables.row(report_tables.OCR, "71.7 70.8 72.0 71.3 73.0 70.4 67.6"),
        notes=(
            "micro accuracy; the paper ranks options by likelihood, the report let models answer",
        ),
    ),
)
