# SPDX-License-Identifier: Apache-2.0
"""Two or more systems on the same pictures of text: row by row, with paired intervals, and how each of them fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.compare import compare_scored
from finesight.evals.core.journal import Sample, read_samples
from finesight.evals.core.scoring import scored
from finesight.evals.core.task import Task
from finesight.evals.tasks.packaged.ocr_compare import ROWS
from finesight.present.page import Table, TableRow

TASK = "ocr_compare"
FEW = 10
"""Pictures below which a row is marked: its interval says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One row of two systems.

    Attributes:
        row: "all", or tag and value such as "language de".
        first: name of the one system.
        second: name of the other.
        n: items that both were asked.
        num_pictures: different pictures among them.
        cer_first: mean character error, 0..1.
        cer_second: likewise.
        difference: second less first; below 0 the second is better.
        interval: of the difference, paired bootstrap over pictures, 95 %.
    """

    row: str
    first: str
    second: str
    n: int
    num_pictures: int
    cer_first: float
    cer_second: float
    difference: float
    interval: tuple[float, float]

    @property
    def says(self) -> str:
        """What the row supports, in words."""
        if self.num_pictures < FEW:
            return f"too few pictures: {self.num_pictures}"
        low, high = self.interval
        if low > 0 or high < 0:
            return f"{self.first if low > 0 else self.second} reads better"
        return "no difference seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """How a system fails.

    Attributes:
        system: its name.
        n: items it was asked.
        empty: answers without a character.
        loop: answers stopped because they repeated themselves.
        truncated: answers stopped at their length.
        not_json: answers that are no JSON where JSON was wanted.
        none: items without an answer.
    """

    system: str
    n: int
    empty: int
    loop: int
    truncated: int
    not_json: int
    none: int


def compare_rows(runs: Mapping[str, Path]) -> list[ComparedRow]:
    """Each further system beside the first, for all items and for each row.

    Args:
        runs: folder of the finished run by name of the system; two at least.

    Raises:
        EvalError: there are fewer than two, or two runs have no item in common.
    """
    if len(runs) < 2:
        raise EvalError(f"there is nothing to compare: systems {', '.join(runs) or 'none'}")
    task = registry.task(TASK)
    samples = {name: read_samples(folder) for name, folder in runs.items()}
    first, *others = samples
    return [row for other in others for row in _pair(task, samples, first, other)]


def failings(runs: Mapping[str, Path]) -> list[Failing]:
    """How each system fails."""
    return [_failing(name, read_samples(folder)) for name, folder in runs.items()]


def tables(rows: Sequence[ComparedRow], failed: Sequence[Failing]) -> list[Table]:
    """Rows and failures for the report page."""
    compared = tuple(
        TableRow(
            (
                each.row,
                f"{each.first} / {each.second}",
                f"{each.cer_first:.3f} / {each.cer_second:.3f}",
                f"{each.difference:+.3f} {_ends(each)}",
                f"{each.n} of {each.num_pictures} pictures",
                each.says,
            ),
            is_strong=each.row == "all",
        )
        for each in rows
    )
    header = ("row", "systems", "character errors", "second less first", "items", "says")
    fails = tuple(
        TableRow(
            (each.system, *(str(n) for n in _counts(each)), str(each.n)),
        )
        for each in failed
    )
    names = ("system", "empty", "loop", "truncated", "no JSON", "no answer", "items")
    return [Table("Compared", header, compared), Table("How they fail", names, fails)]


def _ends(each: ComparedRow) -> str:
    """The interval in words; one picture has none."""
    low, high = each.interval
    return f"[{low:+.3f}, {high:+.3f}]" if each.num_pictures > 1 else "(no interval)"


def _counts(each: Failing) -> tuple[int, ...]:
    return (each.empty, each.loop, each.truncated, each.not_json, each.none)


def _pair(
    task: Task, samples: Mapping[str, Sequence[Sample]], first: str, second: str
) -> list[ComparedRow]:
    a, b = ({each.item.id: each for each in scored(samples[name])} for name in (first, second))
    common = [name for name in a if name in b]
    if not common:
        raise EvalError(f"{first} ({len(a)} items) and {second} ({len(b)} items) share no item")
    groups: dict[str, list[str]] = {"all": common}
    for tag in ROWS:
        for value in sorted(
            {a[name].item.tags[tag] for name in common if tag in a[name].item.tags}
        ):
            members = [name for name in common if a[name].item.tags.get(tag) == value]
            groups[f"{tag} {value}"] = members
    rows = []
    for row, names in groups.items():
        ones, others = [a[name] for name in names], [b[name] for name in names]
        found = compare_scored(task, ones, others, only=(0, 0))
        rows.append(
            ComparedRow(
                row=row,
                first=first,
                second=second,
                n=found.n,
                num_pictures=len({each.item.cluster for each in ones}),
                cer_first=found.first,
                cer_second=found.second,
                difference=found.difference,
                interval=found.interval,
            )
        )
    return rows


def _failing(name: str, samples: Sequence[Sample]) -> Failing:
    def count(found: Any) -> int:
        return sum(1 for each in samples if each.text is not None and found(each))

    return Failing(
        system=name,
        n=len(samples),
        empty=count(lambda each: not each.text.strip()),
        loop=count(lambda each: each.finish_reason == "repetition"),
        truncated=count(lambda each: each.finish_reason == "length"),
        not_json=count(lambda each: each.tags.get("kind") == "json" and each.parsed is None),
        none=sum(1 for each in samples if each.text is None),
    )
