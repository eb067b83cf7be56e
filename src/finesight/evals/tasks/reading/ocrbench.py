# SPDX-License-Identifier: Apache-2.0
"""OCRBench: a thousand questions on text of every kind, from single words to formulas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Budget, Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.ocrbench import ocrbench_hit
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, picture, reader, split_files, texts
from finesight.evals.tasks.shared.questions import TOKEN_PIXELS, Question, prompt

COLUMNS = {**open_questions.COLUMNS, "kind": ("question_type", "category")}
OPTIONAL = {"dataset": ("dataset",), "id": ("index", "id")}


def question(row: Row, folder: Path) -> Question:
    """One row."""
    golds = texts(row["golds"])
    dataset = str(row.get("dataset", row["kind"]))
    return Question(
        id=str(row.get("id", row.where)),
        text=str(row["question"]),
        truth={"golds": list(golds), "kind": dataset if dataset == "HME100k" else row["kind"]},
        oracle=golds[0],
        media=(picture(row["image"], folder),),
        tags={"kind": row["kind"], "dataset": dataset},
    )


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """A gold answer stands in the answer."""
    return {"score": float(ocrbench_hit(str(parsed or ""), truth["golds"], truth["kind"]))}


questions = reader((*split_files("test"), "OCRBench.tsv"), COLUMNS, question, optional=OPTIONAL)

TASKS = (
    Task(
        name="ocrbench",
        title="OCRBench",
        source="OCRBench, arXiv 2305.07895",
        layout="the parquet files test-*.parquet of echo840/OCRBench (dataset, question, question_type, answer, image);"
        " or OCRBench.tsv (index, question, answer, category, image)",
        prompts=(
            prompt("official", "the question as it stands", questions, open_questions.ending("")),
        ),
        budget=Budget(min_pixels=100 * TOKEN_PIXELS),
        sampling=Sampling(max_new_tokens=512),
        extractors=(WHOLE_TEXT,),
        score=score,
        aggregate=average("score", by=("kind",)),
        main="accuracy",
        unit=1000.0,
        published=report_tables.row(report_tables.OCR, "788 754 736 854 885 864 797"),
        notes=(
            "printed in thousandths: of the whole benchmark that is the number of right answers",
            'a gold answer counts wherever it stands, so "12" is found in "2012"',
        ),
    ),
)
