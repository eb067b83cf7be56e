# SPDX-License-Identifier: Apache-2.0
"""The judge of `finesight eval run` and `finesight eval rescore`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.eval_benchmark import Bars
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.evals.core.task import Task
    from finesight.evals.judge.ask import Judge
    from finesight.evals.judge.run import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """Options of a language model that judges answers."""

    judge: Annotated[
        str | None,
        typer.Option(
            help="Also judge answers with a language model: an OpenAI-compatible API.",
            metavar="URL",
        ),
    ] = None
    judge_model: Annotated[
        str | None, typer.Option(help="Name of the model at the judge's API.", metavar="NAME")
    ] = None
    judge_key: Annotated[
        str, typer.Option(envvar="FINESIGHT_JUDGE_KEY", help="Of the judge's API.", metavar="KEY")
    ] = ""


def judge_of(
    asked: JudgeOptions, *, tasks: Iterable[Task], shard: tuple[int, int] = (0, 1)
) -> Judge | None:
    """The judge, or None if none is given; its replies are cached in the folder of each run.

    Args:
        asked: address, model and key of the judge's API.
        tasks: to be judged.
        shard: index and number of shards.

    Raises:
        ConfigError: address or model is missing, or only a shard is run.
        EvalError: a task has no rule of judging.
    """
    url, model = asked.judge, asked.judge_model
    if url is None and model is None:
        return None
    if url is None or model is None:
        lacks = "--judge-model" if model is None else "--judge"
        raise ConfigError(f"a judge needs {lacks} too", hint="an address and the name of a model")
    from finesight.evals.judge.ask import Judge
    from finesight.evals.judge.run import rule_of
    from finesight.media.fetch import address_name
    from finesight.remote.client import Endpoint

    for task in tasks:
        rule_of(task)
    if shard[1] > 1:
        raise ConfigError(
            f"--judge is for whole runs, not for shard {shard[0]} of {shard[1]}",
            hint="bring shards together and judge: finesight eval rescore FOLDER --judge URL",
        )
    client = Endpoint(url=url, model=model, api_key=asked.judge_key)
    return Judge(responder=client, model=model, where=address_name(url))


def judged(folder: Path, task: Task, judge: Judge, *, workers: int) -> Judged:
    """Judge a run, with a progress bar on standard error."""
    from finesight.evals.judge.ask import FAILURES
    from finesight.evals.judge.run import judge_run

    with Bars() as bars:
        progress = partial(bars, f"judging {task.name}")
        found = judge_run(folder, task, judge, workers=workers, on_judged=progress)
    if found.failures:
        sys.stderr.write(f"{folder}: answers without a ruling of the judge:\n")
        for reason, count in found.failures.items():
            sys.stderr.write(f"  {count} x {reason}: {FAILURES[reason]}\n")
    return found
