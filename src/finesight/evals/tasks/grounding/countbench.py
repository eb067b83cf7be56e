# SPDX-License-Identifier: Apache-2.0
"""CountBench: how many there are, from two to ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Scored, Task
from finesight.evals.extract.numbers import LAST_NUMBER
from finesight.evals.metrics.count import count_error, count_hit, count_within_one
from finesight.evals.tasks.shared.aggregates import average, joined, mean, part
from finesight.evals.tasks.shared.columns import Row, picture, reader, split_files
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

COLUMNS = {
    "image": ("image",),
    "question": ("question",),
    "number": ("number", "answer"),
}
OPTIONAL = {"id": ("id", "index", "image_url")}
DETECT = (
    "Please first output bbox coordinates and names of every item in this image in JSON format, and then answer how"
    " many items are there in the image. The question is: {question}"
)


def question(row: Row, folder: Path) -> Question:
    """One row; its caption names the number and is never shown."""
    number = int(row["number"])
    return Question(
        id=str(row.get("id", row.where)),
        text=row["question"],
        truth={"number": number},
        oracle=str(number),
        media=(picture(row["image"], folder),),
        tags={"number": str(number)},
    )


def ask_paper(asked: Question) -> list[Piece]:
    """Boxes first, then the number, as Qwen's cookbook asks."""
    return [*asked.media, DETECT.format(question=asked.text)]


def ask_plain(asked: Question) -> list[Piece]:
    """The number alone."""
    return [*asked.media, f"{asked.text}\nAnswer with just a number."]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Right, at most one off, and how far off; no number counts as far off as saying none."""
    number = truth["number"]
    return {
        "correct": float(count_hit(parsed, number)),
        "near": float(count_within_one(parsed, number)),
        "error": count_error(parsed, number),
    }


def mean_error(scored: Sequence[Scored]) -> dict[str, float]:
    """How far off counts are on average; an item that failed is as far off as one without a number."""
    errors = (part(one, "error", float(one.item.truth["number"])) for one in scored)
    return {"mean_absolute_error": mean(errors)}


questions = reader(split_files("test", "train"), COLUMNS, question, optional=OPTIONAL)

TASKS = (
    Task(
        name="countbench",
        title="CountBench",
        source="CountBench, arXiv 2302.12066",
        layout="the parquet files test-*.parquet of vikhyatk/CountBenchQA: image, question, number",
        prompts=(
            prompt(
                "paper",
                "the detect-then-count prompt of the report and cookbook",
                questions,
                ask_paper,
            ),
            prompt("plain", "the number alone, as lmms-eval asks", questions, ask_plain),
        ),
        sampling=Sampling(max_new_tokens=2048),
        extractors=(LAST_NUMBER,),
        score=score,
        aggregate=joined(average(by=("number",)), average("near", name="within_one"), mean_error),
        main="accuracy",
        chance=0.11,
        published={
            "Gemini-1.5-Pro": 85.5,
            "GPT-4o": 87.9,
            "Claude-3.5-Sonnet": 89.7,
            "Molmo-72B": 91.2,
            "InternVL2.5-78B": 72.1,
            "Qwen2.5-VL-72B": 93.6,
        },
        notes=(
            "one harness puts the caption, which names the number, into the prompt; its scores are too high",
            "the last number said counts; the cookbook's prompt is given the question, which names what to count",
        ),
    ),
)
