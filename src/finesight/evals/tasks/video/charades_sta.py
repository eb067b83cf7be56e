# SPDX-License-Identifier: Apache-2.0
"""Charades-STA: the time span of a described event."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import VideoPart
from finesight.evals.core.benchmark import Build
from finesight.evals.extract.intervals import EVENT_INTERVAL, LMMS_INTERVAL
from finesight.evals.metrics.intervals import temporal_iou
from finesight.evals.tasks.grounding.places import numbers
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, template
from finesight.evals.tasks.video.video_choice import video_file

LEVELS = (0.3, 0.5, 0.7)
TOTAL = means({"iou": "miou", **{f"r{level}": f"recall@{level}" for level in LEVELS}})
"""Mean IoU, and recall at each level."""
LMMS_WORDS = (  # with the typing errors of lmms-eval
    "Please find the visual event described by a sentence in the video, determining its starting and ending times. The"
    " format should be: 'The event happens in the start time - end time'. For example, The event 'person turn a light"
    " on' happens in the 24.3 - 30.4 seonds. Now I will give you the textual sentence: {text}Please return its start"
    " time and end time."
)


def _question(row: Row, folder: Path) -> Question:
    start, end = numbers(row["span"], 2)
    name = str(row["video"])
    return Question(
        id=f"{name} {start:g}-{end:g} {row['caption']}",
        text=str(row["caption"]),
        truth={"span": [start, end]},
        oracle=f"The given query happens in {start} - {end} seconds.",
        media=(VideoPart(source=video_file(name, folder, "Charades_v1_480")),),
        cluster=name,
    )


def ask_paper(asked: Question) -> list[Piece]:
    """The wording of Qwen's cookbook for videos."""
    query = asked.text.strip().rstrip(".")
    words = f"Give the query: '{query}', when does the described content occur in the video?"
    return [*asked.media, words]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Temporal IoU, and whether it reaches each level."""
    overlap = temporal_iou(parsed, truth["span"]) if parsed else 0.0
    return {"iou": overlap, **{f"r{level}": float(overlap >= level) for level in LEVELS}}


PAPER = Wording("paper", "Qwen2.5-VL cookbook on videos", ask_paper)

TASKS: Mapping[str, Build] = {
    "charades_sta": build(
        rows(_question),
        PAPER,
        Wording("lmms-eval", "lmms-eval", template(LMMS_WORDS)),
        extractors=(EVENT_INTERVAL, LMMS_INTERVAL),
        score=score,
        total=TOTAL,
    )
}
