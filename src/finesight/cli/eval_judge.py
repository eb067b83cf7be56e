# SPDX-License-Identifier: Apache-2.0
"""The judge that `finesight eval run` and `finesight eval rescore` may ask after the rules have read and scored."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.judgement import Judge
    from finesight.evals.core.task import Task
    from finesight.evals.judge.run import Judged


def judge_of(
    url: str | None, model: str | None, key: str, *, tasks: Iterable[Task]
) -> Judge | None:
    """Who judges; None where nobody is to. What it says is kept in the folder of each run.

    Args:
        url: base address of its API.
        model: what the API calls it.
        key: of the API; empty sends none.
        tasks: that are to be judged.

    Raises:
        ConfigError: half of it is not said.
        EvalError: a task is scored by rule alone.
    """
    if url is None and model is None:
        return None
    if url is None or model is None:
        lacks = "--judge-model" if model is None else "--judge"
        raise ConfigError(f"a judge needs {lacks} too", hint="an address and the name of a model")
    from finesight.evals.core.judgement import Judge
    from finesight.evals.judge.run import rule_of
    from finesight.media.fetch import address_name
    from finesight.remote.client import Endpoint

    for task in tasks:
        rule_of(task)
    client = Endpoint(url=url, model=model, api_key=key)
    return Judge(responder=client, model=model, where=address_name(url))


def judged(folder: Path, task: Task, judge: Judge, *, workers: int) -> Judged:
    """Judge a run, with progress on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from finesight.evals.judge.run import judge_run

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(f"judging {task.name}", total=None)
        found = judge_run(
            folder,
            task,
            judge,
            workers=workers,
            on_judged=lambda done, total: bars.update(bar, completed=done, total=total),
        )
    if found.failures:
        sys.stderr.write(f"{folder}: what the judge could not settle:\n")
        sys.stderr.write("".join(f"  {line}\n" for line in _failures(found)))
    return found


def _failures(found: Judged) -> list[str]:
    from finesight.evals.judge.ask import FAILURES

    return [f"{count} x {reason}: {FAILURES[reason]}" for reason, count in found.failures.items()]
