# SPDX-License-Identifier: Apache-2.0
"""Paired comparison of two runs over their common items.

Scores of two runs on the same items are correlated, so the bootstrap resamples differences per picture. This gives
narrower intervals than two separate ones.

Sources: McNemar 1947, exact binomial form; Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 8 (paired
data).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finesight.errors import EvalError
from finesight.evals.core.journal import read_samples
from finesight.evals.core.scoring import scored
from finesight.evals.core.settings import read_settings
from finesight.evals.core.statistics import (
    cluster_of,
    cluster_sums,
    grouped,
    interval,
    main_value,
    resampled_means,
    slow_resamples,
    unit_values,
    wide_interval,
)
from finesight.evals.core.task import Scored, Task
from finesight.evals.metrics.extras import required


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs over their common items.

    Attributes:
        task: the benchmark.
        main: the metric compared.
        unit: its factor when printed.
        first: its value in the first run.
        second: its value in the second.
        difference: second minus first.
        interval: of the difference, paired bootstrap, 95 %.
        num_resamples: of the bootstrap.
        n: common items.
        only_first: items that only the first run has.
        only_second: items that only the second run has.
        lost: units right in the first run only; None where units are not simply right or wrong. Where lower is better,
            a unit of value 0 is right.
        gained: units right in the second run only.
        p_value: exact two-sided McNemar test on these two numbers.
    """

    task: str
    main: str
    unit: float
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    num_resamples: int
    n: int
    only_first: int
    only_second: int
    lost: int | None
    gained: int | None
    p_value: float | None

    def lines(self) -> list[str]:
        """The comparison as lines of text."""
        first, second, difference = (
            value * self.unit for value in (self.first, self.second, self.difference)
        )
        low, high = (end * self.unit for end in self.interval)
        lines = [
            f"{self.task}: {self.main} {first:.2f} -> {second:.2f}, "
            f"difference {difference:+.2f} [{low:+.2f}, {high:+.2f}] over {self.n} common items"
        ]
        if self.only_first or self.only_second:
            only = f"{self.only_first} items of the first, {self.only_second} of the second"
            lines.append(f"not common: {only}")
        if self.p_value is not None:
            counts = f"lost {self.lost}, gained {self.gained}"
            lines.append(f"{counts}, McNemar p = {self.p_value:.4g}")
        return lines


def compare(first: Path, second: Path, task: Task) -> Comparison:
    """Compare two runs of one benchmark.

    Args:
        first: folder of a run, such as the baseline.
        second: folder of the other.
        task: their benchmark.

    Raises:
        EvalError: one holds another benchmark, or they have no item in common.
    """
    for folder in (first, second):
        read_settings(folder, task)
    a, b = (scored(read_samples(folder)) for folder in (first, second))
    pairs = in_common((str(first), a), (str(second), b))
    ones, twos = [one for one, _ in pairs], [two for _, two in pairs]
    return compare_scored(task, ones, twos, only=(len(a) - len(pairs), len(b) - len(pairs)))


def in_common(
    first: tuple[str, Sequence[Scored]], second: tuple[str, Sequence[Scored]]
) -> list[tuple[Scored, Scored]]:
    """Pairs of the items that two runs share, in the order of the first.

    Args:
        first: name and items of one run.
        second: of the other.

    Raises:
        EvalError: there is none.
    """
    by_id = {each.item.id: each for each in second[1]}
    pairs = [(each, by_id[each.item.id]) for each in first[1] if each.item.id in by_id]
    if not pairs:
        sizes = " and ".join(f"{name} ({len(items)} items)" for name, items in (first, second))
        raise EvalError(f"{sizes} share no item")
    return pairs


def compare_scored(
    task: Task, first: Sequence[Scored], second: Sequence[Scored], *, only: tuple[int, int]
) -> Comparison:
    """Compare scores of the same items in the same order.

    Args:
        task: the benchmark.
        first: of one run.
        second: of the other.
        only: numbers of items that only the first and only the second run has.
    """
    one, two = unit_values(task, first), unit_values(task, second)
    before, after = main_value(task, first), main_value(task, second)
    lost = gained = p_value = None
    if one is not None and two is not None:
        differences = {unit: two[unit] - one[unit] for unit in one}
        drawn = resampled_means(*cluster_sums(differences, grouped(first, cluster_of)))
        ends = interval(drawn)
        if {*one.values(), *two.values()} <= {0.0, 1.0}:
            lost = sum(each < 0 for each in differences.values())
            gained = sum(each > 0 for each in differences.values())
            lost, gained = (lost, gained) if task.higher_is_better else (gained, lost)
            p_value = mcnemar(lost, gained)
    else:  # equal seeds: both runs are resampled on the same clusters
        draws = [
            slow_resamples(grouped(items, cluster_of), lambda drawn: main_value(task, drawn))
            for items in (first, second)
        ]
        drawn = draws[1] - draws[0]
        ends = wide_interval(after - before, drawn)
    return Comparison(
        task=task.name,
        main=task.main,
        unit=task.unit,
        first=before,
        second=after,
        difference=after - before,
        interval=ends,
        num_resamples=len(drawn),
        n=len(first),
        only_first=only[0],
        only_second=only[1],
        lost=lost,
        gained=gained,
        p_value=p_value,
    )


def mcnemar(lost: int, gained: int) -> float:
    """Exact two-sided McNemar p-value of these numbers of changed units; 1 where the runs agree.

    Raises:
        EvalError: scipy is not installed.
    """
    if lost + gained == 0:
        return 1.0
    with required("scipy", "the comparison of two runs"):
        from scipy.stats import binomtest
    return float(binomtest(gained, lost + gained, 0.5).pvalue)
