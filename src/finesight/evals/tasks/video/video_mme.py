# SPDX-License-Identifier: Apache-2.0
"""Video-MME with subtitles; Video-MME without subtitles is in `video_choice`."""

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
from finesight.evals.tasks.shared.questions import Question, Way, as_item, conversation, within
from finesight.evals.tasks.video import srt
from finesight.evals.tasks.video.video_choice import LETTERS, ask_select, read_row

LISTED = "This video's subtitles are listed below:\n"


def _subtitled(row: Row, folder: Path, benchmark: Benchmark) -> Question:
    """One row, with the content of its subtitle file, if any, as hint."""
    path = folder / "subtitle" / f"{row['video']}.srt"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return replace(read_row(row, folder, benchmark), hint=text)


def _at_frames(asked: Question, budget: Budget) -> list[srt.Subtitle]:
    """Subtitles at the times of the frames that are sampled within a budget."""
    (video,) = asked.media
    subtitles = srt.read_srt(asked.hint)
    shown = within(video, budget)
    seconds = srt.frame_seconds(shown) if subtitles and isinstance(shown, VideoPart) else ()
    return srt.seen_at(subtitles, seconds)


def _all_subtitles(asked: Question, budget: Budget) -> list[srt.Subtitle]:
    del budget
    return srt.read_srt(asked.hint)


@dataclass(frozen=True, slots=True)
class SubtitleWording(Way):
    """A prompt with subtitles before the question, for questions whose hint is an SRT file.

    Attributes:
        select: selects subtitles, given the budget of frames.
    """

    select: Callable[[Question, Budget], Sequence[srt.Subtitle]]

    def item(self, question: Question, budget: Budget) -> Item:
        """See `Way.item`; a broken item if the video cannot be opened."""
        try:
            subtitles = "\n".join(srt.lines_of(self.select(question, budget)))
        except MediaError as error:
            return broken_item(f"question {question.id}", f"its subtitles: {error.message}")
        video, words = ask_select(question)
        if subtitles:
            words = str(words).replace(
                "based on the video.", "based on the video and the subtitles."
            )
            words = f"{LISTED}{subtitles}\n{words}"
        return as_item(question, conversation([video, words], budget))


AT_FRAMES = "Qwen's and VLMEvalKit's wording; subtitles of the frames that are shown"
TASKS: Mapping[str, Build] = {
    "video_mme_subtitles": choice(
        benchmark_rows(_subtitled),
        ways=(
            SubtitleWording("vlmevalkit", AT_FRAMES, _at_frames),
            SubtitleWording("all-subtitles", "the same wording; all subtitles", _all_subtitles),
        ),
        extractors=LETTERS,
    )
}
