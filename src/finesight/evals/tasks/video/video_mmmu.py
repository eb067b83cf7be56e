# SPDX-License-Identifier: Apache-2.0
"""Video-MMMU: lectures, and questions that ask to see, to understand, and to use what was taught."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling, VideoPart
from finesight.evals.core.task import Scored, Task
from finesight.evals.extract.mcq import MMMU_OFFICIAL, ROBUST_LETTER
from finesight.evals.extract.mmmu_open import MMMU_OPEN, is_open_correct
from finesight.evals.judge.rules import OPEN_ANSWER
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, picture, reader, same, split_files, texts
from finesight.evals.tasks.shared.questions import Broken, Piece, Question, either, prompt
from finesight.evals.tasks.video import clips

TRACKS = ("Perception", "Comprehension", "Adaptation")
COLUMNS = same("id", "question", "answer")
OPTIONAL = same("options", "question_type", "image")
IGNORE = "Please ignore the Quiz question in last frame of the video."
APPLY = (
    "You should watch and learn the video content. Then apply what you learned to answer the following {kind} question."
    " The image for this question is at the end of the video."
)


def _make(track: str, row: Row, folder: Path) -> Question:
    """One row of a track; the question of the last track has a picture of its own."""
    identity, choices = str(row["id"]), texts(row.get("options"))
    is_open = row.get("question_type") == "open" or not choices
    answer = (
        str(row["answer"])
        if is_open
        else multiple_choice.letter_of(row["answer"], multiple_choice.unlettered(choices))
    )
    found = next(iter(sorted(folder.glob(f"**/{identity}.mp4"))), None)
    video = VideoPart(source=found or clips.video_file(identity, folder))
    shown = (picture(row["image"], folder),) if row.get("image") else ()
    return Question(
        id=f"{track}/{identity}",
        text=row["question"],
        truth={
            "choices": [] if is_open else list(multiple_choice.unlettered(choices)),
            "answer": answer,
            "golds": [answer],
        },
        oracle=f"The answer is {answer}" if is_open else answer,
        media=(video, *shown),
        choices=() if is_open else multiple_choice.unlettered(choices),
        cluster=identity,
        tags={
            "track": track,
            "discipline": identity.split("_")[-2] if "_" in identity else identity,
        },
    )


def questions(folder: Path) -> Iterator[Question | Broken]:
    """Reads the three tracks, each a folder of its own."""
    for track in TRACKS:
        files = [f"{track}/{file}" for file in split_files("test")]

        def make(row: Row, below: Path, track: str = track) -> Question | Sequence[Question]:
            return _make(track, row, below)

        yield from reader(files, COLUMNS, make, optional=OPTIONAL)(folder)


def ask(asked: Question) -> list[Piece]:
    """The benchmark's words; the picture of the last track comes after the video."""
    options = f"\n{multiple_choice.lettered(asked.choices)}" if asked.choices else ""
    if asked.tags["track"] != "Adaptation":
        return [*asked.media, f"{asked.text}{options}\n{IGNORE}"]
    kind = "multi-choice" if asked.choices else "open-ended"
    return [*asked.media, f"{APPLY.format(kind=kind)}\n{asked.text}{options}"]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """A letter is compared, a short answer searched for the gold one."""
    if truth["choices"]:
        return multiple_choice.is_letter(parsed, truth)
    return {"correct": float(parsed is not None and is_open_correct(parsed, truth["golds"]))}


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """The mean of the tracks is the score."""
    metrics = average(by=("track", "discipline"))(scored)
    return {"overall": metrics["accuracy/macro/track"], **metrics}


TASKS = (
    Task(
        name="video_mmmu",
        title="Video-MMMU",
        source="Video-MMMU, arXiv 2501.13826",
        layout="the folders Perception, Comprehension and Adaptation of lmms-lab/VideoMMMU, each with test-*.parquet"
        " (id, question, options, answer, question_type, image), and {id}.mp4 anywhere below; video names from general"
        " knowledge",
        prompts=(prompt("lmms-eval", multiple_choice.LMMS, questions, ask),),
        budget=clips.BUDGET,
        sampling=Sampling(max_new_tokens=1024),
        extractors=(
            either(
                "robust-or-open",
                f"2+{ROBUST_LETTER.version}",
                lambda of: ROBUST_LETTER if of["choices"] else MMMU_OPEN,
            ),
            either("mmmu-official", "2", lambda of: MMMU_OFFICIAL if of["choices"] else MMMU_OPEN),
        ),
        score=score,
        judge=OPEN_ANSWER,
        aggregate=aggregate,
        main="overall",
        chance=0.13,
        published=report_tables.row(report_tables.VIDEO, "53.9 61.2 60.2 47.4 -"),
        notes=(
            "overall is the mean of three tracks of 300 questions",
            "what a model learned from a video, (after - before) / (100 - before), needs a second run without it",
        ),
    ),
)
