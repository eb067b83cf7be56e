# SPDX-License-Identifier: Apache-2.0
"""AndroidWorld and MobileMiniWoB++: tasks on a telephone that runs in an emulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finesight.evals.core.episode import EPISODE
from finesight.evals.core.rows import rows
from finesight.evals.core.task import Task
from finesight.evals.live.stored import EPISODE_COLUMNS, episode_name
from finesight.evals.tasks.screens import episode_items
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.questions import Broken, Question

LAYOUT = (
    "a table with one row per episode, as JSONL or CSV: task (the name in the registry of android_world), instance (a"
    " number that seeds its parameters; 0 where there is no such column), goal where it is known; a summary of a run is"
    " such a table"
)


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


def _task(name: str, title: str, source: str, published: dict[str, float]) -> Task:
    return Task(
        name=name,
        title=title,
        source=source,
        layout=LAYOUT,
        prompts=(episode_items.progress_prompt(episodes), episode_items.answer_prompt(episodes)),
        sampling=episode_items.SAMPLING,
        extractors=(EPISODE,),
        score=episode_items.score,
        aggregate=average("success", name="success", by=("task",)),
        main="success",
        is_live=True,
        published=published,
        notes=(
            "the mean of successes; a task counts as solved only if the model said so or the task ended by itself",
            "tasks that ask a question need the action `answer`, which Qwen2.5-VL's tool lacks: --prompt answer",
            "GPT-4o, Gemini and Qwen2-VL were shown marks on the elements in some of these rows",
        ),
    )


SOURCE = "AndroidWorld, arXiv 2405.14573"
TASKS = (
    _task(
        "android_world",
        "AndroidWorld",
        SOURCE,
        report_tables.row(report_tables.AGENT, "34.5 26 27.9 26.1 6 35"),
    ),
    _task(
        "mobile_miniwob",
        "MobileMiniWoB++",
        f"MiniWoB++ on a telephone, {SOURCE}",
        report_tables.row(report_tables.AGENT, "61 42 61 66 50 68"),
    ),
)
