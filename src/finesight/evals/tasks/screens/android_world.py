# SPDX-License-Identifier: Apache-2.0
"""AndroidWorld and MobileMiniWoB++: tasks on a telephone that runs in an emulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.episode import EPISODE
from finesight.evals.core.rows import rows
from finesight.evals.core.task import Task
from finesight.evals.live.stored import EPISODE_COLUMNS, episode_name
from finesight.evals.tasks.screens import episode_items
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.questions import Broken, Question, prompts


def episodes(path: Path) -> Iterator[Question | Broken]:
    """One episode per row."""
    columns = {"task": EPISODE_COLUMNS["task"]}
    optional = {"instance": EPISODE_COLUMNS["instance"], "goal": ("goal", "instruction")}
    for row in rows(path, columns=columns, optional=optional):
        if row.error is not None:
            yield Broken(row.where, row.error)
            continue
        name = episode_name(row["task"], row.get("instance"))
        task, _, seed = name.rpartition("/")
        if not seed.isdigit():
            yield Broken(row.where, f"instance {seed!r} is no number")
            continue
        text = str(row.get("goal") or task)
        yield episode_items.episode(name, text, {"task": task, "seed": int(seed)}, {"task": task})


def build(benchmark: Benchmark) -> Task:
    """Episodes on a telephone."""
    return benchmark.task(
        prompts(episodes, episode_items.ACTS),
        (EPISODE,),
        episode_items.score,
        average("success", name="success", by=benchmark.by),
    )


TASKS: Mapping[str, Build] = {"android_world": build, "mobile_miniwob": build}
