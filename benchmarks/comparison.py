# SPDX-License-Identifier: Apache-2.0
"""Result of a benchmark: our value, a baseline, and the bar for their ratio."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measurement and its baseline.

    Attributes:
        name: what was measured.
        ours: seconds, bytes or a share of this project.
        yardstick: the same quantity of the baseline.
        bar: bound of the ratio: lower bound with `at_least`, else upper bound.
        at_least: the ratio is yardstick / ours (speed-up), and larger is better; else it is ours / yardstick.
        note: another figure to print.
    """

    name: str
    ours: float
    yardstick: float
    bar: float
    at_least: bool
    note: str = ""

    @property
    def ratio(self) -> float:
        """Speed-up, or times the baseline; see `at_least`."""
        return self.yardstick / self.ours if self.at_least else self.ours / self.yardstick

    @property
    def is_met(self) -> bool:
        """Whether the ratio meets the bar."""
        return self.ratio >= self.bar if self.at_least else self.ratio <= self.bar

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        measured = f"{self.ours:.4g} against {self.yardstick:.4g}"
        note = f"; {self.note}" if self.note else ""
        return f"{self.name}: {measured}, ratio {self.ratio:.2f} (bar {sign} {self.bar}){note}"


def best_in_turns(runs: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Shortest time in seconds of each run, over some rounds after a warm-up round; the runs alternate."""
    return [elapsed for elapsed, _ in measured_in_turns(runs, rounds)]


def measured_in_turns(
    runs: Sequence[Callable[[], object]], rounds: int
) -> list[tuple[float, float]]:
    """As `best_in_turns`, with the least processor time of all threads beside it: that of a busy machine is usable."""
    best = [(float("inf"), float("inf"))] * len(runs)
    for round_number in range(rounds + 1):
        for index, run in enumerate(runs):
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
            if round_number:
                best[index] = (min(best[index][0], spent), min(best[index][1], spent_cpu))
    return best


def in_process(module: str, function: str, argument: str) -> dict[str, float]:
    """Run `module.function(argument)` in a new Python process and return the JSON it prints."""
    code = f"from {module} import {function} as run; run({argument!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_ROOT
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def resident_bytes(key: str) -> int:
    """Current (`VmRSS`) or peak (`VmHWM`) memory of this process in bytes; Linux only."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  # measured processes import little
        for line in status:
            if line.startswith(key + ":"):
                return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {key}")
