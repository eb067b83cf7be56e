# SPDX-License-Identifier: Apache-2.0
"""TempCompass, the fourth form: a caption is right if a question about the video can be answered from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling, VideoPart
from finesight.evals.core.task import Answered, Extractor, Task
from finesight.evals.judge.rules import CAPTION
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, reader, same, split_files
from finesight.evals.tasks.shared.questions import Piece, Question, prompt
from finesight.evals.tasks.video import clips
from finesight.evals.tasks.video.tempcompass import named_label, options

COLUMNS = {"video": ("video_id", "video"), **same("question", "mc_question", "mc_answer")}
OPTIONAL = {"aspect": ("dim",)}
FILES = (*(f"captioning/{file}" for file in split_files("test")), "captioning.json")


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
        media=(VideoPart(source=clips.video_file(str(row["video"]), folder, "videos")),),
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


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The label of the right option."""
    return {"correct": float(parsed is not None and parsed == truth["answer"])}


TASKS = (
    Task(
        name="tempcompass_captions",
        title="TempCompass, captions",
        source="TempCompass, arXiv 2403.00476",
        layout="the folder captioning of lmms-lab/TempCompass with test-*.parquet (video_id, question, mc_question,"
        " mc_answer, dim), and videos/{video_id}.mp4; column names from general knowledge",
        prompts=(
            prompt(
                "official",
                "the code published with TempCompass",
                reader(FILES, COLUMNS, question, optional=OPTIONAL),
                ask,
            ),
        ),
        budget=clips.BUDGET,
        sampling=Sampling(max_new_tokens=1024),
        extractors=(Extractor("option-in-words", "3", read_named),),
        score=score,
        judge=CAPTION,
        aggregate=average(by=("aspect",)),
        main="accuracy",
        notes=(
            "the benchmark is made for a judge, who answers the question from the caption; by rule only a caption that"
            " says the right option word for word counts, which is far too strict",
            "numbers of this form alone are not in the report: it prints the mean of this one, judged, and of the three"
            " of the task tempcompass",
        ),
    ),
)
