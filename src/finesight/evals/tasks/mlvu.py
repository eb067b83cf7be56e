# SPDX-License-Identifier: Apache-2.0
"""MLVU: seven tasks with options on videos of three minutes to two hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.judge_rules import CHOICE
from finesight.evals.task import Task
from finesight.evals.tasks import _mcq, _published, _video
from finesight.evals.tasks._common import Broken, Question, prompt
from finesight.evals.tasks._rows import Row, find, reader, same, texts
from finesight.evals.tasks._sums import average

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
            video = VideoPart(source=_video.video_file(row["video"], root, f"video/{stem}", stem))
            choices = texts(row["candidates"])
            letter = _mcq.letter_of_text(row["answer"], choices)
            made = _video.question(row, video, choices, letter)
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
            prompt("official", _video.OFFICIAL_MVBENCH, questions, _video.ask_carefully),
            prompt("lmms-eval", _mcq.LMMS, questions, _mcq.ask_lmms),
        ),
        budget=_video.BUDGET,
        sampling=_video.SHORT_ANSWER,
        extractors=_video.LETTERS,
        score=_mcq.is_letter,
        judge=CHOICE,
        aggregate=average(by=("task",)),
        main="accuracy/macro/task",
        chance=0.25,
        published=_published.row(_published.VIDEO, "- 64.6 74.6 70.2 68.2"),
        notes=(
            "M-Avg is the mean of the seven tasks; the two tasks of free text need a judge and are left out",
        ),
    ),
)
