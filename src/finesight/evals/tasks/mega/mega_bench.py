# SPDX-License-Identifier: Apache-2.0
"""MegaBench: about 500 real-world tasks; those of its core set that can be scored without a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Scored
from finesight.evals.metrics.mega import SUPPORTED, score_field
from finesight.evals.tasks.choice.multiple_choice import say_at_marks
from finesight.evals.tasks.mega import fields
from finesight.evals.tasks.shared.aggregates import mean, part
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.questions import Wording


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Weighted mean or minimum of the field scores; 0 for a task with an unsupported metric."""
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
    """Scores and weights of fields; a missing field counts as an empty text, a score of None is left out."""
    for name, metric in truth["metrics"].items():
        gold = fields.unquoted(truth["answer"].get(name, ""))
        value = score_field(metric, said.get(name, ""), gold)
        if value is not None:
            yield value, float(truth["weights"].get(name, 1.0))


def is_supported(truth: Mapping[str, Any]) -> bool:
    """Whether every field can be scored without a judge, a network or running programs."""
    return all(str(metric).lower() in SUPPORTED for metric in truth["metrics"].values())


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Mean of the means of supported tasks, and the share of tasks and items that this covers."""
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
        Wording("official", "the benchmark's one worked example", say_at_marks("{text}")),
        extractors=(fields.FIELDS,),
        score=score,
        aggregate=aggregate,
    )
}
