# SPDX-License-Identifier: Apache-2.0
"""TextVQA: questions on scene text, each answered by ten people."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.vqa import vqa_accuracy
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, reader, split_files
from finesight.evals.tasks.shared.questions import Question

COLUMNS = {
    "id": ("question_id", "index"),
    "picture_id": ("image_id", "image_path", "index"),
    **open_questions.COLUMNS,
}


def question(row: Row, folder: Path) -> Question:
    """One row; the question begins with a capital, as both harnesses write it."""
    made = open_questions.question(row, folder, str(row["id"]))
    most_given = Counter(made.truth["golds"]).most_common(1)[0][0]
    text = made.text[:1].upper() + made.text[1:]
    return replace(made, text=text, oracle=most_given)


questions = reader((*split_files("validation"), "TextVQA_VAL.tsv"), COLUMNS, question)

TASKS = (
    Task(
        name="textvqa",
        title="TextVQA val",
        source="TextVQA, arXiv 1904.08920",
        layout="the parquet files validation-*.parquet of lmms-lab/textvqa with image_id, question_id, question,"
        " answers (ten texts), image; or TextVQA_VAL.tsv with index, question, answer (a list written as text), image",
        prompts=open_questions.prompts(questions, open_questions.ONE_PHRASE),
        sampling=Sampling(max_new_tokens=128),
        extractors=(WHOLE_TEXT,),
        score=open_questions.over_all(vqa_accuracy),
        aggregate=average("score"),
        main="accuracy",
        published=report_tables.row(report_tables.OCR, "76.5 78.8 77.4 83.4 83.5 84.9 79.3"),
        notes=(
            "an answer counts by how many of ten people gave it: three make .9, four make 1",
            "a question whose ten answers all differ cannot reach 1, so the best score possible lies under 100",
        ),
    ),
)
