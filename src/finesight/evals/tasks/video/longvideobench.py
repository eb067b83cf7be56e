# SPDX-License-Identifier: Apache-2.0
"""LongVideoBench: questions that refer to a moment of a video of up to an hour."""

from __future__ import annotations

from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.core.task import Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, reader, same, split_files, texts
from finesight.evals.tasks.shared.questions import Question
from finesight.evals.tasks.video import clips

TAGS = ("duration_group", "question_category")
COLUMNS = {
    "video": ("video_path", "video_id"),
    **same("id", "question", "candidates", "correct_choice"),
}
OPTIONAL = same(*TAGS, "topic_category", "level")


def question(row: Row, folder: Path) -> Question:
    """One row; its answer is a place counted from 0."""
    choices = texts(row["candidates"])
    video = VideoPart(source=clips.video_file(row["video"], folder, "videos"))
    letter = multiple_choice.letter_at(row["correct_choice"], choices)
    return clips.question(row, video, choices, letter, tags=TAGS)


questions = reader(
    ("lvb_val.json", *split_files("validation", "val")), COLUMNS, question, optional=OPTIONAL
)

TASKS = (
    Task(
        name="longvideobench",
        title="LongVideoBench val",
        source="LongVideoBench, arXiv 2407.15754",
        layout="lvb_val.json of longvideobench/LongVideoBench (id, video_path, question, candidates, correct_choice,"
        " duration_group, question_category) and videos/; column names from general knowledge",
        prompts=clips.prompts(questions),
        budget=clips.BUDGET,
        sampling=clips.SHORT_ANSWER,
        extractors=clips.LETTERS,
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=TAGS),
        main="accuracy",
        chance=0.22,
        published=report_tables.row(report_tables.VIDEO, "64.0 66.7 60.7 56.0 54.2"),
        notes=(
            "subtitles are not given here; the benchmark's own code puts them between the frames",
            clips.FRAMES_NOTE,
        ),
    ),
)
