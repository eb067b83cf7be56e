# SPDX-License-Identifier: Apache-2.0
"""ChartQA: questions on charts, half written by people, half made from summaries."""

from __future__ import annotations

from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.relaxed import relaxed_match
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, reader, split_files
from finesight.evals.tasks.shared.questions import Question

COLUMNS = {**open_questions.COLUMNS, "half": ("type", "split", "human_or_machine")}
OPTIONAL = {"id": ("index", "id")}
HALVES = {"0": "human", "1": "augmented"}


def question(row: Row, folder: Path) -> Question:
    """One row; copies write the half as human_test, test_human or 0."""
    half = str(row["half"])
    kind = HALVES.get(half) or ("human" if "human" in half else "augmented")
    return open_questions.question(row, folder, str(row.get("id", row.where)), tags={"half": kind})


questions = reader((*split_files("test"), "ChartQA_TEST.tsv"), COLUMNS, question, optional=OPTIONAL)

TASKS = (
    Task(
        name="chartqa",
        title="ChartQA test",
        source="ChartQA, arXiv 2203.10244",
        layout="the parquet files test-*.parquet of lmms-lab/ChartQA (type, question, answer, image) or of"
        " HuggingFaceM4/ChartQA (human_or_machine, query, label, image); or ChartQA_TEST.tsv (index, question, answer,"
        " split, image)",
        prompts=open_questions.prompts(questions, open_questions.ONE_WORD),
        sampling=Sampling(max_new_tokens=128),
        extractors=(WHOLE_TEXT,),
        score=open_questions.best(relaxed_match),
        aggregate=average("score", by=("half",)),
        main="accuracy",
        published=report_tables.row(report_tables.OCR, "90.8 87.2 86.7 88.3 89.5 87.3 84.0"),
        notes=(
            "relaxed accuracy over all 2,500 questions, which is the mean of the two equal halves",
            "the published rule takes years for numbers, so 2019 passes for 2020",
        ),
    ),
)
