# SPDX-License-Identifier: Apache-2.0
"""MMBench in English, in Chinese, and version 1.1: each question asked with its options in every rotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import circular
from finesight.evals.tasks.shared.columns import Row, choice_columns, picture, reader
from finesight.evals.tasks.shared.questions import Question

ROTATION = 1_000_000
"""Rows of one question have the same index modulo this."""
COLUMNS = {
    "id": ("index",),
    "question": ("question",),
    "answer": ("answer",),
    "image": ("image",),
    **{letter: (letter,) for letter in "AB"},
}
OPTIONAL = {
    "hint": ("hint",),
    "category": ("category",),
    "ability": ("l2-category", "L2-category"),
    "split": ("split",),
    **{letter: (letter,) for letter in "CD"},
}


def question(row: Row, folder: Path) -> Question:
    """One row, grouped with its rotations."""
    index = int(row["id"])
    tags = {name: str(row[name]) for name in ("category", "ability") if row.get(name)}
    media = [picture(row["image"], folder)]
    made = multiple_choice.question(
        index, row["question"], choice_columns(row), row["answer"], media, tags=tags
    )
    hint = str(row.get("hint") or "")
    group = str(index % ROTATION)
    return replace(made, hint="" if hint == "nan" else hint, group=group, cluster=group)


def _task(name: str, title: str, stem: str, published: str, split: str) -> Task:
    questions = reader((f"{stem}.tsv",), COLUMNS, question, optional=OPTIONAL)
    return Task(
        name=name,
        title=title,
        source="MMBench, arXiv 2307.06281; opencompass",
        layout=f"{stem}.tsv with index, question, hint, A to D, answer, category, l2-category and image (base64, or the"
        " index of the row that holds the picture)",
        prompts=multiple_choice.prompts(questions),
        sampling=Sampling(max_new_tokens=1024),
        extractors=multiple_choice.LETTERS,
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=circular(by=("ability", "category")),
        main="circular",
        chance=0.02,
        published=report_tables.row(report_tables.GENERAL, published),
        notes=(
            "circular: a question counts if all its rotations are right; vanilla: its first row; passes: all rows",
            f"published numbers are of the {split}, whose answers only the benchmark's server knows",
            "where a letter cannot be read the published script asks a judge; here the row is wrong without --judge",
        ),
    )


TASKS = (
    _task(
        "mmbench_en",
        "MMBench dev, English",
        "MMBench_DEV_EN",
        "82.6 83.4 88.3 86.9 88.6 83.5 79.1",
        "test split",
    ),
    _task(
        "mmbench_cn",
        "MMBench dev, Chinese",
        "MMBench_DEV_CN",
        "83.5 82.1 88.5 86.7 87.9 83.4 78.1",
        "test split",
    ),
    _task(
        "mmbench_en_v11",
        "MMBench 1.1 dev, English",
        "MMBench_DEV_EN_V11",
        "80.9 83.1 87.4 86.1 88.4 82.6 77.4",
        "test split",
    ),
)
