# SPDX-License-Identifier: Apache-2.0
"""Multiple choice on videos: EgoSchema, LongVideoBench, LVBench and Video-MME.

The modules of other benchmarks on videos use `video_file`, `question` and the prompts of this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.extract.mcq import VIDEOMME_LETTER
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.choice.multiple_choice import Letter, choice, letter_at, letter_or_place
from finesight.evals.tasks.choice.written_options import split_lines
from finesight.evals.tasks.shared.build import benchmark_rows
from finesight.evals.tasks.shared.columns import Row, tags_of, texts
from finesight.evals.tasks.shared.questions import Piece, Question, Wording

LETTERS = (ROBUST_LETTER, VIDEOMME_LETTER)
SELECT = (
    "Select the best answer to the following multiple-choice question based on the video. Respond with only the letter"
    " ({letters}) of the correct option."
)
_PLACES = ("", "videos", "video", "data")
_SUFFIXES = ("", ".mp4", ".mkv", ".webm", ".avi", ".mov")


def video_file(name: str, folder: Path, *below: str) -> Path:
    """Path of a video in the given or the usual folders of a copy; the first candidate if none exists."""
    places = [folder / place for place in (*below, *_PLACES)]
    guesses = [place / f"{name}{suffix}" for place in places for suffix in _SUFFIXES]
    return next((path for path in guesses if path.is_file()), places[0] / name)


def read_row(
    row: Row, folder: Path, benchmark: Benchmark, *, letter: Letter | None = None
) -> Question:
    """A row with `id`, `video`, `question`, `options` and `answer`.

    `letter` finds the letter of the answer; None for copies that contain the letter.
    """
    video = VideoPart(source=video_file(row["video"], folder, *benchmark.folders))
    return question(row, video, benchmark, letter=letter)


def question(
    row: Row, video: VideoPart, benchmark: Benchmark, *, letter: Letter | None = None
) -> Question:
    """A row whose video has been found; see `read_row`."""
    choices = texts(row["options"])
    return multiple_choice.question(
        row["id"],
        row["question"],
        choices,
        letter(row["answer"], choices) if letter else row["answer"],
        [video],
        tags={name: str(row[name]) for name in benchmark.by if row.get(name) is not None},
        cluster=str(video.source),
    )


def _read_lvbench(row: Row, folder: Path, benchmark: Benchmark) -> Question:
    """One row of LVBench; several kinds are joined to one tag."""
    text, choices = split_lines(row["question"])
    video = VideoPart(source=video_file(row["video"], folder, *benchmark.folders))
    kinds = "+".join(sorted(texts(row.get("kinds")))) or "none"
    return multiple_choice.question(
        row["id"],
        text,
        choices,
        row["answer"],
        [video],
        tags={"kind": kinds, **tags_of(row, ("type",))},
        cluster=str(row["video"]),
    )


def ask_select(asked: Question) -> list[Piece]:
    """The video, then the prompt of Video-MME."""
    names = [letter for letter, _ in zip("ABCDEFGHIJ", asked.choices, strict=False)]
    letters = f"{', '.join(names[:-1])}, or {names[-1]}"
    request = SELECT.format(letters=letters)
    options = multiple_choice.lettered(asked.choices)
    return [*asked.media, f"{request}\nQuestion: {asked.text}\n{options}\nThe best answer is:"]


WORDINGS = (
    Wording("vlmevalkit", "Qwen's and VLMEvalKit's wording for videos", ask_select),
    Wording("lmms-eval", multiple_choice.LMMS, multiple_choice.ask_lmms),
)
"""The prompt of Video-MME, the default, and that of lmms-eval."""
choice_on_video = partial(choice, ways=WORDINGS, extractors=LETTERS)

TASKS: Mapping[str, Build] = {
    "egoschema": choice_on_video(benchmark_rows(partial(read_row, letter=letter_or_place))),
    "longvideobench": choice_on_video(benchmark_rows(partial(read_row, letter=letter_at))),
    "lvbench": choice_on_video(benchmark_rows(_read_lvbench)),
    "video_mme": choice_on_video(benchmark_rows(read_row)),
}
