# SPDX-License-Identifier: Apache-2.0
"""Run a benchmark: ask every item, store every answer, score them; a failed item does not stop the run.

Each answer is appended to the journal in the run's folder, in the order of the items. The same call after a crash
continues after the last stored answer. Items are read lazily, so memory holds the answers only. The folder is created
after the first item was read; its settings are fixed from the first answer on.
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
from finesight.evals.core.responders import ItemResponder, check_space
from finesight.evals.core.results import Result, save_result, summarise, versions
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.scoring import rescored
from finesight.evals.core.settings import settle
from finesight.evals.core.task import Extractor, Item, Prompt, Space, Task
from finesight.evals.core.worker import Numbered, Worker

_AHEAD = 4
"""Batches in flight per worker; finished ones wait for earlier ones to keep the order of the items."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Outcome of a run.

    Attributes:
        result: metrics of the items of this run; None for a shard.
        samples: in the order of the items.
        num_asked: items asked by this call; the others were in the journal.
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
    on_progress: Callable[[int], None] | None = None,
) -> RunResult:
    """Run a benchmark, or the rest of it.

    Args:
        task: the benchmark, with the budget that `items` were made with, and its sampling.
        prompt: that `items` were made with.
        items: in order; read lazily.
        responder: source of answers; with several workers it is called from several threads.
        folder: for journal, settings and result of this run only.
        space: unit of coordinates in answers.
        extractor: parses answers; None takes the task's first.
        limit: maximum number of items; started groups are completed.
        shard: index, from 0, and number of shards; items are assigned by id or group.
        workers: threads.
        batch: items per call of a `BatchResponder`; other responders are asked item by item.
        retry_errors: ask failed items again.
        environment: further settings of the run as plain JSON values, such as the environment of episodes.
        on_progress: called with the number of items done.

    Raises:
        EvalError: there is no item; the folder holds answers of other settings or to other items; or the
            space is "resized" and the responder does not state resized sizes.
        ConfigError: a number is out of range.
    """
    _check(task, space, responder, shard, {"workers": workers, "batch": batch, "limit": limit})
    extractor = extractor or task.extractors[0]
    settings = _settings(task, prompt, responder, space, environment)
    items = _with_first_read(task, items)
    settle(folder, settings)
    selected: list[Sample] = []
    with Journal(folder / journal_name(shard), drops_failed=retry_errors) as journal:
        known = dict(journal.samples)
        worker = Worker(responder, task.sampling, extractor, known)
        batches = _batches(_chosen(_numbered(items), limit=limit, shard=shard), batch)
        with closing(_in_order(worker, batches, workers)) as asked:
            for sample in asked:
                selected.append(_stored(sample, journal, task, extractor, space))
                if on_progress:
                    on_progress(len(selected))
        _refuse_smaller(folder, selected, journal, limit=limit, shard=shard)
        journal.put_in_order()
    whole = shard[1] == 1
    result = _saved(folder, task, selected, extractor, settings) if whole else None
    return RunResult(result, tuple(selected), sum(sample.id not in known for sample in selected))


def chosen_items(items: Iterable[Item], limit: int | None) -> Iterator[Item]:
    """The items that a run with this limit asks."""
    return (each.item for each in _chosen(_numbered(items), limit=limit, shard=(0, 1)))


