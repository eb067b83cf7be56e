# SPDX-License-Identifier: Apache-2.0
"""Questions on videos: where files lie in copies, the report's budget of frames, and how options are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling, VideoPart
from finesight.evals.core.task import Budget, Prompt
from finesight.evals.extract.mcq import ROBUST_LETTER, VIDEOMME_LETTER
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared.columns import Row
from finesight.evals.tasks.shared.questions import TOKEN_PIXELS, Piece, Question, Read, prompt

BUDGET = Budget(
    min_pixels=128 * TOKEN_PIXELS,
    max_pixels=768 * TOKEN_PIXELS,
    fps=2.0,
    max_frames=768,
    total_pixels=24576 * TOKEN_PIXELS,
)
"""Of the report: two frames per second, at most 768 frames and 24,576 tokens; pixels per frame as in VLMEvalKit."""
LETTERS = (ROBUST_LETTER, VIDEOMME_LETTER)
SHORT_ANSWER = Sampling(max_new_tokens=256)
FRAMES_NOTE = "32 frames without true times, as some harnesses give, cost several points"
SELECT = (
    "Select the best answer to the following multiple-choice question based on the video. Respond with only the letter"
    " ({letters}) of the correct option."
)
CAREFULLY = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of"
    " objects, and the action and pose of persons. Based on your observations, select the best option that accurately"
    " addresses the question.\n"
)
OFFICIAL_MVBENCH = "VideoChat2, the code published with MVBench"
_PLACES = ("", "videos", "video", "data")
_SUFFIXES = ("", ".mp4", ".mkv", ".webm", ".avi", ".mov")


def video_file(name: str, folder: Path, *below: str) -> Path:
    """Where a video lies: in the usual folders of a copy, or in those named; the first guess if it lies nowhere."""
    places = [folder / place for place in (*below, *_PLACES)]
    guesses = [place / f"{name}{suffix}" for place in places for suffix in _SUFFIXES]
    return next((path for path in guesses if path.is_file()), places[0] / name)


def question(
    row: Row,
    video: VideoPart,
    choices: Sequence[str],
    answer: str,
    *,
    tags: Sequence[str] = (),
) -> Question:
    """A question with options on one video, from a row with `id` and `question`.

    Args:
        row: the row.
        video: what is shown.
        choices: options, with their letters or without.
        answer: the right letter.
        tags: our names of the columns to break scores down by.
    """
    found = {name: str(row[name]) for name in tags if row.get(name) is not None}
    made = multiple_choice.question(
        row["id"], row["question"], choices, answer, [video], tags=found
    )
    return replace(made, cluster=str(video.source))


def ask_select(asked: Question) -> list[Piece]:
    """The video, then the wording that Video-MME made usual."""
    names = [letter for letter, _ in zip("ABCDEFGHIJ", asked.choices, strict=False)]
    letters = f"{', '.join(names[:-1])}, or {names[-1]}"
    wish = SELECT.format(letters=letters)
    options = multiple_choice.lettered(asked.choices)
    return [*asked.media, f"{wish}\nQuestion: {asked.text}\n{options}\nThe best answer is:"]


def ask_carefully(asked: Question) -> list[Piece]:
    """The video, then the wording of MVBench."""
    options = multiple_choice.lettered(asked.choices, "({letter}) {text}")
    words = f"Question: {asked.text}\nOptions:\n{options}\nOnly give the best option."
    return [*asked.media, f"{CAREFULLY}{words}"]


def prompts(read: Read) -> tuple[Prompt, ...]:
    """The wording of Video-MME first, that of lmms-eval beside it."""
    return (
        prompt("vlmevalkit", "Qwen's and VLMEvalKit's wording for videos", read, ask_select),
        prompt("lmms-eval", multiple_choice.LMMS, read, multiple_choice.ask_lmms),
    )


def seconds(value: Any) -> float | None:
    """A time of a row; None where there is none."""
    return None if value is None or value == "" else float(value)
