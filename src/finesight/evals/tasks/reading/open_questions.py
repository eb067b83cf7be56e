# SPDX-License-Identifier: Apache-2.0
"""Open questions on one picture: how they are asked, and what their rows have in common.

The truth of such a question is `golds`, right answers of which any will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.evals.core.task import Prompt
from finesight.evals.tasks.shared.columns import Row, picture, texts
from finesight.evals.tasks.shared.questions import Ask, Piece, Question, Read, prompt

SHORT = "Please try to answer the question with short words or phrases if possible."
ONE_PHRASE = "Answer the question using a single word or phrase."
ONE_WORD = "Answer the question with a single word."
VLMEVALKIT = "VLMEvalKit's custom prompt of Qwen2-VL"

COLUMNS = {
    "question": ("question", "query"),
    "golds": ("answers", "answer", "label"),
    "image": ("image",),
}
"""A question, its answers and its picture, under the names of the usual copies."""


def ending(words: str) -> Ask:
    """The picture, the question, and these words on a line of their own."""

    def ask(question: Question) -> list[Piece]:
        return [*question.media, f"{question.text}\n{words}" if words else question.text]

    return ask


def prompts(read: Read, lmms: str, *, qwen: str = SHORT) -> tuple[Prompt, ...]:
    """Qwen's wish for a short answer first, that of lmms-eval beside it."""
    return (
        prompt("vlmevalkit", VLMEVALKIT, read, ending(qwen)),
        prompt("lmms-eval", "lmms-eval", read, ending(lmms)),
    )


def question(
    row: Row, folder: Path, identity: str, *, tags: Mapping[str, str] | None = None
) -> Question:
    """A row of `COLUMNS`."""
    golds = texts(row["golds"])
    cluster = row.get("picture_id")
    return Question(
        id=identity,
        text=str(row["question"]),
        truth={"golds": list(golds)},
        oracle=golds[0],
        media=(picture(row["image"], folder, folder / "images"),),
        cluster=None if cluster is None else str(cluster),
        tags=tags or {},
    )


def best(
    metric: Callable[[str, str], float | bool],
) -> Callable[[Any, Mapping[str, Any]], dict[str, float]]:
    """The best value of a metric over the gold answers, as part `score`; no answer is 0."""

    def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
        if parsed is None:
            return {"score": 0.0}
        golds: Sequence[str] = truth["golds"]
        return {"score": max(float(metric(str(parsed), gold)) for gold in golds)}

    return score


def over_all(
    metric: Callable[[str, Sequence[str]], float | bool],
) -> Callable[[Any, Mapping[str, Any]], dict[str, float]]:
    """The value of a metric that knows all gold answers, as part `score`; no answer is 0."""

    def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
        answered = parsed is not None and str(parsed).strip()
        return {"score": float(metric(str(parsed), truth["golds"])) if answered else 0.0}

    return score
