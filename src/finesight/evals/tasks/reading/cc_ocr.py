# SPDX-License-Identifier: Apache-2.0
"""CC-OCR: reading scenes, many languages, documents and forms; four tracks of 39 small sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Scored, Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.cc_ocr import (
    field_counts,
    fields,
    fields_f1,
    page_score,
    reading_f1,
)
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import by_tag, mean, part
from finesight.evals.tasks.shared.columns import Row, picture, reader
from finesight.evals.tasks.shared.questions import Question, prompt

TRACKS = ("multi_scene_ocr", "multi_lan_ocr", "doc_parsing", "kie")
PAGES = ("doc", "table", "formula", "molecular")
COLUMNS = {
    "id": ("image_name", "index", "id"),
    "question": ("question", "prompt"),
    "answer": ("answer", "ground_truth"),
    "image": ("image",),
    "track": ("category", "track"),
    "kind": ("l2-category", "op"),
    "subset": ("split", "dataset", "subset"),
}


def question(row: Row, folder: Path) -> Question:
    """One row; the question is the benchmark's own wording for its set.

    Raises:
        EvalError: its track, its kind of page or its object of fields is none.
    """
    track, kind, subset = (str(row[name]) for name in ("track", "kind", "subset"))
    _check("track", track, TRACKS)
    if track == "doc_parsing":
        _check("kind of page", kind, PAGES)
    answer = str(row["answer"])
    return Question(
        id=f"{track}/{subset}/{row['id']}",
        text=str(row["question"]),
        truth={
            "track": track,
            "kind": kind,
            "subset": subset,
            "answer": _object(answer) if track == "kie" else answer,
        },
        oracle=answer,
        media=(picture(row["image"], folder, folder / "images"),),
        tags={"track": track, "kind": f"{track}/{kind}", "subset": f"{track}/{subset}"},
    )


def _check(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise EvalError(f"the {what} is {name!r}, not one of {', '.join(known)}")


def _object(answer: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError as error:
        raise EvalError(f"the answer of a row of fields is no JSON: {answer[:80]!r}") from error


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """By track: F1 of words, likeness of pages, right and wrong fields."""
    text, gold, track = str(parsed or ""), truth["answer"], truth["track"]
    if track == "kie":
        right, wrong = field_counts(text, gold)
        return {"score": fields_f1(right, wrong), "right": float(right), "wrong": float(wrong)}
    if not text:
        return {"score": 0.0}
    if track == "doc_parsing":
        return {"score": page_score(text, gold, truth["kind"])}
    is_scene = track == "multi_scene_ocr"
    return {"score": reading_f1(text, gold, subset=truth["subset"], is_scene=is_scene)}


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """The mean of the tracks; a track is the mean of its sets, whatever their size."""
    sets = {name: _set_score(group) for name, group in by_tag(scored, "subset").items()}
    tracks = {
        track: mean(value for name, value in sets.items() if name.startswith(f"{track}/"))
        for track in by_tag(scored, "track")
    }
    return {
        "overall": mean(tracks.values()),
        **{f"score/track/{name}": value for name, value in tracks.items()},
        **{f"score/subset/{name}": value for name, value in sets.items()},
    }


def _set_score(group: Sequence[Scored]) -> float:
    """The mean over items; fields of a set are counted together."""
    if group[0].item.tags["track"] != "kie":
        return mean(part(one, "score") for one in group)
    return fields_f1(
        sum(part(one, "right") for one in group),
        sum(part(one, "wrong", failed=_num_fields(one)) for one in group),
    )


def _num_fields(one: Scored) -> float:
    """What a failed item misses."""
    return float(sum(1 for _ in fields(one.item.truth["answer"])))


questions = reader(
    ("CCOCR*.tsv", "*/*/*.tsv", "*.tsv", "*/*.parquet", "*.parquet", "*.jsonl"), COLUMNS, question
)

TASKS = (
    Task(
        name="cc_ocr",
        title="CC-OCR",
        source="CC-OCR, arXiv 2412.02210",
        layout="CCOCR.tsv, or the files TRACK/KIND/SET.tsv of the authors' data set: image_name, question, answer,"
        " category (the track), l2-category (the kind), split (the set), image",
        prompts=(
            prompt(
                "official",
                "the benchmark's wording of each set",
                questions,
                open_questions.ending(""),
            ),
        ),
        sampling=Sampling(max_new_tokens=8192),
        extractors=(WHOLE_TEXT,),
        score=score,
        aggregate=aggregate,
        main="overall",
        published=report_tables.row(report_tables.OCR, "62.5 73.0 66.9 64.7 79.8 77.8 74.5"),
        notes=(
            "rules of the authors' code, weak spots included; of their two F1 of words it is the mean over items",
            "a track is the mean of its sets; fields of a set are counted together, which is the F1 of the paper",
            "VLMEvalKit's total takes the likeness of trees for fields instead, which is another number",
        ),
    ),
)
