# SPDX-License-Identifier: Apache-2.0
"""LongVideoBench: questions that refer to a moment of a video of up to an hour."""

from __future__ import annotations

from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.judge_rules import CHOICE
from finesight.evals.task import Task
from finesight.evals.tasks import _mcq, _published, _video
from finesight.evals.tasks._common import Question
from finesight.evals.tasks._rows import Row, reader, same, split_files, texts
from finesight.evals.tasks._sums import average

TAGS = ("duration_group", "question_category")
COLUMNS = {
    "video": ("video_path", "video_id"),
    **same("id", "question", "candidates", "correct_choice"),
}
OPTIONAL = same(*TAGS, "topic_category", "level")


def question(row: Row, folder: Path) -> Question:
    """One row; its answer is a place counted from 0."""
    choices = texts(row["candidates"])
    video = VideoPart(source=_video.video_file(row["video"], folder, "videos"))
    letter = _mcq.letter_at(row["correct_choice"], choices)
    return _video.question(row, video, choices, letter, tags=TAGS)


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
        prompts=_video.prompts(questions),
        budget=_video.BUDGET,
        sampling=_video.SHORT_ANSWER,
        extractors=_video.LETTERS,
        score=_mcq.is_letter,
        judge=CHOICE,
        aggregate=average(by=TAGS),
        main="accuracy",
        chance=0.22,
        published=_published.row(_published.VIDEO, "64.0 66.7 60.7 56.0 54.2"),
        notes=(
            "subtitles are not given here; the benchmark's own code puts them between the frames",
            _video.FRAMES_NOTE,
        ),
    ),
)
