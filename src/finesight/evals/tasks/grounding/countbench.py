# SPDX-License-Identifier: Apache-2.0
"""CountBench: count two to ten objects in a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Scored
from finesight.evals.extract.numbers import LAST_NUMBER
from finesight.evals.metrics.count import count_error, count_hit, count_within_one
from finesight.evals.tasks.shared.aggregates import mean, means, part
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture
from finesight.evals.tasks.shared.questions import Question, Wording, template

DETECT = (
    "Please first output bbox coordinates and names of every item in this image in JSON format, and then answer how"
    " many items are there in the image. The question is: {text}"
)


def _question(row: Row, folder: Path) -> Question:
    """One row; the caption contains the number and is not used."""
    number = int(row["number"])
    return Question(
        id=str(row.get("id", row.where)),
        text=row["question"],
        truth={"number": number},
        oracle=str(number),
        media=(picture(row["image"], folder),),
        tags={"number": str(number)},
    )


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Correct, at most one off, and the absolute error; an answer without a number counts as 0."""
    number = truth["number"]
    return {
        "correct": float(count_hit(parsed, number)),
        "near": float(count_within_one(parsed, number)),
        "error": count_error(parsed, number),
    }


def _mean_error(scored: Sequence[Scored]) -> dict[str, float]:
    """Mean absolute error; a failed item counts as an answer of 0."""
    errors = (part(one, "error", float(one.item.truth["number"])) for one in scored)
    return {"mean_absolute_error": mean(errors)}


TOTAL = means({"correct": "accuracy", "near": "within_one"}, _mean_error)
PAPER = Wording(
    "paper", "the detect-then-count prompt of the report and cookbook", template(DETECT)
)
PLAIN = Wording(
    "plain", "the number alone, as lmms-eval asks", template("{text}\nAnswer with just a number.")
)


TASKS: Mapping[str, Build] = {
    "countbench": build(
        rows(_question), PAPER, PLAIN, extractors=(LAST_NUMBER,), score=score, total=TOTAL
    )
}
