# SPDX-License-Identifier: Apache-2.0
"""Ask every item, keep every answer, and stop for nothing but a wrong call.

One line per item goes to the folder's journal as soon as its answer is there, in the order of the items. Run the same
call again after a crash and it goes on where the lines end. Items flow through: a benchmark of any size takes the
memory of its answers. The folder is made once there is a first item, and settings bind it from the first answer on.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from finesight import files
from finesight.conversation import Sampling
from finesight.errors import ConfigError, EvalError, MediaError
from finesight.evals.core.digests import request_digest, sampling_values
from finesight.evals.core.journal import Journal, Sample, journal_name
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.results import (
    RESULT_FILE,
    Result,
    save_result,
    summarise,
    versions,
)
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.scoring import rejudge
from finesight.evals.core.task import Budget, Extractor, Item, Prompt, Space, Task
from finesight.evals.core.worker import Numbered, Worker, question_of

SETTINGS_FILE = "run.json"
_AHEAD = 4
"""Answers per worker that may wait for an earlier one, so that the file keeps the order of the items."""

OnProgress = Callable[[int, Sample], None]


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
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    limit: int | None = None,
    shard: tuple[int, int] = (0, 1),
    workers: int = 1,
    retry_errors: bool = False,
    environment: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> RunResult:
    """Run a benchmark, or the rest of it.

    Args:
        task: the benchmark.
        prompt: how `items` ask; its media budget is already on their parts.
        items: questions in their order, read as they are needed.
        responder: answers; with more than one worker it is called from several threads.
        folder: of this run alone; journal, settings and result go there.
        space: what numbers in its answers mean.
        extractor: reads answers; None takes the task's first.
        budget: that `items` were made with; None stands for the task's.
        sampling: how answers are drawn; None takes the task's.
        limit: items at most; groups that were begun are completed.
        shard: which part of how many, counted from 0; parts are drawn by id and keep groups whole.
        workers: threads.
        retry_errors: ask items anew that had failed before.
        environment: what else decides the answers, in plain JSON values: of episodes the environment and its limits.
        on_progress: told the number of items done, and the last of them.

    Raises:
        EvalError: there is no item, the folder holds answers of other settings, or more answers than `limit` takes, or
            answers in resized pixels are to be placed and the responder does not say how it resizes.
        ConfigError: a number is out of its range.
    """
    _check(space, responder, limit, shard, workers)
    extractor = extractor or task.extractors[0]
    sampling = sampling or task.sampling
    sampling.check()
    settings = {
        "task": task.name,
        "prompt": prompt.name,
        "prompt_source": prompt.source,
        "responder": responder.name,
        "space": space,
        "budget": asdict(budget or task.budget),
        "sampling": sampling_values(sampling),
        **({"environment": dict(environment)} if environment else {}),
    }
    items = _with_a_first(task, items)
    _settle(folder, settings)
    worker = Worker(responder, sampling, extractor)
    most = 1 if workers == 1 else workers * _AHEAD
    selected: list[Sample] = []
    with (
        Journal(folder / journal_name(shard), drops_failed=retry_errors) as journal,
        ThreadPoolExecutor(max_workers=workers) as pool,
    ):
        known = dict(journal.samples)
        chosen = _chosen(_numbered(items), limit=limit, shard=shard)
        with closing(_in_order(pool, worker, chosen, known, most=most)) as asked:
            for sample in asked:
                selected.append(_kept(sample, journal, task, extractor, space))
                if on_progress:
                    on_progress(len(selected), selected[-1])
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
    judged = rejudge(task, extractor, sample, space)
    if sample.id in journal.samples:
        journal.change(judged)
    else:
        journal.append(judged)
    return judged


def _is_read_by(extractor: Extractor, sample: Sample) -> bool:
    """Whether a sample was read by this very rule, or needs no reading."""
    rule = (sample.extractor, sample.extractor_version)
    return sample.text is None or rule == (extractor.name, extractor.version)


def _check(
    space: Space,
    responder: ItemResponder,
    limit: int | None,
    shard: tuple[int, int],
    workers: int,
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
    if workers < 1 or (limit is not None and limit < 1):
        raise ConfigError(f"workers={workers} and limit={limit} must be at least 1")


def _with_a_first(task: Task, items: Iterable[Item]) -> Iterator[Item]:
    """The same items, the first of them read: what a copy lacks is said before a folder is made."""
    reading = iter(items)
    first = next(reading, None)
    if first is None:
        raise EvalError(f"task {task.name} has no item to score among 0 rows")
    return chain((first,), reading)


def _settle(folder: Path, settings: dict[str, Any]) -> None:
    """Keep the settings beside the answers; refuse to mix answers of two settings."""
    path = folder / SETTINGS_FILE
    folder.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(settings))
    before = read_settings(folder) if path.exists() else {}
    changed = [name for name, value in plain.items() if before.get(name) != value]
    if not changed:
        return
    if before:
        journals = _unanswered(folder)
        if journals is None:
            name = changed[0]
            raise EvalError(
                f"{folder} holds a run with {name}={before.get(name)!r}, now it is {plain[name]!r}",
                hint="give another folder; answers of two settings make no one number",
            )
        for each in (*journals, folder / RESULT_FILE):
            each.unlink(missing_ok=True)
    files.write_json(path, plain, error=EvalError)


def _unanswered(folder: Path) -> list[Path] | None:
    """Journals of a run in which nothing was answered, so that nothing is lost with them; None if there is an answer.

    Raises:
        EvalError: another process writes to one.
    """
    journals = sorted(folder.glob("samples*.jsonl"))
    for path in journals:
        with Journal(path) as journal:
            if any(sample.text is not None for sample in journal.samples.values()):
                return None
    return journals


def read_settings(folder: Path) -> dict[str, Any]:
    """Settings of the run in a folder.

    Raises:
        EvalError: it holds none.
    """
    path = folder / SETTINGS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvalError(
            f"{path} cannot be read: {error}", hint="give the folder of one task's run"
        ) from error
    if not isinstance(found, dict) or not {"task", "prompt", "space"} <= found.keys():
        raise EvalError(f"{path} holds no settings of a run", hint="give another folder")
    return found


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
            yield Numbered(item, number, None, None)


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
    pool: ThreadPoolExecutor,
    worker: Worker,
    chosen: Iterable[Numbered],
    known: dict[str, Sample],
    *,
    most: int,
) -> Generator[Sample, None, None]:
    """Samples in the order of the items, those already known as they are; `most` are under way at once."""
    waiting: deque[Future[Sample] | Sample] = deque()
    try:
        for each in chosen:
            if each.item.id in known:
                waiting.append(_unchanged(known[each.item.id], each.item, worker.responder))
            else:
                waiting.append(pool.submit(worker.sample, each))
            while len(waiting) >= most:
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())
    finally:
        for left in waiting:
            if isinstance(left, Future):
                left.cancel()


def _unchanged(sample: Sample, item: Item, responder: ItemResponder) -> Sample:
    """A sample that is there already, if it answers what the item asks now: the same words, the same pixels.

    A sample that failed was asked nothing, or nothing that is known.
    """
    question = question_of(item.conversation)
    hint = "the local copy or the prompt changed; give another folder"
    if sample.question != question:
        raise EvalError(
            f"item {item.id} was asked {sample.question[:80]!r}, now it is {question[:80]!r}",
            hint=hint,
        )
    if not sample.request:
        return sample
    try:
        request = request_digest(item.conversation, reads_media=responder.reads_media)
    except MediaError as error:
        raise EvalError(
            f"item {item.id} was answered, but nobody can say whether its media are still the same:"
            f" {error.message}",
            hint="put them back, or score what is stored: finesight eval rescore FOLDER",
        ) from error
    if request != sample.request:
        raise EvalError(
            f"item {item.id} was asked with other pictures, videos, tools, system text or options: its digest was"
            f" {sample.request[:12]}, now it is {request[:12]}",
            hint=hint,
        )
    return sample


def _finished(entry: Future[Sample] | Sample) -> Sample:
    return entry if isinstance(entry, Sample) else entry.result()
