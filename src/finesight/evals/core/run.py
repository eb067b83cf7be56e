# SPDX-License-Identifier: Apache-2.0
"""Run a benchmark: ask every item and keep every answer; an item that fails is counted and ends nothing.

One line per item is added to the folder's journal as soon as its answer is there, in the order of the items. The same
call after a crash continues where the lines end. Items are read as they are needed, so a run takes the memory of its
answers only. The folder is made once there is a first item, and its settings are fixed from the first answer on.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from finesight.errors import ConfigError, EvalError
from finesight.evals.core.digests import sampling_values
from finesight.evals.core.journal import Journal, Sample, journal_name
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.results import Result, save_result, summarise, versions
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.scoring import rescored
from finesight.evals.core.settings import settle
from finesight.evals.core.task import Extractor, Item, Prompt, Space, Task
from finesight.evals.core.worker import Numbered, Worker

_AHEAD = 4
"""Batches per worker that may wait for an earlier one, so that the file keeps the order of the items."""

OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run leaves.

    Attributes:
        result: metrics of the items of this run; None for a shard, which is no benchmark.
        samples: in the order of the items.
        num_asked: items that were asked now; the others had been answered before.
    """

    result: Result | None
    samples: tuple[Sample, ...]
    num_asked: int


def run(
    task: Task,
    prompt: Prompt,
    items: Iterable[Item],
    responder: ItemResponder,
    *,
    folder: Path,
    space: Space,
    extractor: Extractor | None = None,
    limit: int | None = None,
    shard: tuple[int, int] = (0, 1),
    workers: int = 1,
    batch: int = 1,
    retry_errors: bool = False,
    environment: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> RunResult:
    """Run a benchmark, or the rest of it.

    Args:
        task: the benchmark; `items` were made with its budget, and its sampling draws the answers.
        prompt: how `items` ask.
        items: questions in their order, read as they are needed.
        responder: answers; with more than one worker it is called from several threads.
        folder: of this run alone; journal, settings and result go there.
        space: what numbers in its answers mean.
        extractor: reads answers; None takes the task's first.
        limit: items at most; groups that were begun are completed.
        shard: which part of how many, counted from 0; parts are drawn by id and keep groups whole.
        workers: threads.
        batch: items that a thread hands to a `BatchResponder` at once; others are asked one by one.
        retry_errors: ask items anew that had failed before.
        environment: what else decides the answers, in plain JSON values: of episodes the environment and its limits.
        on_progress: called with the number of items done.

    Raises:
        EvalError: there is no item, the folder holds answers of other settings, or more answers than `limit` takes, or
            answers in resized pixels are to be placed and the responder does not say how it resizes.
        ConfigError: a number is out of its range.
    """
    _check(space, responder, shard, {"workers": workers, "batch": batch, "limit": limit})
    extractor = extractor or task.extractors[0]
    task.sampling.check()
    settings = {
        "task": task.name,
        "prompt": prompt.name,
        "prompt_source": prompt.source,
        "responder": responder.name,
        "space": space,
        "budget": asdict(task.budget),
        "sampling": sampling_values(task.sampling),
        **({"environment": dict(environment)} if environment else {}),
    }
    items = _with_a_first(task, items)
    settle(folder, settings)
    most = 1 if workers == 1 else workers * _AHEAD
    selected: list[Sample] = []
    with (
        Journal(folder / journal_name(shard), drops_failed=retry_errors) as journal,
        ThreadPoolExecutor(max_workers=workers) as pool,
    ):
        known = dict(journal.samples)
        worker = Worker(responder, task.sampling, extractor, known)
        chosen = _chosen(_numbered(items), limit=limit, shard=shard)
        batches = _batches(chosen, batch)
        with closing(_in_order(pool, worker, batches, most=most)) as asked:
            for sample in asked:
                selected.append(_kept(sample, journal, task, extractor, space))
                if on_progress:
                    on_progress(len(selected))
        _refuse_smaller(folder, limit if shard[1] == 1 else None, selected, journal)
        journal.put_in_order()
    result = None
    if shard[1] == 1:
        result = summarise(task, selected, extractor, {**settings, "versions": versions()})
        save_result(folder, result)
    num_asked = sum(1 for sample in selected if sample.id not in known)
    return RunResult(result=result, samples=tuple(selected), num_asked=num_asked)


def _refuse_smaller(
    folder: Path, limit: int | None, selected: Sequence[Sample], journal: Journal
) -> None:
    """Raise where a limit would replace the result of a larger run by that of a smaller one."""
    count, kept = len(selected), len(journal.samples)
    if limit is not None and count < kept:
        raise EvalError(
            f"{folder} holds {kept} answers, and with a limit of {limit} its result would be of {count}; no result"
            " was written",
            hint="leave the limit out or raise it (--limit), or give another folder; finesight eval rescore FOLDER"
            f" scores all {kept}",
        )


def _kept(
    sample: Sample, journal: Journal, task: Task, extractor: Extractor, space: Space
) -> Sample:
    """A sample as the journal has it: new ones are read, scored and added, old ones read anew if need be."""
    if sample.id in journal.samples and _is_read_by(extractor, sample):
        return sample
    new = rescored(task, extractor, sample, space)
    if sample.id in journal.samples:
        journal.change(new)
    else:
        journal.append(new)
    return new


def _is_read_by(extractor: Extractor, sample: Sample) -> bool:
    """Whether a sample was read by this very rule, or needs no reading."""
    rule = (sample.extractor, sample.extractor_version)
    return sample.text is None or rule == (extractor.name, extractor.version)


def _check(
    space: Space,
    responder: ItemResponder,
    shard: tuple[int, int],
    counts: Mapping[str, int | None],
) -> None:
    if space == "resized" and responder.reads_media and not responder.declares_resize:
        raise EvalError(
            f"answers are said to be in resized pixels, but {responder.name} does not say how it resizes",
            hint="state the space of its numbers, or have pictures resized before they are sent",
        )
    index, count = shard
    if not 0 <= index < count:
        raise ConfigError(
            f"shard {index} of {count} is none", hint="count shards from 0: 0/4 to 3/4"
        )
    for name, number in counts.items():
        if number is not None and number < 1:
            raise ConfigError(f"{name}={number} must be at least 1")


def _with_a_first(task: Task, items: Iterable[Item]) -> Iterator[Item]:
    """The same items with the first of them read, so that a copy that lacks something fails before a folder is made."""
    reading = iter(items)
    first = next(reading, None)
    if first is None:
        raise EvalError(f"task {task.name} has no item to score among 0 rows")
    return chain((first,), reading)


def _numbered(items: Iterable[Item]) -> Iterator[Numbered]:
    """Items with their places; rows that are no questions get their reason and an id of their own."""
    times: dict[str, int] = {}
    for number, item in enumerate(items):
        times[item.id] = times.get(item.id, 0) + 1
        if times[item.id] > 1:
            copy = replace(item, id=f"{item.id}#{times[item.id]}")
            said = f"id {item.id!r} stands {times[item.id]} times"
            yield Numbered(copy, number, "duplicate_id", said)
        elif BROKEN in item.truth:
            yield Numbered(item, number, "broken_row", str(item.truth[BROKEN]))
        else:
            yield Numbered(item, number)


def _chosen(
    numbered: Iterable[Numbered], *, limit: int | None, shard: tuple[int, int]
) -> Iterator[Numbered]:
    """Items of this run: the first `limit`, the rest of their groups, and of these one shard."""
    groups: set[str] = set()
    for count, each in enumerate(numbered):
        group = each.item.group
        if limit is not None and count >= limit:
            if not groups:
                return
            if group not in groups:
                continue
        if group is not None:
            groups.add(group)
        if shard[1] == 1 or _shard_of(group or each.item.id, shard[1]) == shard[0]:
            yield each


def _shard_of(name: str, count: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % count


def _in_order(
    pool: ThreadPoolExecutor, worker: Worker, batches: Iterable[Sequence[Numbered]], *, most: int
) -> Generator[Sample, None, None]:
    """Samples in the order of the items; `most` batches are under way at once."""
    waiting: deque[Future[list[Sample]]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(worker.samples, batch))
            while len(waiting) >= most:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for left in waiting:
            left.cancel()


def _batches(chosen: Iterable[Numbered], size: int) -> Iterator[list[Numbered]]:
    """Items in groups of `size`; the last group may be smaller."""
    items = iter(chosen)
    while batch := list(islice(items, size)):
        yield batch
