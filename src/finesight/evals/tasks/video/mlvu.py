# SPDX-License-Identifier: Apache-2.0
"""MLVU: seven tasks with options on videos of three minutes to two hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.core.task import Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, find, reader, same, texts
from finesight.evals.tasks.shared.questions import Broken, Question, prompt
from finesight.evals.tasks.video import clips

STEMS = (
    *("1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco"),
    "7_topic_reasoning",
)


def questions(folder: Path) -> Iterator[Question | Broken]:
    """Reads one file per task; tasks whose file is not there are left out."""
    find(folder, "json/*.json", "*.json")
    for stem in STEMS:
        if not any((folder / place / f"{stem}.json").is_file() for place in ("json", "")):
            continue

        def make(row: Row, root: Path, stem: str = stem) -> Question:
            video = VideoPart(source=clips.video_file(row["video"], root, f"video/{stem}", stem))
            choices = texts(row["candidates"])
            letter = multiple_choice.letter_of_text(row["answer"], choices)
            made = clips.question(row, video, choices, letter)
            number = row.where.rpartition(" ")[2]
            return replace(made, id=f"{stem}/{number}", tags={"task": stem.partition("_")[2]})

        columns = {"id": ("video",), **same("video", "question", "candidates", "answer")}
        yield from reader((f"json/{stem}.json", f"{stem}.json"), columns, make)(folder)


TASKS = (
    Task(
        name="mlvu",
        title="MLVU dev, questions with options",
        source="MLVU, arXiv 2406.04264",
        layout="json/1_plotQA.json to json/7_topic_reasoning.json of MLVU/MVLU, lists of video, question, candidates,"
        " answer (the text of an option), and video/1_plotQA/ and so on; names from general knowledge",
        prompts=(
            prompt("official", clips.OFFICIAL_MVBENCH, questions, clips.ask_carefully),
            prompt("lmms-eval", multiple_choice.LMMS, questions, multiple_choice.ask_lmms),
        ),
        budget=clips.BUDGET,
        sampling=clips.SHORT_ANSWER,
        extractors=clips.LETTERS,
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("task",)),
        main="accuracy/macro/task",
        chance=0.25,
        published=report_tables.row(report_tables.VIDEO, "- 64.6 74.6 70.2 68.2"),
        notes=(
            "M-Avg is the mean of the seven tasks; the two tasks of free text need a judge and are left out",
        ),
    ),
)
