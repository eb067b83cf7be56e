# SPDX-License-Identifier: Apache-2.0
"""The journal of a run: one JSON line per item with request and answer, enough to rescore without data or model.

A run appends whole lines. A killed process leaves at most one incomplete line, which the next process drops.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from finesight.conversation import Conversation
from finesight.errors import EvalError
from finesight.evals.core.task import CoordinateFrame, Item, Space
from finesight.files import lock, whole_file
from finesight.geometry import Size

_SHARD_NAME = re.compile(r"samples-(\d+)-of-(\d+)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One item as a line of a journal; every value is plain JSON.

    Attributes:
        id: of the item.
        number: index of the item in the benchmark, from 0.
        question: text of the last user turn.
        request: digest of the request.
        text: the raw answer; None if there is none.
        num_tokens: tokens of the answer.
        finish_reason: why it ended; None if there is no answer.
        extractor: name of the extractor that parsed it.
        extractor_version: version of that extractor.
        parsed: the parsed answer; None if parsing found nothing.
        parts: parts of the score; empty for an item that failed.
        media: per picture or video: kind, source, sizes as [width, height] where known, frames per second.
        seconds: time the answer took.
        error: reason why the item failed; None if it did not.
        message: of the error.
        truth: of the item.
        group: of the item.
        cluster: of the item.
        tags: of the item.
    """

    id: str
    number: int
    question: str
    request: str
    text: str | None
    num_tokens: int
    finish_reason: str | None
    extractor: str
    extractor_version: str
    parsed: Any
    parts: Mapping[str, float]
    media: Sequence[Mapping[str, Any]]
    seconds: float
    error: str | None = None
    message: str | None = None
    truth: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    cluster: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> bytes:
        """The sample as one line of JSON, line break included.

        Raises:
            EvalError: a value is not plain JSON; names the item.
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        try:
            return json.dumps(values, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:  # a lone surrogate: escaped, so that the raw text is kept
            return json.dumps(values).encode() + b"\n"
        except (TypeError, ValueError) as error:
            raise EvalError(f"item {self.id} holds what is not plain JSON: {error}") from error

    def item(self) -> Item:
        """The item without its conversation, as scoring needs it."""
        return Item(
            id=self.id,
            conversation=Conversation(()),
            truth=self.truth,
            group=self.group,
            cluster=self.cluster,
            tags=self.tags,
        )

    def frames(self, space: Space) -> tuple[CoordinateFrame, ...]:
        """One frame per picture; empty if a size that `space` needs is not known."""
        pictures = [each for each in self.media if each["kind"] == "image"]
        frames = []
        for each in pictures:
            resized = each["resized"] or (None if space == "resized" else each["original"])
            if each["original"] is None or resized is None:
                return ()
            frames.append(CoordinateFrame(space, Size(*each["original"]), Size(*resized)))
        return tuple(frames)


_NAMES = {each.name for each in fields(Sample)}


def journal_name(shard: tuple[int, int]) -> str:
    """File name of a journal: `samples.jsonl` without shards."""
    index, count = shard
    return "samples.jsonl" if count == 1 else f"samples-{index:03d}-of-{count:03d}.jsonl"


def read_samples(folder: Path) -> list[Sample]:
    """Samples of a run in the order of its items, with all shards joined.

    Raises:
        EvalError: there are none, a shard is missing, or a line is broken.
    """
    files = sorted(folder.glob("samples*.jsonl"))
    if not files:
        raise EvalError(
            f"{folder} holds no samples.jsonl", hint="give the folder of one task's run"
        )
    found = {
        int(match[1]): int(match[2]) for f in files if (match := _SHARD_NAME.fullmatch(f.name))
    }
    counts = set(found.values())
    missing = set(range(max(counts))) - found.keys() if counts else set()
    if len(counts) > 1 or missing:
        raise EvalError(
            f"{folder} holds shards {sorted(found)} of {sorted(counts)}",
            hint="run the missing shards into this folder",
        )
    by_id: dict[str, Sample] = {}
    for file in files:
        for sample in _read(file)[0]:
            by_id.setdefault(sample.id, sample)
    return sorted(by_id.values(), key=lambda sample: sample.number)


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Replace a journal atomically.

    Raises:
        EvalError: it cannot be written, as on a full disk; an older journal is kept.
    """
    with whole_file(path, error=EvalError) as draft, draft.open("wb") as file:
        file.writelines(sample.line() for sample in samples)


def _unwritable(path: Path, error: OSError) -> EvalError:
    return EvalError(
        f"{path} cannot be written: {error.strerror or error}",
        hint="make room, then run the same command: it goes on where the answers end",
    )


class Journal:
    """An open journal, locked by one process.

    Args:
        path: the file; created if missing.
        drops_failed: remove items without an answer, so that they are asked again.

    Raises:
        EvalError: another process writes to it, or a line that is not the last is broken.
    """

    def __init__(self, path: Path, *, drops_failed: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = lock(path, error=EvalError)
        try:
            samples, whole = _read(path)
        except EvalError:
            self._file.close()
            raise
        if drops_failed:
            samples = [sample for sample in samples if sample.text is not None]
            write_samples(path, samples)
            self._file.close()
            self._file = lock(path, error=EvalError)  # write_samples replaced the file
        else:
            self._file.truncate(whole)
        self._is_changed = False
        self.samples = {sample.id: sample for sample in samples}
        """By id, in the order of the file."""

    def append(self, sample: Sample) -> None:
        """Append one sample and flush it.

        Raises:
            EvalError: it cannot be written, as on a full disk; earlier samples are kept.
        """
        try:
            self._file.write(sample.line())
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.samples[sample.id] = sample

    def change(self, sample: Sample) -> None:
        """Replace a sample; written by `put_in_order`."""
        self.samples[sample.id] = sample
        self._is_changed = True

    def put_in_order(self) -> None:
        """Rewrite the file if a sample changed or the order is not that of the items.

        Nothing can be appended afterwards.
        """
        samples = list(self.samples.values())
        if self._is_changed or any(a.number > b.number for a, b in pairwise(samples)):
            write_samples(self.path, sorted(samples, key=lambda sample: sample.number))

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError as failed:  # closing flushes a failed write again
            if error is None:
                raise _unwritable(self.path, failed) from failed


def _read(path: Path) -> tuple[list[Sample], int]:
    """Samples of a file, and the number of bytes of complete lines."""
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    samples, whole = [], 0
    for number, line in enumerate(lines, 1):
        is_last = number == len(lines)
        if not line.endswith(b"\n"):
            break  # the process was killed while it wrote this line
        try:
            values = json.loads(line)
            if not isinstance(values, dict) or values.keys() != _NAMES:
                raise ValueError(f"keys are not those of a sample: {sorted(values)[:30]}")
        except ValueError as error:
            if is_last:
                break
            raise EvalError(
                f"{path}, line {number} is broken: {error}",
                hint="was the file edited by hand? remove the line and it is asked again",
            ) from error
        samples.append(Sample(**values))
        whole += len(line)
    return samples, whole
