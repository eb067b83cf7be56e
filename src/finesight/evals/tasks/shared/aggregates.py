# SPDX-License-Identifier: Apache-2.0
"""Aggregates of scores: means over all items, over the values of a tag, and over groups.

A failed item has no parts and counts as 0, unless the caller gives another value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from finesight.evals.core.task import Aggregate, Scored


class Total(Protocol):
    """Makes an aggregate that is broken down by tags, such as `average`."""

    def __call__(self, *, by: Sequence[str]) -> Aggregate:
        """The aggregate for these tags."""
        ...


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; 0 for an empty sequence."""
    kept = list(values)
    return sum(kept) / len(kept) if kept else 0.0


def part(scored: Scored, key: str, failed: float = 0.0) -> float:
    """One part of an item's score; `failed` where the item has none."""
    return scored.parts.get(key, failed)


def by_tag(scored: Sequence[Scored], tag: str) -> dict[str, list[Scored]]:
    """Items by the value of a tag, in order of first appearance; items without the tag are left out."""
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        if tag in one.item.tags:
            groups.setdefault(one.item.tags[tag], []).append(one)
    return groups


def average(
    key: str = "correct", *, name: str = "accuracy", by: Sequence[str] = (), failed: float = 0.0
) -> Aggregate:
    """The mean over items, the mean per value of each tag, and the mean of those means.

    Args:
        key: part of the score.
        name: of the metric; breakdowns are `name/tag/value`, their means `name/macro/tag`.
        by: tags.
        failed: value of a failed item.
    """

    def total(scored: Sequence[Scored]) -> dict[str, float]:
        metrics = {name: mean(part(one, key, failed) for one in scored)}
        for tag in by:
            means = {
                value: mean(part(one, key, failed) for one in group)
                for value, group in by_tag(scored, tag).items()
            }
            metrics |= {f"{name}/{tag}/{value}": number for value, number in means.items()}
            metrics[f"{name}/macro/{tag}"] = mean(means.values())
        return metrics

    return total


def means(metrics: Mapping[str, str], *more: Aggregate, failed: float = 0.0) -> Total:
    """The means of several parts of the score; the first is broken down by tags.

    Args:
        metrics: part of the score -> name of its mean.
        more: further aggregates whose metrics are added.
        failed: value of a failed item.
    """
    (first, title), *others = metrics.items()

    def total(*, by: Sequence[str]) -> Aggregate:
        rest = [average(key, name=name, failed=failed) for key, name in others]
        sums = [average(first, name=title, by=by, failed=failed), *rest, *more]
        return lambda scored: {key: value for one in sums for key, value in one(scored).items()}

    return total


def circular(*, key: str = "correct", by: Sequence[str] = ()) -> Aggregate:
    """Share of groups whose items are all correct; also the mean over first items and over all items."""

    def total(scored: Sequence[Scored]) -> dict[str, float]:
        groups: dict[str, list[Scored]] = {}
        for one in scored:
            groups.setdefault(one.item.group or one.item.id, []).append(one)
        whole = {
            name: float(all(part(one, key) for one in group)) for name, group in groups.items()
        }
        metrics = {
            "circular": mean(whole.values()),
            "vanilla": mean(part(group[0], key) for group in groups.values()),
            "passes": mean(part(one, key) for one in scored),
        }
        for tag in by:
            for value, members in by_tag(scored, tag).items():
                names = {one.item.group or one.item.id for one in members}
                metrics[f"circular/{tag}/{value}"] = mean(whole[name] for name in names)
        return metrics

    return total
