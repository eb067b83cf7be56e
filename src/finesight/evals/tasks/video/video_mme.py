# SPDX-License-Identifier: Apache-2.0
"""Video-MME with subtitles before the question; Video-MME without them is in `video_choice`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.errors import MediaError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.rows import broken_item
from finesight.evals.core.task import Budget, Item
from finesight.evals.tasks.choice.multiple_choice import choice
from finesight.evals.tasks.shared.build import benchmark_rows
from finesight.evals.tasks.shared.columns import Row
from finesight.evals.tasks.shared.questions import (
    Piece,
    Question,
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


@dataclass(frozen=True, slots=True)
class SubtitleWording:
    """A way to ask with subtitles before the question.

    Attributes:
        name: of the prompt.
        source: where its words come from.
        tell: chooses the subtitles, by the budget of frames.
    """

    name: str
    source: str
    tell: Callable[[Question, Budget], Question]

    def item(self, question: Question, budget: Budget) -> Item:
        """The question as it is asked within a budget; a broken one where its video cannot be opened."""
        try:
            told = self.tell(question, budget)
        except MediaError as error:
            return broken_item(f"question {question.id}", f"its subtitles: {error.message}")
        return as_item(told, conversation(ask_subtitled(told), budget))


def ask_subtitled(asked: Question) -> list[Piece]:
    """Video, subtitles, question."""
    video, words = ask_select(replace(asked, hint=""))
    if not asked.hint:
        return [video, words]
    told = str(words).replace("based on the video.", "based on the video and the subtitles.")
    return [video, f"{LISTED}{asked.hint}\n{told}"]


AT_FRAMES = "Qwen's and VLMEvalKit's wording; subtitles of the frames that are shown"


TASKS: Mapping[str, Build] = {
    "video_mme_subtitles": choice(
        benchmark_rows(subtitled),
        ways=(
            SubtitleWording("vlmevalkit", AT_FRAMES, told_at_frames),
            SubtitleWording("all-subtitles", "the same wording; all subtitles", told_all),
        ),
        extractors=LETTERS,
    )
}
