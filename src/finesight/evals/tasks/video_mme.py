# SPDX-License-Identifier: Apache-2.0
"""Video-MME: 900 videos of eleven seconds to an hour, three questions each, with and without subtitles."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.judge_rules import CHOICE
from finesight.evals.task import Prompt, Task
from finesight.evals.tasks import _mcq, _published, _video
from finesight.evals.tasks._common import Piece, Question, prompt
from finesight.evals.tasks._rows import Row, reader, same, split_files, texts
from finesight.evals.tasks._sums import average

TAGS = ("duration", "domain", "task_type")
COLUMNS = {"id": ("question_id",), **same("videoID", "question", "options", "answer", "duration")}
OPTIONAL = same("domain", "task_type", "sub_category")
LISTED = "This video's subtitles are listed below:\n"
_TIMES = re.compile(r"\d+:\d\d:\d\d[,.]\d+\s*-->")
_MARKUP = re.compile(r"<[^>]*>")


def question(row: Row, folder: Path) -> Question:
    """One row."""
    video = VideoPart(source=_video.video_file(row["videoID"], folder, "data"))
    return _video.question(row, video, texts(row["options"]), row["answer"], tags=TAGS)


def subtitled(row: Row, folder: Path) -> Question:
    """One row with the words spoken in its video, if they are there."""
    path = folder / "subtitle" / f"{row['videoID']}.srt"
    lines = (
        subtitle_lines(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else []
    )
    return replace(question(row, folder), hint="\n".join(lines))


def subtitle_lines(text: str) -> list[str]:
    """What is said in an SRT file, in order, one line per entry; an entry said twice in a row is said once."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.replace("\r", "")):
        rows = block.strip().split("\n")
        at = next((number for number, row in enumerate(rows) if _TIMES.match(row)), None)
        said = "" if at is None else _MARKUP.sub("", " ".join(rows[at + 1 :])).strip()
        if said and said not in lines[-1:]:
            lines.append(said)
    return lines


def ask_subtitled(asked: Question) -> list[Piece]:
    """Video, subtitles, question."""
    video, words = _video.ask_select(replace(asked, hint=""))
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
        budget=_video.BUDGET,
        sampling=_video.SHORT_ANSWER,
        extractors=_video.LETTERS,
        score=_mcq.is_letter,
        judge=CHOICE,
        aggregate=average(by=TAGS),
        main="accuracy",
        chance=0.25,
        published=_published.row(_published.VIDEO, published),
        notes=(note, _video.FRAMES_NOTE),
    )


FILES = (*split_files("test"), "videomme/test-*.parquet")
PLAIN = reader(FILES, COLUMNS, question, optional=OPTIONAL)
SUBTITLED = reader(FILES, COLUMNS, subtitled, optional=OPTIONAL)

TASKS = (
    _task(
        "video_mme",
        "Video-MME without subtitles",
        _video.prompts(PLAIN),
        "75.0 71.9 73.3 65.1 61.5",
        "micro accuracy over 2,700 questions; errors are clustered by video",
    ),
    _task(
        "video_mme_subtitles",
        "Video-MME with subtitles",
        (prompt("vlmevalkit", "Qwen's and VLMEvalKit's wording", SUBTITLED, ask_subtitled),),
        "81.3 77.2 79.1 71.6 67.6",
        "all subtitles are given; other harnesses give those that overlap a sampled frame, which at two frames per"
        " second are nearly all",
    ),
)
