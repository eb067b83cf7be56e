# SPDX-License-Identifier: Apache-2.0
"""CC-OCR: reading scenes, many languages, documents and forms; four tracks of 39 small sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.conversation import Sampling
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.kie import kie_score
from finesight.evals.metrics.literal import read_object
from finesight.evals.metrics.tables import teds
from finesight.evals.task import Scored, Task
from finesight.evals.tasks import _published, _qa
from finesight.evals.tasks._common import Question, prompt
from finesight.evals.tasks._rows import Row, picture, reader
from finesight.evals.tasks._sums import average

TRACKS = ("multi_scene_ocr", "multi_lan_ocr", "doc_parsing", "kie")
COLUMNS = {
    "id": ("index", "image_name", "id"),
    "question": ("question", "prompt"),
    "answer": ("answer", "ground_truth"),
    "image": ("image",),
    "track": ("category", "track", "l2-category"),
}
OPTIONAL = {"subset": ("l2-category", "dataset", "split")}
_TOKEN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f]|[^\W_]+")
_FENCE = re.compile(r"^```\w*\n?|\n?```$")


def track_of(text: str) -> str:
    """Which of the four tracks a copy's own name for it means."""
    plain = text.lower().replace("-", "_").replace(" ", "_")
    short = {"scene": TRACKS[0], "lan": TRACKS[1], "doc": TRACKS[2], "pars": TRACKS[2]}
    return next((track for part, track in short.items() if part in plain), TRACKS[3])


def question(row: Row, folder: Path) -> Question:
    """One row; the question is the benchmark's own wording for its set."""
    track, answer = track_of(str(row["track"])), str(row["answer"])
    return Question(
        id=f"{track}/{row['id']}",
        text=str(row["question"]),
        truth={"track": track, "answer": answer},
        oracle=answer,
        media=(picture(row["image"], folder, folder / "images"),),
        tags={"track": track, "subset": str(row.get("subset") or track)},
    )


def bag_f1(text: str, gold: str) -> float:
    """F1 of bags of words, or of characters in scripts that write without blanks; case and marks aside."""
    said, there = Counter(_TOKEN.findall(text.lower())), Counter(_TOKEN.findall(gold.lower()))
    both, total = (said & there).total(), said.total() + there.total()
    return 2 * both / total if total else 0.0


def parsed_page(text: str, gold: str) -> float:
    """TEDS where the truth is a table, else one minus normalised edits without blanks."""
    said = _FENCE.sub("", text.strip())
    if "<table" in gold:
        return teds(said, gold)
    one, other = ("".join(each.split()) for each in (said, gold))
    return float(Levenshtein.normalized_similarity(one, other))


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """By track: F1 of words, likeness of pages, share of right fields."""
    text, gold = str(parsed or ""), truth["answer"]
    if not text:
        return {"score": 0.0}
    if truth["track"] == "kie":
        return {"score": kie_score(read_object(text), read_object(gold))}
    return {"score": (parsed_page if truth["track"] == "doc_parsing" else bag_f1)(text, gold)}


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """The mean of the tracks is the score."""
    metrics = average("score", name="score", by=("track", "subset"))(scored)
    return {"overall": metrics["score/macro/track"], **metrics}


questions = reader(
    ("CCOCR*.tsv", "*.tsv", "*.parquet", "*.jsonl"), COLUMNS, question, optional=OPTIONAL
)

TASKS = (
    Task(
        name="cc_ocr",
        title="CC-OCR",
        source="CC-OCR, arXiv 2412.02210",
        layout="CCOCR*.tsv with index, question, answer, category (the track), l2-category (the set), image; column"
        " names from general knowledge",
        prompts=(
            prompt("official", "the benchmark's wording of each set", questions, _qa.ending("")),
        ),
        sampling=Sampling(max_new_tokens=8192),
        extractors=(WHOLE_TEXT,),
        score=score,
        aggregate=aggregate,
        main="overall",
        published=_published.row(_published.OCR, "62.5 73.0 66.9 64.7 79.8 77.8 74.5"),
        notes=(
            "rules after the paper's description, not proven against the authors' code: do not compare closely",
            "reading counts bags of words, so the order of reading does not matter",
        ),
    ),
)
