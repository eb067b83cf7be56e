# SPDX-License-Identifier: Apache-2.0
"""Clustered standard errors and bootstrap intervals: answers about one picture are correlated.

A *unit* is scored as a whole: an item, or the items of one group. For a metric that is the mean of its units, resamples
use sums per cluster. Any other metric (mean of means, average precision) is recomputed on each resample; there are
fewer of them, and the interval is the value plus or minus a multiple of its bootstrap error.

Source: E. Miller, "Adding Error Bars to Evals", arXiv:2411.00640 (clustered standard errors).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose, nan, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from finesight.evals.core.task import Item, Scored, Task

NUM_RESAMPLES = 2000
NUM_SLOW_RESAMPLES = range(20, 201)
"""Bounds of the number of resamples of a metric that must be recomputed; `_MOST_SCORED` decides within them."""
_MOST_SCORED = 100_000
"""Items scored for one error bar; average precision takes about half a millisecond for each."""
_PROBE = 20
"""Number of units of a first, cheap test whether a metric is a mean."""
CONFIDENCE = 0.95
SEED = 42
_MOST_CELLS = 4_000_000
"""Counts drawn at once; bounds memory."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """Uncertainty of a metric.

    Attributes:
        standard_error: clustered; NaN if there is only one cluster.
        low: lower end of the bootstrap interval.
        high: upper end.
        num_resamples: of the bootstrap.
        num_clusters: independent pictures, videos or units.
    """

    standard_error: float
    low: float
    high: float
    num_resamples: int
    num_clusters: int


def main_value(task: Task, items: Sequence[Scored]) -> float:
    """The main metric; 0 without items."""
    return float(task.aggregate(items)[task.main]) if items else 0.0


def unit_of(item: Item) -> str:
    """Name of the unit: the item's group, or the item."""
    return item.id if item.group is None else f"group {item.group}"


def cluster_of(item: Item) -> str:
    """Name of the cluster: picture or video, else the unit."""
    return unit_of(item) if item.cluster is None else f"cluster {item.cluster}"


def unit_values(task: Task, items: Sequence[Scored]) -> dict[str, float] | None:
    """The main metric of each unit alone; None if the metric of all items is not their mean."""
    units = grouped(items, unit_of)
    probe = [each for members in list(units.values())[:_PROBE] for each in members]
    if len(units) > _PROBE and unit_values(task, probe) is None:
        return None
    values: dict[str, float] = {}
    for unit, members in units.items():
        try:
            values[unit] = float(task.aggregate(members)[task.main])
        except (ArithmeticError, LookupError, ValueError):
            return None  # the metric is undefined for a single unit
    mean = sum(values.values()) / max(len(values), 1)
    return values if isclose(mean, main_value(task, items), rel_tol=1e-9, abs_tol=1e-9) else None


def spread(task: Task, items: Sequence[Scored]) -> Spread:
    """Standard error and interval of the main metric."""
    clusters = grouped(items, cluster_of)
    values = unit_values(task, items) if items else None
    if values is None:
        drawn = slow_resamples(clusters, lambda sample: main_value(task, sample))
        error = float(np.std(drawn, ddof=1)) if len(clusters) > 1 else nan
        low, high = wide_interval(main_value(task, items), drawn)
    else:
        sums, counts = cluster_sums(values, clusters)
        drawn = resampled_means(sums, counts)
        error = clustered_error(sums, counts)
        low, high = interval(drawn)
    return Spread(error, low, high, len(drawn), len(clusters))


def cluster_sums(
    values: Mapping[str, float], clusters: dict[str, list[Scored]]
) -> tuple[Floats, Floats]:
    """Sum of the units of each cluster, and their number: `float64[C]` each.

    A unit with items in several clusters belongs to the first of them.
    """
    cluster = {unit_of(each.item): name for name in reversed(clusters) for each in clusters[name]}
    sums, counts = dict.fromkeys(clusters, 0.0), dict.fromkeys(clusters, 0.0)
    for unit, name in cluster.items():
        sums[name] += values[unit]
        counts[name] += 1
    kept = [name for name in clusters if counts[name]]
    return np.array([sums[name] for name in kept]), np.array([counts[name] for name in kept])


def clustered_error(sums: Floats, counts: Floats) -> float:
    """Standard error of a mean of clustered units, with the correction for few clusters."""
    if len(sums) < 2:
        return nan
    residuals = sums - counts * (sums.sum() / counts.sum())
    correction = len(sums) / (len(sums) - 1)
    return sqrt(float((residuals**2).sum()) * correction) / float(counts.sum())


def resampled_means(sums: Floats, counts: Floats, *, seed: int = SEED) -> Floats:
    """Means of bootstrap resamples of clusters: `float64[num_resamples]`."""
    generator = np.random.default_rng(seed)
    num_clusters = len(sums)
    at_once = max(1, _MOST_CELLS // num_clusters)
    means: list[Floats] = []
    left = NUM_RESAMPLES
    while left > 0:
        size = min(left, at_once)
        drawn = generator.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size)
        means.append((drawn @ sums) / (drawn @ counts))
        left -= size
    return np.concatenate(means)


def interval(drawn: Floats) -> tuple[float, float]:
    """Quantile interval of resampled values."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def wide_interval(value: float, drawn: Floats) -> tuple[float, float]:
    """Normal interval around a value, for too few resamples to estimate quantiles."""
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(np.std(drawn, ddof=1))
    return value - reach, value + reach


def slow_resamples(
    clusters: Mapping[str, Sequence[Scored]], value_of: Callable[[list[Scored]], float]
) -> Floats:
    """A metric recomputed on bootstrap resamples of clusters: `float64[num_resamples]`."""
    if not clusters:
        return np.zeros(2)
    members = list(clusters.values())
    wanted = _MOST_SCORED // sum(len(each) for each in members)
    number = min(max(wanted, NUM_SLOW_RESAMPLES[0]), NUM_SLOW_RESAMPLES[-1])
    generator = np.random.default_rng(SEED)
    picks = generator.integers(len(members), size=(number, len(members))).tolist()
    return np.array([value_of(redrawn(members, row)) for row in picks])


def redrawn(clusters: Sequence[Sequence[Scored]], picks: Iterable[int]) -> list[Scored]:
    """Items of the drawn clusters; repeated clusters get ids and groups of their own."""
    times: dict[int, int] = {}
    items: list[Scored] = []
    for pick in picks:
        copy = times[pick] = times.get(pick, 0) + 1
        items += clusters[pick] if copy == 1 else (_copied(each, copy) for each in clusters[pick])
    return items


def _copied(scored: Scored, copy: int) -> Scored:
    item = scored.item
    group = None if item.group is None else f"{item.group}~{copy}"
    return replace(scored, item=replace(item, id=f"{item.id}~{copy}", group=group))


def grouped(items: Iterable[Scored], name_of: Callable[[Item], str]) -> dict[str, list[Scored]]:
    """Items by the name of their unit or cluster, in order of appearance."""
    groups: dict[str, list[Scored]] = {}
    for each in items:
        groups.setdefault(name_of(each.item), []).append(each)
    return groups
