# SPDX-License-Identifier: Apache-2.0
"""Charades-STA: when does the described event happen?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling, VideoPart
from finesight.evals.core.task import Task
from finesight.evals.extract.intervals import EVENT_INTERVAL, LMMS_INTERVAL
from finesight.evals.metrics.intervals import temporal_iou
from finesight.evals.tasks.grounding.places import numbers
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, reader, split_files
from finesight.evals.tasks.shared.questions import Piece, Question, prompt
from finesight.evals.tasks.video import clips

COLUMNS = {
    "video": ("video", "video_id", "vid"),
    "caption": ("caption", "query", "sentence"),
    "span": ("timestamp", "timestamps", "relevant_windows"),
}
LEVELS = (0.3, 0.5, 0.7)
LMMS_WORDS = (
    "Please find the visual event described by a sentence in the video, determining its starting and ending times. The"
    " format should be: 'The event happens in the start time - end time'. For example, The event 'person turn a light"
    " on' happens in the 24.3 - 30.4 seonds. Now I will give you the textual sentence: {query}Please return its start"
    " time and end time."
)


def question(row: Row, folder: Path) -> Question:
    """One row."""
    start, end = numbers(row["span"], 2)
    name = str(row["video"])
    return Question(
        id=f"{name} {start:g}-{end:g} {row['caption']}",
        text=str(row["caption"]),
        truth={"span": [start, end]},
        oracle=f"The given query happens in {start} - {end} seconds.",
        media=(VideoPart(source=clips.video_file(name, folder, "Charades_v1_480")),),
        cluster=name,
    )


def ask_paper(asked: Question) -> list[Piece]:
    """The wording of Qwen's cookbook for videos."""
    query = asked.text.strip().rstrip(".")
    words = f"Give the query: '{query}', when does the described content occur in the video?"
    return [*asked.media, words]


def ask_lmms(asked: Question) -> list[Piece]:
    """The wording of lmms-eval, its slips of the pen included."""
    return [*asked.media, LMMS_WORDS.format(query=asked.text)]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Overlap in time, and whether it reaches each level."""
    overlap = temporal_iou(parsed, truth["span"]) if parsed else 0.0
    return {"iou": overlap, **{f"r{level}": float(overlap >= level) for level in LEVELS}}


questions = reader(split_files("test"), COLUMNS, question)

TASKS = (
    Task(
        name="charades_sta",
        title="Charades-STA",
        source="TALL, arXiv 1705.02101",
        layout="the parquet files test-*.parquet of lmms-lab/charades_sta (video, caption, timestamp as start and end"
        " in seconds) and Charades_v1_480/{video}",
        prompts=(
            prompt("paper", "Qwen2.5-VL cookbook on videos", questions, ask_paper),
            prompt("lmms-eval", "lmms-eval", questions, ask_lmms),
        ),
        budget=clips.BUDGET,
        sampling=Sampling(max_new_tokens=128),
        extractors=(EVENT_INTERVAL, LMMS_INTERVAL),
        score=score,
        aggregate=joined(
            average("iou", name="miou"),
            *(average(f"r{level}", name=f"recall@{level}") for level in LEVELS),
        ),
        main="miou",
        chance=0.25,
        published=report_tables.row(report_tables.VIDEO, "- 35.7 50.9 43.6 38.8"),
        notes=(
            "the true time of each frame must reach the model; harnesses that lose it print about 29 for the 7B model",
            "chance is a guess of the middle of the video, roughly",
        ),
    ),
)
