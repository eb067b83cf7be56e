# SPDX-License-Identifier: Apache-2.0
"""Checks a file of training data: problems of its rows, lengths in tokens, and samples as the model gets them."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finesight.data.check_samples import Shown, drawn, sample_json, shown
from finesight.data.formats.config import ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.formats.rows import Problem, Reason
from finesight.data.importing import notes_of
from finesight.data.places import written
from finesight.data.record import Record
from finesight.errors import FinesightError
from finesight.processor.processor import Processor

__all__ = ["CheckReport", "Lengths", "as_json", "check_file"]

MOST_PROBLEMS = 10_000


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths in tokens: least, median, 90th percentile, largest and sum."""

    least: int
    median: int
    p90: int
    largest: int
    total: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Lengths:
        """Of at least one sample."""
        ranked = sorted(values)
        at = (len(ranked) - 1) / 10
        return cls(ranked[0], ranked[round(5 * at)], ranked[round(9 * at)], ranked[-1], sum(ranked))


@dataclass(slots=True, kw_only=True)
class CheckReport:
    """What was found in a file.

    Attributes:
        path: the file.
        format: its format.
        num_records: rows that can be used.
        reasons: rows that cannot, by reason.
        problems: the first `MOST_PROBLEMS` of them.
        notes: sentences for the user.
        tokens: lengths of samples, None without any.
        visual_tokens: visual tokens of samples, None without any.
        counts: pictures, videos, turns, and the like.
        samples: some samples as the model gets them.
    """

    path: Path
    format: str
    num_records: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    tokens: Lengths | None = None
    visual_tokens: Lengths | None = None
    counts: Counter[str] = field(default_factory=Counter)
    samples: list[Shown] = field(default_factory=list)

    @property
    def num_refused(self) -> int:
        """Rows that cannot be used."""
        return sum(self.reasons.values())

    def refuse(self, problem: Problem) -> None:
        """Count a row that cannot be used."""
        self.reasons[problem.reason] += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def check_file(
    path: Path,
    processor: Processor,
    config: ImportConfig | None = None,
    *,
    num_samples: int = 10,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Check every row of a file.

    Args:
        path: a file or folder of any known format.
        processor: of the model that will be trained.
        config: settings of the import.
        num_samples: number of samples shown, drawn at random.
        seed: of the choice of samples.
        progress: called with the number of rows done.

    Raises:
        ConfigError: the format is not known, or there is no such file.
        DataError: the file cannot be opened.
    """
    reading = Reading(path, config)
    report = CheckReport(path=path, format=reading.format)
    rng = random.Random(seed)
    chosen: list[tuple[int, Record]] = []
    lengths = (array("q"), array("q"))
    for number, found in enumerate(_planned(reading, processor, lengths), 1):
        if isinstance(found, Problem):
            report.refuse(found)
        else:
            report.num_records += 1
            _count(report.counts, found)
            _keep_some(chosen, (number, found), report.num_records, num_samples, rng)
        if progress is not None:
            progress(number)
    report.notes = notes_of(reading)
    if report.num_records:
        report.tokens, report.visual_tokens = map(Lengths.of, lengths)
    for _, record in sorted(chosen, key=lambda each: each[0]):
        try:
            report.samples.append(shown(record, processor))
        except FinesightError as error:  # a frame of a video, which only encoding decodes
            report.num_records -= 1
            report.refuse(Problem(str(record.meta["row"]), "encoding", error.message, error.hint))
    return report


def _planned(
    reading: Reading, processor: Processor, lengths: tuple[array[int], array[int]]
) -> Iterator[Record | Problem]:
    """Records and problems; a record that the processor refuses is a problem.

    `lengths` get the tokens and the visual tokens of each record.
    """
    for found in reading:
        if isinstance(found, Record):
            try:
                numbers = _lengths(found, processor)
            except FinesightError as error:
                yield Problem(str(found.meta["row"]), "encoding", error.message, error.hint)
                continue
            for kept, number in zip(lengths, numbers, strict=True):
                kept.append(number)
        yield found


def _lengths(record: Record, processor: Processor) -> tuple[int, int]:
    """Tokens and visual tokens of a sample."""
    record = drawn(record)
    talk = record.conversation
    media = processor.plan_media(talk)
    messages = written(talk.messages, record.places, [item.resize for item in media])
    plan = processor.plan(replace(talk, messages=messages), add_generation_prompt=False)
    return plan.num_tokens, sum(item.visual_tokens for item in media)


def _count(counts: Counter[str], record: Record) -> None:
    media = [type(part).__name__ for part in record.conversation.media()]
    counts["pictures"] += media.count("ImagePart")
    counts["videos"] += media.count("VideoPart")
    counts["rows without media"] += not media
    counts["answers"] += sum(
        message.role == "assistant" and message.is_target
        for message in record.conversation.messages
    )
    counts["boxes and points"] += len(record.places)
    counts["preference pairs"] += bool(record.rejected)


def _keep_some(
    chosen: list[tuple[int, Record]],
    new: tuple[int, Record],
    num_seen: int,
    most: int,
    rng: random.Random,
) -> None:
    """Reservoir sampling: each record is kept with the same probability."""
    if len(chosen) < most:
        chosen.append(new)
    elif (place := rng.randrange(num_seen)) < most:
        chosen[place] = new


def as_json(report: CheckReport) -> dict[str, Any]:
    """The report without pictures, in plain types."""
    return {
        "path": str(report.path),
        "format": report.format,
        "num_records": report.num_records,
        "num_refused": report.num_refused,
        "reasons": dict(report.reasons),
        "problems": [
            {"place": one.place, "reason": one.reason, "message": one.message, "hint": one.hint}
            for one in report.problems
        ],
        "notes": list(report.notes),
        "counts": dict(report.counts),
        "tokens": _lengths_json(report.tokens),
        "visual_tokens": _lengths_json(report.visual_tokens),
        "samples": [sample_json(sample) for sample in report.samples],
    }


def _lengths_json(lengths: Lengths | None) -> dict[str, int] | None:
    if lengths is None:
        return None
    return {name: getattr(lengths, name) for name in ("least", "median", "p90", "largest", "total")}
