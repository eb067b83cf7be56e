# SPDX-License-Identifier: Apache-2.0
"""Run one benchmark with progress bars; raise an error if a finished run has no usable answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.cli.output import check_writable, print_json
from finesight.errors import EvalError

if TYPE_CHECKING:
    from finesight.evals.core.responders import ItemResponder
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Extractor, Item, Prompt, Space, Task

LEAST_UNREAD = 2
"""Number of unparsed answers of a model from which on a run without any parsed answer is an error."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Selection of items, and parallelism.

    Attributes:
        limit: maximum number of items.
        shard: index and number of shards.
        workers: threads.
        batch: items per call of a model.
        retry_errors: ask failed items again.
    """

    limit: int | None = None
    shard: tuple[int, int] = (0, 1)
    workers: int = 1
    batch: int = 1
    retry_errors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark with prompt, extractor, local copy, and the folder of its run."""

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
        prompt: str | None = None,
        extractor: str | None = None,
    ) -> Benchmark:
        """A task with the prompt and the extractor of these names, or its first; its folder is `out/NAME`.

        Raises:
            ConfigError: the task has no prompt or extractor of that name.
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
        """Its items."""
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
            EvalError: no item was answered.
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
        _refuse_unanswered(self.task.name, done)
        return done


def changed(
    task: Task, *, budget: Mapping[str, float | None], sampling: Mapping[str, float | None]
) -> Task:
    """The task with other limits and sampling; None changes nothing."""
    return replace(
        task,
        budget=replace(task.budget, **given(budget)),
        sampling=replace(task.sampling, **given(sampling)),
    )


def given(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Drop options that are None."""
    return {name: value for name, value in values.items() if value is not None}


def copy_of(task: Task, data: Path, num_tasks: int) -> Path:
    """The local copy of a task: `data/NAME`, or `data` itself for a single task."""
    own = data / task.name
    return own if num_tasks > 1 or own.exists() else data


def check_folders(*folders: Path | None) -> None:
    """Raise `ConfigError` if a folder cannot be written to; None is skipped."""
    for folder in folders:
        if folder is not None:
            check_writable(folder, is_folder=True)


class Bars:
    """Progress bars of one or several runs on standard error."""

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
        """Update the number of items done of a run."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done)


def print_result(lines: Iterable[str], content: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result: one JSON object, or lines of text."""
    if as_json:
        print_json(content)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None
) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _refuse_unanswered(name: str, done: RunResult) -> None:
    """Raise if no item was answered."""
    samples = done.samples
    if samples and all(sample.text is None for sample in samples):
        first = next((each for each in samples if each.message), samples[0])
        raise EvalError(
            f"none of {len(samples)} items of {name} was answered; the first: {first.message}",
            hint="fix that, then run the same command with --retry-errors",
        )


def refuse_unread(done: Mapping[str, RunResult], *, least: int) -> None:
    """Raise if none of the answers of a run could be parsed.

    Args:
        done: runs by task.
        least: minimum number of answers for this to be an error.

    Raises:
        EvalError: no answer of a run was parsed.
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
        message = f"; {first.message}" if first.message else ""
        raise EvalError(
            f"nothing could be read in any answer of {counts}; the first: {first.text!r:.200}{message}",
            hint="try another extractor on the stored answers: finesight eval rescore FOLDER --extractor NAME",
        )
