# SPDX-License-Identifier: Apache-2.0
"""MegaBench: five hundred small tasks from real life; here those of its core set that are scored without a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Scored
from finesight.evals.metrics.mega import SUPPORTED, score_field
from finesight.evals.tasks.choice.multiple_choice import at_marks
from finesight.evals.tasks.mega import fields
from finesight.evals.tasks.shared.aggregates import mean, part
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.questions import Piece, Question, Wording


def ask(asked: Question) -> list[Piece]:
    """Description, worked example and question, media where they are mentioned."""
    return at_marks(asked.text, asked.media)


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The fields of an answer, added up as its task says; a task with a field nobody can score here is worth 0."""
    if not is_supported(truth):
        return {"score": 0.0, "supported": 0.0}
    said = parsed if isinstance(parsed, Mapping) else None
    kept = [] if said is None else list(_weighted(said, truth))
    if truth["sum"] == "min":
        return {"score": min((value for value, _ in kept), default=0.0), "supported": 1.0}
    total = sum(weight for _, weight in kept)
    weighted = sum(value * weight for value, weight in kept)
    return {"score": weighted / total if total else 0.0, "supported": 1.0}


def _weighted(said: Mapping[str, Any], truth: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """Scores of fields with their weights; a field that is not said is an empty text, one left out does not count."""
    for name, metric in truth["metrics"].items():
        gold = fields.unquoted(truth["answer"].get(name, ""))
        value = score_field(metric, said.get(name, ""), gold)
        if value is not None:
            yield value, float(truth["weights"].get(name, 1.0))


def is_supported(truth: Mapping[str, Any]) -> bool:
    """Whether every field of an answer can be scored without judge, network or running programs."""
    return all(str(metric).lower() in SUPPORTED for metric in truth["metrics"].values())


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """The mean of the means of tasks that can be scored here, and how much that covers."""
    tasks: dict[str, list[float]] = {}
    every: set[str] = set()
    for one in scored:
        name = one.item.tags["task"]
        every.add(name)
        if is_supported(one.item.truth):
            tasks.setdefault(name, []).append(part(one, "score"))
    return {
        "core": mean(mean(values) for values in tasks.values()),
        "coverage/tasks": len(tasks) / len(every) if every else 0.0,
        "coverage/items": sum(map(len, tasks.values())) / len(scored) if scored else 0.0,
    }


TASKS: Mapping[str, Build] = {
    "mega_bench": build(
        rows(fields.question),
        Wording("official", "the benchmark's one worked example", ask),
        extractors=(fields.FIELDS,),
        score=score,
        aggregate=aggregate,
    )
}
