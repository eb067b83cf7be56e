# SPDX-License-Identifier: Apache-2.0
"""OSWorld: tasks on a virtual computer, scored by looking at what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from finesight.errors import EvalError
from finesight.evals.core.episode import EPISODE
from finesight.evals.core.task import Scored, Task
from finesight.evals.tasks.screens import episode_items
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average, mean, part
from finesight.evals.tasks.shared.questions import Broken, Question

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


TASKS = (
    Task(
        name="osworld",
        title="OSWorld",
        source="OSWorld, arXiv 2404.07972",
        layout="the folder evaluation_examples of the repository: {app}/{id}.json with id, instruction, config and"
        " evaluator, at any depth",
        prompts=(episode_items.progress_prompt(episodes),),
        sampling=episode_items.SAMPLING,
        extractors=(EPISODE,),
        score=episode_items.score,
        aggregate=aggregate,
        main="success",
        is_live=True,
        published=report_tables.row(report_tables.AGENT, "5.03 4.70 14.90 10.26 2.42 8.83"),
        notes=(
            "the mean score of all tasks; one that was not played counts as 0 here, while OSWorld's own script leaves"
            " it out: success_of_played does that",
            "an infeasible task is solved by FAIL alone, a feasible one never by it",
            "the report leaves the number of steps unsaid; 361 of the 369 tasks need no account elsewhere",
        ),
    ),
)
