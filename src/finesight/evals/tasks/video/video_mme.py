# SPDX-License-Identifier: Apache-2.0
"""Video-MME: 900 videos of eleven seconds to an hour, three questions each, with and without subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.errors import MediaError
from finesight.evals.core.rows import broken_item
from finesight.evals.core.task import Budget, Item, Prompt, Task
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, reader, same, split_files, texts
from finesight.evals.tasks.shared.questions import (
    Broken,
    Piece,
    Question,
    as_item,
    conversation,
    within,
)
from finesight.evals.tasks.video import clips, srt

TAGS = ("duration", "domain", "task_type")
COLUMNS = {"id": ("question_id",), **same("videoID", "question", "options", "answer", "duration")}
OPTIONAL = same("domain", "task_type", "sub_category")
LISTED = "This video's subtitles are listed below:\n"


def question(row: Row, folder: Path) -> Question:
    """One row."""
    video = VideoPart(source=clips.video_file(row["videoID"], folder, "data"))
    return clips.question(row, video, texts(row["options"]), row["answer"], tags=TAGS)


def subtitled(row: Row, folder: Path) -> Question:
    """One row with the subtitle file of its video for a hint, if there is one."""
    path = folder / "subtitle" / f"{row['videoID']}.srt"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return replace(question(row, folder), hint=text)


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
    name: str, source: str, tell: Callable[[Question, Budget], Question]
) -> Prompt:
    """A `Prompt` whose questions come with subtitles, chosen by the budget of frames."""

    def items(folder: Path, budget: Budget) -> Iterator[Item]:
        for asked in SUBTITLED(folder):
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
    video, words = clips.ask_select(replace(asked, hint=""))
    if not asked.hint:
        return [video, words]
    told = str(words).replace("based on the video.", "based on the video and the subtitles.")
    return [video, f"{LISTED}{asked.hint}\n{told}"]


def _task(name: str, title: str, prompts: tuple[Prompt, ...], published: str, note: str) -> Task:
    return Task(
        name=name,
        title=title,
        source="Video-MME, arXiv 2405.21075",
        layout="the parquet files test-*.parquet of lmms-lab/Video-MME (videoID, duration, domain, task_type,"
        " question_id, question, options, answer), data/{videoID}.mp4 and subtitle/{videoID}.srt beside them",
        prompts=prompts,
        budget=clips.BUDGET,
        sampling=clips.SHORT_ANSWER,
        extractors=clips.LETTERS,
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=TAGS),
        main="accuracy",
        chance=0.25,
        published=report_tables.row(report_tables.VIDEO, published),
        notes=(note, clips.FRAMES_NOTE),
    )


FILES = (*split_files("test"), "videomme/test-*.parquet")
PLAIN = reader(FILES, COLUMNS, question, optional=OPTIONAL)
SUBTITLED = reader(FILES, COLUMNS, subtitled, optional=OPTIONAL)

TASKS = (
    _task(
        "video_mme",
        "Video-MME without subtitles",
        clips.prompts(PLAIN),
        "75.0 71.9 73.3 65.1 61.5",
        "micro accuracy over 2,700 questions; errors are clustered by video",
    ),
    _task(
        "video_mme_subtitles",
        "Video-MME with subtitles",
        (
            subtitled_prompt(
                "vlmevalkit",
                "Qwen's and VLMEvalKit's wording; subtitles of the frames that are shown",
                told_at_frames,
            ),
            subtitled_prompt("all-subtitles", "the same wording; all subtitles", told_all),
        ),
        "81.3 77.2 79.1 71.6 67.6",
        "subtitles are those on the picture at the time of a shown frame, each once; VLMEvalKit repeats an entry for"
        " every frame it covers. Frames are found in the video itself: without it, ask with all-subtitles",
    ),
)
