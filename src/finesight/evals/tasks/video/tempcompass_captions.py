# SPDX-License-Identifier: Apache-2.0
"""TempCompass, the fourth form: a caption is right if a question about the video can be answered from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from finesight.conversation import VideoPart
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Answered, Extractor, Task
from finesight.evals.judge.rules import CAPTION
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, row_reader
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, prompts
from finesight.evals.tasks.video.tempcompass import OFFICIAL, named_label, options, score
from finesight.evals.tasks.video.video_choice import video_file


def question(row: Row, folder: Path) -> Question:
    """One row: what to write about, and the question that is put to the caption."""
    answer = str(row["mc_answer"]).strip()
    listed = options(row["mc_question"], answer)
    right = next(each for each in listed if answer.startswith(each[0]))
    return Question(
        id=row.where.rpartition("/")[2],
        text=row["question"],
        truth={"options": listed, "answer": right[0], "asked_of_caption": row["mc_question"]},
        oracle=right[1],
        media=(VideoPart(source=video_file(str(row["video"]), folder, "videos")),),
        cluster=str(row["video"]),
        tags={"aspect": row["aspect"]} if row.get("aspect") else {},
    )


def ask(asked: Question) -> list[Piece]:
    """Video, then what to write about."""
    return [*asked.media, asked.text]


def read_named(answered: Answered) -> str | None:
    """The label of the one option whose words stand in the caption as they are, or else of the one that it names."""
    text, options = answered.text.lower(), answered.truth["options"]
    said = [str(label) for label, words in options if words and words.lower().rstrip(".") in text]
    if said:
        return said[0] if len(said) == 1 else None
    return named_label(answered.text, options)


def build(benchmark: Benchmark) -> Task:
    """The form whose answers are captions, which a judge reads."""
    return benchmark.task(
        prompts(row_reader(benchmark, question), Wording("official", OFFICIAL, ask)),
        (Extractor("option-in-words", "3", read_named),),
        score,
        average(by=benchmark.by),
        judge=CAPTION,
    )


TASKS: Mapping[str, Build] = {"tempcompass_captions": build}
