# SPDX-License-Identifier: Apache-2.0
"""Video-MME with subtitles: what is said in a video is told before the question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.errors import MediaError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.rows import broken_item
from finesight.evals.core.task import Budget, Item, Prompt, Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice.multiple_choice import is_letter
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, row_reader
from finesight.evals.tasks.shared.questions import (
    Broken,
    Piece,
    Question,
    Read,
    as_item,
    conversation,
    within,
)
from finesight.evals.tasks.video import srt
from finesight.evals.tasks.video.video_choice import LETTERS, ask_select, read_row

LISTED = "This video's subtitles are listed below:\n"


def subtitled(row: Row, folder: Path, benchmark: Benchmark) -> Question:
    """One row with the subtitle file of its video for a hint, if there is one."""
    path = folder / "subtitle" / f"{row['video']}.srt"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return replace(read_row(row, folder, benchmark), hint=text)


def told_at_frames(asked: Question, budget: Budget) -> Question:
    """A question with what is said while the frames are seen that this budget gives.

    Raises:
        MediaError: the video cannot be opened, so that nobody knows which frames that would be.
    """
    (video,) = asked.media
    subtitles = srt.read_srt(asked.hint)
    shown = within(video, budget)
    seconds = srt.frame_seconds(shown) if subtitles and isinstance(shown, VideoPart) else ()
    return _with_lines(asked, srt.seen_at(subtitles, seconds))


def told_all(asked: Question, budget: Budget) -> Question:
    """A question with all that is said in its video."""
    del budget
    return _with_lines(asked, srt.read_srt(asked.hint))


def _with_lines(asked: Question, subtitles: Sequence[srt.Subtitle]) -> Question:
    return replace(asked, hint="\n".join(srt.lines_of(subtitles)))


def subtitled_prompt(
    name: str, source: str, read: Read, tell: Callable[[Question, Budget], Question]
) -> Prompt:
    """A `Prompt` whose questions come with subtitles, chosen by the budget of frames."""

    def items(folder: Path, budget: Budget) -> Iterator[Item]:
        for asked in read(folder):
            if isinstance(asked, Broken):
                yield broken_item(asked.where, asked.reason)
                continue
            try:
                told = tell(asked, budget)
            except MediaError as error:
                yield broken_item(f"question {asked.id}", f"its subtitles: {error.message}")
                continue
            yield as_item(told, conversation(ask_subtitled(told), budget))

    return Prompt(name, source, items)


def ask_subtitled(asked: Question) -> list[Piece]:
    """Video, subtitles, question."""
    video, words = ask_select(replace(asked, hint=""))
    if not asked.hint:
        return [video, words]
    told = str(words).replace("based on the video.", "based on the video and the subtitles.")
    return [video, f"{LISTED}{asked.hint}\n{told}"]


AT_FRAMES = "Qwen's and VLMEvalKit's wording; subtitles of the frames that are shown"


def build(benchmark: Benchmark) -> Task:
    """Video-MME with subtitles; without them it is one of the benchmarks of `video_choice`."""
    read = row_reader(benchmark, lambda row, folder: subtitled(row, folder, benchmark))
    return benchmark.task(
        (
            subtitled_prompt("vlmevalkit", AT_FRAMES, read, told_at_frames),
            subtitled_prompt("all-subtitles", "the same wording; all subtitles", read, told_all),
        ),
        LETTERS,
        is_letter,
        average(by=benchmark.by),
        judge=CHOICE,
    )


TASKS: Mapping[str, Build] = {"video_mme_subtitles": build}
