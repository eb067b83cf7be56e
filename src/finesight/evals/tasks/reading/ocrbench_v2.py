# SPDX-License-Identifier: Apache-2.0
"""OCRBench v2: thirty types of questions on text in pictures, in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Scored
from finesight.evals.extract.text import VERBATIM
from finesight.evals.metrics.literal import read_literal
from finesight.evals.metrics.ocrbench_v2 import official_total, score_v2
from finesight.evals.tasks.reading.open_questions import PLAIN
from finesight.evals.tasks.shared.aggregates import part
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture
from finesight.evals.tasks.shared.questions import Question

LANGUAGES = ("en", "cn")


def _plain(value: Any) -> Any:
    """The value in a cell; a list may be written as text."""
    is_written = isinstance(value, str) and value.lstrip().startswith("[")
    found = read_literal(value) if is_written else None
    return value if found is None else found


def _right_words(kind: str, truth: Mapping[str, Any]) -> str:
    """A correct answer in the form that questions of this kind ask for."""
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


def _question_of(language: str, row: Row, folder: Path) -> Question | Sequence[Question]:
    """One row; () for a row of the other language."""
    kind = str(row["type"])
    if not kind.endswith(f" {language}"):
        return ()
    names = ("answers", "eval", "bbox", "bbox_list", "content")
    truth = {name: _plain(row[name]) for name in names if row.get(name) is not None}
    truth |= {"kind": kind, "question": row["question"]}
    return Question(
        id=str(row["id"]),
        text=row["question"],
        truth=truth,
        oracle=_right_words(kind, truth),
        media=(picture(row["image"], folder),),
        tags={"kind": kind},
    )


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The score for the kind of question; 0 for an empty answer."""
    text = str(parsed or "")
    return {"score": score_v2(truth["kind"], text, truth) if text else 0.0}


def _aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Means of categories, and their unweighted mean."""
    kinds: dict[str, list[float]] = {}
    for one in scored:
        kinds.setdefault(one.item.truth["kind"], []).append(part(one, "score"))
    metrics = official_total(kinds)
    return {**dict.fromkeys(LANGUAGES, 0.0), **metrics}


TASKS: Mapping[str, Build] = {
    f"ocrbench_v2_{language}": build(
        rows(partial(_question_of, language)),
        PLAIN,
        extractors=(VERBATIM,),
        score=_score,
        aggregate=_aggregate,
    )
    for language in LANGUAGES
}
