# SPDX-License-Identifier: Apache-2.0
"""DocVQA and InfographicVQA: questions on scanned documents and on infographics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.text import VERBATIM
from finesight.evals.metrics.anls import anls, anls_raw_lengths
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, reader, split_files
from finesight.evals.tasks.shared.questions import Question

COLUMNS = {"id": ("questionId", "question_id", "index"), **open_questions.COLUMNS}
OPTIONAL = {"picture_id": ("docId", "image_path"), "types": ("question_types", "answer_type")}


def question(row: Row, folder: Path) -> Question:
    """One row."""
    return open_questions.question(row, folder, str(row["id"]))


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Similarity to the nearest gold answer, and as other harnesses reckon it, who let blanks count as an answer."""
    text = "" if parsed is None else str(parsed)
    golds = truth["golds"]
    return {
        "anls": anls(text, golds) if text.strip() else 0.0,
        "anls_raw_lengths": anls_raw_lengths(text, golds),
    }


def _task(name: str, title: str, source: str, config: str, tsv: str, published: str) -> Task:
    files = (f"{config}/validation-*.parquet", *split_files("validation", "val"), tsv)
    questions = reader(files, COLUMNS, question, optional=OPTIONAL)
    return Task(
        name=name,
        title=title,
        source=source,
        layout=f"the folder {config} of lmms-lab/DocVQA with validation-*.parquet: questionId, question, answers,"
        f" image, docId; or {tsv} with index, question, answer (a list written as text), image",
        prompts=open_questions.prompts(questions, open_questions.ONE_PHRASE),
        sampling=Sampling(max_new_tokens=128),
        extractors=(VERBATIM,),
        score=score,
        aggregate=joined(
            average("anls", name="anls"), average("anls_raw_lengths", name="anls_raw_lengths")
        ),
        main="anls",
        published=report_tables.row(report_tables.OCR, published),
        notes=(
            "published scores are of the test split, whose answers only its server knows; this is validation",
            "anls_raw_lengths is what other harnesses print: blanks around an answer raise it",
        ),
    )


TASKS = (
    _task(
        "docvqa",
        "DocVQA val",
        "DocVQA, arXiv 2007.00398",
        "DocVQA",
        "DocVQA_VAL.tsv",
        "95.2 93.1 91.1 95.1 96.4 95.7 93.9",
    ),
    _task(
        "infovqa",
        "InfographicVQA val",
        "InfographicVQA, arXiv 2104.12756",
        "InfographicVQA",
        "InfoVQA_VAL.tsv",
        "74.3 81.0 80.7 84.1 87.3 82.6 77.1",
    ),
)
