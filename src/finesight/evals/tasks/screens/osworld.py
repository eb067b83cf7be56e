# SPDX-License-Identifier: Apache-2.0
"""OSWorld: tasks on a virtual computer, scored by looking at what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.episode import EPISODE
from finesight.evals.core.task import Scored, Task
from finesight.evals.tasks.screens import episode_items
from finesight.evals.tasks.shared.aggregates import average, mean, part
from finesight.evals.tasks.shared.questions import Broken, Question, prompts

NEEDED = {"id", "instruction", "evaluator"}


def episodes(folder: Path) -> Iterator[Question | Broken]:
    """One episode per file {app}/{id}.json; files that are no tasks, such as lists of ids, are passed over."""
    num_found = 0
    for path in sorted(folder.rglob("*.json")):
        try:
            task = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            yield Broken(str(path), f"not JSON: {error}")
            continue
        if not isinstance(task, Mapping) or "instruction" not in task:
            continue
        if missing := NEEDED - task.keys():
            yield Broken(str(path), f"lacks {', '.join(sorted(missing))}")
            continue
        num_found += 1
        app = path.parent.name
        is_feasible = task["evaluator"].get("func") != "infeasible"
        tags = {"app": app, "feasible": "yes" if is_feasible else "no"}
        yield episode_items.episode(f"{app}/{task['id']}", str(task["instruction"]), task, tags)
    if not num_found:
        raise EvalError(
            f"{folder} holds no task of OSWorld",
            hint="give the folder evaluation_examples of its repository",
        )


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Mean score of all tasks and per app, and the mean of those that were played to their end."""
    played = [one for one in scored if one.error != "no_answer"]
    return {
        **average("success", name="success", by=("app", "feasible"))(scored),
        "success_of_played": mean(part(one, "success") for one in played),
    }


def build(benchmark: Benchmark) -> Task:
    """Episodes on a virtual computer."""
    return benchmark.task(
        prompts(episodes, episode_items.ACTS), (EPISODE,), episode_items.score, aggregate
    )


TASKS: Mapping[str, Build] = {"osworld": build}