def _settings(
    task: Task,
    prompt: Prompt,
    responder: ItemResponder,
    space: Space,
    environment: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Everything that decides the answers besides the items, as plain JSON values."""
    return {
        "task": task.name,
        "prompt": prompt.name,
        "prompt_source": prompt.source,
        "responder": responder.name,
        "space": space,
        "budget": asdict(task.budget),
        "sampling": sampling_values(task.sampling),
        **({"environment": dict(environment)} if environment else {}),
    }


def _saved(
    folder: Path,
    task: Task,
    samples: Sequence[Sample],
    extractor: Extractor,
    settings: Mapping[str, Any],
) -> Result:
    result = summarise(task, samples, extractor, {**settings, "versions": versions()})
    save_result(folder, result)
    return result


def _refuse_smaller(
    folder: Path,
    selected: Sequence[Sample],
    journal: Journal,
    *,
    limit: int | None,
    shard: tuple[int, int],
) -> None:
    """Raise if the result would be of fewer items than are stored, which rescoring and comparisons include."""
    count, kept = len(selected), len(journal.samples)
    if count >= kept or shard[1] > 1:  # a shard has no result
        return
    if limit is None:
        lost = sorted(journal.samples.keys() - {sample.id for sample in selected})
        raise EvalError(
            f"{folder} holds {kept} answers, {kept - count} of them to items that the copy no longer has, such as"
            f" {lost[0]}; no result was written",
            hint="give another folder, or the copy of before; finesight eval rescore FOLDER scores all"
            f" {kept}",
        )
    raise EvalError(
        f"{folder} holds {kept} answers, and with a limit of {limit} its result would be of {count}; no result"
        " was written",
        hint="leave the limit out or raise it (--limit), or give another folder; finesight eval rescore FOLDER"
        f" scores all {kept}",
    )


def _stored(
    sample: Sample, journal: Journal, task: Task, extractor: Extractor, space: Space
) -> Sample:
    """Add a new sample to the journal, parsed and scored; parse a known one again if the extractor differs."""
    if sample.id in journal.samples and _is_parsed_by(extractor, sample):
        return sample
    new = rescored(task, extractor, sample, space)
    if sample.id in journal.samples:
        journal.change(new)
    else:
        journal.append(new)
    return new


def _is_parsed_by(extractor: Extractor, sample: Sample) -> bool:
    """Whether a sample was parsed by this version of the extractor, or has no answer to parse."""
    rule = (sample.extractor, sample.extractor_version)
    return sample.text is None or rule == (extractor.name, extractor.version)


def _check(
    task: Task,
    space: Space,
    responder: ItemResponder,
    shard: tuple[int, int],
    counts: Mapping[str, int | None],
) -> None:
    task.sampling.check()
    if responder.reads_media:
        check_space(responder, space)
    index, count = shard
    if not 0 <= index < count:
        raise ConfigError(
            f"there is no shard {index} of {count}", hint="count shards from 0: 0/4 to 3/4"
        )
    for name, number in counts.items():
        if number is not None and number < 1:
            raise ConfigError(f"{name}={number} must be at least 1")


def _with_first_read(task: Task, items: Iterable[Item]) -> Iterator[Item]:
    """The same items; the first is read now, so that a faulty copy fails before the folder is created."""
    reading = iter(items)
    first = next(reading, None)
    if first is None:
        raise EvalError(f"task {task.name} has no item to score among 0 rows")
    return chain((first,), reading)


def _numbered(items: Iterable[Item]) -> Iterator[Numbered]:
    """Items with their indices; unusable rows get a reason, repeated ids also a unique id."""
    times: dict[str, int] = {}
    for number, item in enumerate(items):
        times[item.id] = times.get(item.id, 0) + 1
        if times[item.id] > 1:
            copy = replace(item, id=f"{item.id}#{times[item.id]}")
            message = f"id {item.id!r} occurs {times[item.id]} times"
            yield Numbered(copy, number, "duplicate_id", message)
        elif BROKEN in item.truth:
            yield Numbered(item, number, "broken_row", str(item.truth[BROKEN]))
        else:
            yield Numbered(item, number)


def _chosen(
    numbered: Iterable[Numbered], *, limit: int | None, shard: tuple[int, int]
) -> Iterator[Numbered]:
    """Items of one shard of the first `limit` items and the rest of their groups."""
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
    worker: Worker, batches: Iterable[Sequence[Numbered]], workers: int
) -> Generator[Sample, None, None]:
    """Samples in the order of the items, with at most `_AHEAD` batches per worker in flight."""
    most = 1 if workers == 1 else workers * _AHEAD
    waiting: deque[Future[list[Sample]]] = deque()
    with ThreadPoolExecutor(max_workers=workers) as pool:
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
