# SPDX-License-Identifier: Apache-2.0
"""Compare systems on the same pictures of text: character errors with paired intervals, and kinds of failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.compare import Comparison, compare_scored, in_common
from finesight.evals.core.journal import Sample, read_samples
from finesight.evals.core.scoring import scored
from finesight.evals.core.task import Scored
from finesight.evals.tasks.packaged.ocr_compare import ROWS
from finesight.present.page import Table, TableRow

TASK = "ocr_compare"
FEW = 10
"""Below this number of pictures a row is marked as too small."""

FAILS: Mapping[str, Callable[[Sample, str], bool]] = {
    "empty": lambda _, text: not text.strip(),
    "loop": lambda sample, _: sample.finish_reason == "repetition",
    "truncated": lambda sample, _: sample.finish_reason == "length",
    "not_json": lambda sample, _: sample.tags.get("kind") == "json" and sample.parsed is None,
}
"""Kinds of failures: empty answer, stopped for repetition, stopped at the token limit, no JSON where JSON was asked."""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One row of two systems.

    Attributes:
        row: "all", or tag and value such as "language de".
        first: name of the first system.
        second: name of the second.
        num_pictures: distinct pictures among its items.
        found: character error rates, 0..1; a negative difference means that the second is better.
    """

    row: str
    first: str
    second: str
    num_pictures: int
    found: Comparison

    @property
    def says(self) -> str:
        """Conclusion of the row as text."""
        if self.num_pictures < FEW:
            return f"too few pictures: {self.num_pictures}"
        low, high = self.found.interval
        if low > 0 or high < 0:
            return f"{self.first if low > 0 else self.second} reads better"
        return "no difference seen"

    def values(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return {
            "row": self.row,
            "first": self.first,
            "second": self.second,
            "n": self.found.n,
            "num_pictures": self.num_pictures,
            "cer_first": self.found.first,
            "cer_second": self.found.second,
            "difference": self.found.difference,
            "interval": self.found.interval,
            "says": self.says,
        }

    def cells(self) -> tuple[str, ...]:
        """The row of the table; without interval for one picture."""
        low, high = self.found.interval
        ends = f"[{low:+.3f}, {high:+.3f}]" if self.num_pictures > 1 else "(no interval)"
        return (
            self.row,
            f"{self.first} / {self.second}",
            f"{self.found.first:.3f} / {self.found.second:.3f}",
            f"{self.found.difference:+.3f} {ends}",
            f"{self.found.n} of {self.num_pictures} pictures",
            self.says,
        )


def compare_rows(runs: Mapping[str, Path]) -> list[ComparedRow]:
    """Compare each further system with the first, over all items and per row.

    Args:
        runs: folder of the finished run by name of the system; at least two.

    Raises:
        EvalError: there are fewer than two, or two runs have no item in common.
    """
    if len(runs) < 2:
        raise EvalError(f"there is nothing to compare: systems {', '.join(runs) or 'none'}")
    answers = {name: scored(read_samples(folder)) for name, folder in runs.items()}
    first, *others = answers
    task = registry.task(TASK)
    rows = []
    for other in others:
        pairs = in_common((first, answers[first]), (other, answers[other]))
        for row, members in _groups(pairs).items():
            ones, twos = [one for one, _ in members], [two for _, two in members]
            found = compare_scored(task, ones, twos, only=(0, 0))
            num_pictures = len({one.item.cluster for one in ones})
            rows.append(ComparedRow(row, first, other, num_pictures, found))
    return rows


def failings(runs: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Number of failures of each kind (`FAILS`) per system; `none` counts items without an answer."""
    found = []
    for name, folder in runs.items():
        samples = read_samples(folder)
        answered = [(each, each.text) for each in samples if each.text is not None]
        counts = {kind: sum(fails(*each) for each in answered) for kind, fails in FAILS.items()}
        lost = len(samples) - len(answered)
        found.append({"system": name, "n": len(samples), **counts, "none": lost})
    return found


def tables(rows: Sequence[ComparedRow], failed: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Tables of rows and failures for the report."""
    header = ("row", "systems", "character errors", "second minus first", "items", "conclusion")
    compared = tuple(TableRow(each.cells(), is_strong=each.row == "all") for each in rows)
    names = ("system", "empty", "loop", "truncated", "no JSON", "no answer", "items")
    keys = ("system", *FAILS, "none", "n")
    fails = tuple(TableRow(tuple(str(each[key]) for key in keys)) for each in failed)
    return [Table("Compared", header, compared), Table("How they fail", names, fails)]


def _groups(pairs: Sequence[tuple[Scored, Scored]]) -> dict[str, list[tuple[Scored, Scored]]]:
    """All pairs, and those of each value of each tag."""
    groups = {"all": list(pairs)}
    for tag in ROWS:
        tagged = [pair for pair in pairs if tag in pair[0].item.tags]
        for value in sorted({one.item.tags[tag] for one, _ in tagged}):
            groups[f"{tag} {value}"] = [each for each in tagged if each[0].item.tags[tag] == value]
    return groups
