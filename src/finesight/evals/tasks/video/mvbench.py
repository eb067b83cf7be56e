# SPDX-License-Identifier: Apache-2.0
"""MVBench: twenty tasks of watching, each from another collection of short videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, find, reader, same, texts
from finesight.evals.tasks.shared.questions import Broken, Question, prompt
from finesight.evals.tasks.video import clips

FOLDERS = {
    "action_sequence": "star/Charades_v1_480",
    "action_prediction": "star/Charades_v1_480",
    "action_antonym": "ssv2_video",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_v1_480",
    "object_shuffle": "perception/videos",
    "moving_direction": "clevrer/video_validation",
    "action_localization": "sta/sta_video",
    "scene_transition": "scene_qa/video",
    "action_count": "perception/videos",
    "moving_count": "clevrer/video_validation",
    "moving_attribute": "clevrer/video_validation",
    "state_change": "perception/videos",
    "fine_grained_pose": "nturgbd",
    "character_order": "perception/videos",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "counterfactual_inference": "clevrer/video_validation",
}
FRAMES_PER_SECOND = 3.0
"""Of the one task that comes as pictures instead of videos."""


def questions(folder: Path) -> Iterator[Question | Broken]:
    """Reads one file per task; tasks whose file is not there are left out."""
    find(folder, "json/*.json", "*.json")
    for task, below in FOLDERS.items():
        if not any((folder / place / f"{task}.json").is_file() for place in ("json", "")):
            continue

        def make(row: Row, root: Path, task: str = task, below: str = below) -> Question:
            choices = texts(row["candidates"])
            letter = multiple_choice.letter_of_text(row["answer"], choices)
            made = clips.question(row, clip(row, root, below), choices, letter)
            number = row.where.rpartition(" ")[2]
            return replace(made, id=f"{task}/{number}", tags={"task": task})

        columns = {"id": ("video",), **same("video", "question", "candidates", "answer")}
        files = (f"json/{task}.json", f"{task}.json")
        yield from reader(files, columns, make, optional=same("start", "end"))(folder)


def clip(row: Row, folder: Path, below: str) -> VideoPart:
    """The stretch of the video that is asked about; the whole video where the row gives none.

    Raises:
        EvalError: the video comes as frames, and none is of that stretch.
    """
    start, end = clips.seconds(row.get("start")), clips.seconds(row.get("end"))
    places = (folder / "video" / below / row["video"], folder / below / row["video"])
    frames = next((place for place in places if place.is_dir()), None)
    if frames is None:
        path = clips.video_file(row["video"], folder, f"video/{below}", below)
        return VideoPart(source=path, start_seconds=start, end_seconds=end)
    shown = sorted(frames.glob("*.jpg"))
    first = int((start or 0.0) * FRAMES_PER_SECOND)
    last = len(shown) if end is None else int(end * FRAMES_PER_SECOND) + 1
    if not shown[first:last]:
        raise EvalError(f"{frames} has {len(shown)} frames, none from {start} to {end} seconds")
    return VideoPart(source=tuple(shown[first:last]), sample_fps=FRAMES_PER_SECOND)


TASKS = (
    Task(
        name="mvbench",
        title="MVBench",
        source="MVBench, arXiv 2311.17005",
        layout="json/{task}.json of OpenGVLab/MVBench, lists of video, question, candidates, answer, start, end, and"
        " the unpacked collections below video/, such as video/star/Charades_v1_480 (folder names from general"
        " knowledge)",
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
        chance=0.27,
        published=report_tables.row(report_tables.VIDEO, "60.5 64.6 70.4 69.6 67.0"),
        notes=("the mean of twenty tasks of 200 questions each",),
    ),
)
