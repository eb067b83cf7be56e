# SPDX-License-Identifier: Apache-2.0
"""Asks both sides about the same pairs and sorts what differs into the classes that are listed."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.interop.ours import Ours
from tests.interop.pairs import Draw, Pair, drawn

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".harnesses" / "bin" / "python"
"""The interpreter of the environment that `scripts/harness-venv.sh` makes."""

COUNT = 1000
TOLERANCE = 1e-6
"""Both sides add up the same few floats, in another order."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One rule of ours against one of theirs.

    Attributes:
        name: of the metric.
        rule: the function of `peers` that calls theirs.
        ours: gives our value.
        draw: makes pairs.
        is_copy: our rule is theirs made again, so that nothing may differ.
        count: pairs drawn.
    """

    name: str
    rule: str
    ours: Ours
    draw: Draw
    is_copy: bool = False
    count: int = COUNT

    @property
    def key(self) -> str:
        return f"{self.name} {self.rule}"


@dataclass(frozen=True, slots=True)
class Case:
    """One pair with what both sides say of it."""

    pair: Pair
    ours: Any
    theirs: Any
    raised: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A way in which the two sides differ, and who is right.

    Attributes:
        name: of the class.
        rules: functions of `peers` it belongs to.
        holds: whether a case is of the class.
        example: an answer, its truth, our value and theirs.
        right: "ours", "theirs", "neither" or "both" where each keeps to its own definition.
        why: the reason, by the official code or the definition.
        names: metrics it belongs to; none stands for all.
    """

    name: str
    rules: tuple[str, ...]
    holds: Callable[[Case], bool]
    example: tuple[str, dict[str, Any], Any, Any]
    right: str
    why: str
    names: tuple[str, ...] = ()

    def is_about(self, comparison: Comparison) -> bool:
        is_named = not self.names or comparison.name in self.names
        return comparison.rule in self.rules and is_named and not comparison.is_copy


@dataclass(slots=True)
class Findings:
    """What came of one comparison."""

    comparison: Comparison
    num_equal: int = 0
    listed: Counter[str] = field(default_factory=Counter)
    unlisted: list[Case] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.num_equal + sum(self.listed.values()) + len(self.unlisted)


class Worker:
    """The process in the other environment; used as a context."""

    def __enter__(self) -> Worker:
        self._process = subprocess.Popen(
            [PYTHON, "-m", "tests.interop.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def ask(self, rule: str, pair: Pair) -> dict[str, Any]:
        """What their rule gives: `score`, or `raised`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"rule": rule, "answer": pair.answer, "truth": dict(pair.truth)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended while it was asked {asked}")
        return dict(json.loads(line))


def are_equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return abs(ours - theirs) <= TOLERANCE
    return bool(ours == theirs)


def case_of(worker: Worker, comparison: Comparison, pair: Pair) -> Case:
    given = worker.ask(comparison.rule, pair)
    return Case(pair, comparison.ours(pair), given.get("score"), given.get("raised", ""))


def findings_of(
    worker: Worker,
    comparison: Comparison,
    differences: Sequence[Difference],
    pairs: Sequence[Pair] | None = None,
) -> Findings:
    """Compare on drawn pairs, or on these; each case that differs goes to the first class that holds."""
    found = Findings(comparison)
    about = [each for each in differences if each.is_about(comparison)]
    for pair in pairs or drawn(comparison.draw, comparison.key, comparison.count):
        case = case_of(worker, comparison, pair)
        if not case.raised and are_equal(case.ours, case.theirs):
            found.num_equal += 1
            continue
        listed = next((each for each in about if each.holds(case)), None)
        if listed is None:
            found.unlisted.append(case)
        else:
            found.listed[listed.name] += 1
    return found
