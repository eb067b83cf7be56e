# SPDX-License-Identifier: Apache-2.0
"""CC-OCR: text in scenes, multilingual text, documents and forms; four tracks with 39 subsets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Scored
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.cc_ocr import (
    field_counts,
    fields,
    fields_f1,
    page_score,
    reading_f1,
)
from finesight.evals.tasks.shared.aggregates import by_tag, mean, part
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture
from finesight.evals.tasks.shared.questions import Question, Wording, template

TRACKS = ("multi_scene_ocr", "multi_lan_ocr", "doc_parsing", "kie")
PAGES = ("doc", "table", "formula", "molecular")


def _question(row: Row, folder: Path) -> Question:
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
        raise EvalError(f"the gold fields are not JSON: {answer[:80]!r}") from error


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """By track: F1 of words, similarity of pages, counts of correct and wrong fields."""
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


def _aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Unweighted mean of the tracks; a track is the unweighted mean of its subsets."""
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
    """Mean over items; for fields, F1 of the counts of all items together."""
    if group[0].item.tags["track"] != "kie":
        return mean(part(one, "score") for one in group)
    return fields_f1(
        sum(part(one, "right") for one in group),
        # a failed item misses all its fields
        sum(part(one, "wrong", len([*fields(one.item.truth["answer"])])) for one in group),
    )


TASKS: Mapping[str, Build] = {
    "cc_ocr": build(
        rows(_question),
        Wording("official", "the benchmark's wording of each set", template()),
        extractors=(WHOLE_TEXT,),
        score=score,
        aggregate=_aggregate,
    )
}
