# SPDX-License-Identifier: Apache-2.0
"""OCRBench v2: thirty kinds of questions on text in pictures, in English and in Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Scored, Task
from finesight.evals.extract.text import VERBATIM
from finesight.evals.metrics.literal import read_literal
from finesight.evals.metrics.ocrbench_v2 import official_total, score_v2
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import part
from finesight.evals.tasks.shared.columns import Row, picture, reader, same, split_files
from finesight.evals.tasks.shared.questions import Question, prompt

COLUMNS = {**same("id", "type", "question", "answers"), "image": ("image", "image_path")}
OPTIONAL = same("eval", "bbox", "bbox_list", "content", "dataset_name")
LANGUAGES = {"en": "English", "cn": "Chinese"}


def plain(value: Any) -> Any:
    """A cell as a value, also where a list is written as text."""
    is_written = isinstance(value, str) and value.lstrip().startswith("[")
    found = read_literal(value) if is_written else None
    return value if found is None else found


def right_words(kind: str, truth: Mapping[str, Any]) -> str:
    """A right answer in the form that questions of this kind ask for."""
    answers = truth["answers"]
    if kind.startswith("text grounding"):
        return str([int(value) for value in answers])
    if kind.startswith("VQA with position"):
        return json.dumps({"answer": answers[0], "bbox": truth["bbox"]})
    if kind.startswith("text spotting"):
        found = [
            [min(box[0::2]), min(box[1::2]), max(box[0::2]), max(box[1::2]), text]
            for box, text in zip(
                truth.get("bbox_list") or truth["bbox"], truth["content"], strict=False
            )
        ]
        return json.dumps(found)
    first = answers[0] if isinstance(answers, (list, tuple)) else answers
    return first if isinstance(first, str) else json.dumps(first)


def question_of(language: str, row: Row, folder: Path) -> Question | Sequence[Question]:
    """One row; none if it is of the other language."""
    kind = str(row["type"])
    if not kind.endswith(f" {language}"):
        return ()
    names = ("answers", "eval", "bbox", "bbox_list", "content")
    truth = {name: plain(row[name]) for name in names if row.get(name) is not None}
    truth |= {"kind": kind, "question": row["question"]}
    return Question(
        id=str(row["id"]),
        text=row["question"],
        truth=truth,
        oracle=right_words(kind, truth),
        media=(picture(row["image"], folder),),
        tags={"kind": kind},
    )


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The score of the question's kind; silence is worth nothing."""
    text = str(parsed or "")
    return {"score": score_v2(truth["kind"], text, truth) if text else 0.0}


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Means of categories, and their mean without weights."""
    kinds: dict[str, list[float]] = {}
    for one in scored:
        kinds.setdefault(one.item.truth["kind"], []).append(part(one, "score"))
    metrics = official_total(kinds)
    return {**dict.fromkeys(LANGUAGES, 0.0), **metrics}


def _task(language: str, published: str) -> Task:
    def make(row: Row, folder: Path) -> Question | Sequence[Question]:
        return question_of(language, row, folder)

    questions = reader(
        (*split_files("test"), "OCRBench_v2.json", "*/OCRBench_v2.json"),
        COLUMNS,
        make,
        optional=OPTIONAL,
    )
    return Task(
        name=f"ocrbench_v2_{language}",
        title=f"OCRBench v2, {LANGUAGES[language]}",
        source="OCRBench v2, arXiv 2501.00321",
        layout="the parquet files test-*.parquet of ling99/OCRBench_v2, or OCRBench_v2.json with pictures beside it:"
        " id, type, question, answers, eval, bbox, bbox_list, content, image or image_path",
        prompts=(
            prompt("official", "the question as it stands", questions, open_questions.ending("")),
        ),
        sampling=Sampling(max_new_tokens=8192),
        extractors=(VERBATIM,),
        score=score,
        aggregate=aggregate,
        main=language,
        published=report_tables.row(report_tables.OCR, published),
        notes=(
            "the mean of category means, as the authors reckon; other harnesses weigh by items: see *_by_sample",
            "pages and tables need thousands of tokens; a limit of 128, seen elsewhere, makes them unanswerable",
            "questions ask for thousandths themselves, so boxes are compared as they are said",
        ),
    )


TASKS = (
    _task("en", "45.2 51.9 46.5 49.8 61.5 56.3 54.3"),
    _task("cn", "39.6 43.1 32.2 52.1 63.7 57.2 52.1"),
)
