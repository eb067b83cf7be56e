# SPDX-License-Identifier: Apache-2.0
"""MegaBench: five hundred small tasks from real life; here those of its core set that are scored without a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Scored, Task
from finesight.evals.metrics.mega import SUPPORTED, score_field
from finesight.evals.tasks.choice.multiple_choice import at_marks
from finesight.evals.tasks.mega import fields
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import mean, part
from finesight.evals.tasks.shared.columns import reader, split_files
from finesight.evals.tasks.shared.questions import Piece, Question, prompt


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


questions = reader(
    tuple(f"core/{file}" for file in split_files("test")) + split_files("test"),
    fields.COLUMNS,
    fields.question,
    optional=fields.OPTIONAL,
    pictures=(),
)

TASKS = (
    Task(
        name="mega_bench",
        title="MegaBench core, without what needs a judge",
        source="MEGA-Bench, arXiv 2410.10563",
        layout="the folder core of TIGER-Lab/MEGA-Bench with test-*.parquet: id, task_name, task_description,"
        " global_media, example_text, example_media, query_text, query_media, answer, metric_info; pictures and videos"
        " under the paths that rows name",
        prompts=(prompt("official", "the benchmark's one worked example", questions, ask),),
        sampling=Sampling(max_new_tokens=4096),
        extractors=(fields.FIELDS,),
        score=score,
        aggregate=aggregate,
        main="core",
        published=report_tables.row(report_tables.GENERAL, "52.1 54.2 45.6 46.8 51.3 36.8 28.9"),
        notes=(
            "core is the mean over the tasks that can be scored here: see coverage before comparing with anything",
            "published numbers are of all tasks, the open ones judged by a language model",
        ),
    ),
)
