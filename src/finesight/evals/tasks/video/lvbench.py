# SPDX-License-Identifier: Apache-2.0
"""LVBench: videos of half an hour and more."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, reader, split_files, texts
from finesight.evals.tasks.shared.questions import Question
from finesight.evals.tasks.video import clips

COLUMNS = {
    "id": ("uid", "id"),
    "video": ("video_path", "key", "video"),
    "question": ("question",),
    "answer": ("answer",),
}
OPTIONAL = {"kinds": ("question_type",), "time": ("time_reference",), "type": ("type",)}
_OPTION = re.compile(r"\n\s*\(([A-Z])\)\s*")


def options_within(text: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a text that lists them as `(A) ...`, one to a line.

    Raises:
        EvalError: it lists none.
    """
    first, *rest = _OPTION.split(text)
    if len(rest) < 4:
        raise EvalError("the question lists no options such as (A)")
    return first.strip(), tuple(option.strip() for option in rest[1::2])


def question(row: Row, folder: Path) -> Question:
    """One row; it may be of several kinds, and is then counted under each combination."""
    text, choices = options_within(row["question"])
    video = VideoPart(source=clips.video_file(row["video"], folder, "all_videos"))
    tags = {"kind": "+".join(sorted(texts(row.get("kinds")))) or "none"}
    if row.get("type"):
        tags["type"] = str(row["type"])
    made = multiple_choice.question(row["id"], text, choices, row["answer"], [video], tags=tags)
    return replace(made, cluster=str(row["video"]))


questions = reader(split_files("test", "train"), COLUMNS, question, optional=OPTIONAL)

TASKS = (
    Task(
        name="lvbench",
        title="LVBench",
        source="LVBench, arXiv 2406.08035",
        layout="the parquet or JSON-lines files of lmms-lab/LVBench: uid, video_path or key, question (with its options"
        " as lines `(A) ...`), answer, question_type, time_reference; videos in all_videos/ or videos/",
        prompts=clips.prompts(questions),
        budget=clips.BUDGET,
        sampling=clips.SHORT_ANSWER,
        extractors=clips.LETTERS,
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("kind", "type")),
        main="accuracy",
        chance=0.25,
        published=report_tables.row(report_tables.VIDEO, "33.1 30.8 47.3 45.3 43.3"),
        notes=("micro accuracy over 1,549 questions on 103 videos", clips.FRAMES_NOTE),
    ),
)
