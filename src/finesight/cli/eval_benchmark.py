# SPDX-License-Identifier: Apache-2.0
"""One benchmark as a command runs it, with its progress, and what makes a finished run a failure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.cli.output import print_json
from finesight.errors import EvalError

if TYPE_CHECKING:
    from finesight.evals.core.responders import ItemResponder
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Extractor, Item, Prompt, Space, Task

LEAST_UNREAD = 2
"""Answers of a model in which nothing was read that make a failure: one alone may be a first look at a model."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Which items are asked, and how many at once.

    Attributes:
        limit: items at most.
        shard: which part of how many.
        workers: threads.
        batch: items that are handed to a model together.
        retry_errors: ask items anew that had failed before.
    """

    limit: int | None = None
    shard: tuple[int, int] = (0, 1)
    workers: int = 1
    batch: int = 1
    retry_errors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark, the way it asks and reads, its local copy, and the folder of its run."""

    task: Task
    prompt: Prompt
    extractor: Extractor
    copy: Path
    folder: Path

    @classmethod
    def of(
        cls,
        task: Task,
        copy: Path,
        out: Path,
        *,
        prompt: str | None = None,
        extractor: str | None = None,
    ) -> Benchmark:
        """A task with the prompt and the rule of these names, or with its first; `out` gets a folder of its name.

        Raises:
            ConfigError: the task has none of that name.
        """
        from finesight.evals.core import registry

        return cls(
            task=task,
            prompt=registry.find_prompt(task, prompt),
            extractor=registry.find_extractor(task, extractor),
            copy=copy,
            folder=out / task.name,
        )

    def items(self) -> Iterator[Item]:
        """Its questions."""
        return self.prompt.items(self.copy, self.task.budget)

    def run(
        self,
        responder: ItemResponder,
        space: Space,
        extent: Extent,
        environment: Mapping[str, object] | None = None,
    ) -> RunResult:
        """Run it, or the rest of it.

        Raises:
            EvalError: nothing at all was answered.
        """
        from finesight.evals.core.run import run

        with Bars() as bars:
            done = run(
                self.task,
                self.prompt,
                self.items(),
                responder,
                folder=self.folder,
                space=space,
                extractor=self.extractor,
                limit=extent.limit,
                shard=extent.shard,
                workers=extent.workers,
                batch=extent.batch,
                retry_errors=extent.retry_errors,
                environment=environment,
                on_progress=lambda count: bars(self.task.name, count, extent.limit),
            )
        _refuse_silence(self.task.name, done)
        return done


def changed(
    task: Task, *, budget: Mapping[str, float | None], sampling: Mapping[str, float | None]
) -> Task:
    """The task with other pixels and sampling, where they are given; options that are None change nothing."""
    return replace(
        task,
        budget=replace(task.budget, **given(budget)),
        sampling=replace(task.sampling, **given(sampling)),
    )


def given(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Drop options that are None."""
    return {name: value for name, value in values.items() if value is not None}


def copy_of(task: Task, data: Path, num_tasks: int) -> Path:
    """Where the local copy of a task is: in a folder of its name, or right here if it is the only one."""
    own = data / task.name
    return own if num_tasks > 1 or own.exists() else data


class Bars:
    """Progress of one run or several on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskID,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bars = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, name: str, done: int, total: int | None = None) -> None:
        """Show how many items of a run are done."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done)


def print_result(lines: Iterable[str], content: Mapping[str, Any], *, as_json: bool) -> None:
    """A result on standard output: one JSON object, or text line by line."""
    if as_json:
        print_json(content)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None
) -> None:
    """A table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _refuse_silence(name: str, done: RunResult) -> None:
    """Raise where nothing at all was answered, because that is no score."""
    samples = done.samples
    if samples and all(sample.text is None for sample in samples):
        first = next((each for each in samples if each.message), samples[0])
        raise EvalError(
            f"none of {len(samples)} items of {name} was answered; the first: {first.message}",
            hint="mend that, then run the same command with --retry-errors",
        )


def refuse_unread(done: Mapping[str, RunResult], *, least: int) -> None:
    """Raise where answers came and nothing could be read in any of them: their score says nothing of the model.

    Args:
        done: runs by task.
        least: answers of a run from which on this is a failure.

    Raises:
        EvalError: nothing was read in a run.
    """
    unread = {}
    for name, result in done.items():
        answered = [sample for sample in result.samples if sample.text is not None]
        if len(answered) >= least and all(
            each.parsed is None or each.error is not None for each in answered
        ):
            unread[name] = answered
    if unread:
        counts = ", ".join(f"{name} ({len(answered)})" for name, answered in unread.items())
        first = next(iter(unread.values()))[0]
        said = f"; {first.message}" if first.message else ""
        raise EvalError(
            f"nothing could be read in any answer of {counts}; the first: {first.text!r:.200}{said}",
            hint="if answers are there, read them by another rule: finesight eval rescore FOLDER --extractor NAME",
        )
