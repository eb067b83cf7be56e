# SPDX-License-Identifier: Apache-2.0
"""Adding up: means over all items, over the values of a tag, and over groups.

An item that failed has no parts and counts as 0 everywhere, unless the caller says what it counts as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from finesight.evals.core.task import Scored

Aggregate = Callable[[Sequence[Scored]], Mapping[str, float]]


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; 0 of nothing."""
    kept = list(values)
    return sum(kept) / len(kept) if kept else 0.0


def part(scored: Scored, key: str, failed: float = 0.0) -> float:
    """One number of an item."""
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
        key: the part of the score.
        name: what the metric is called; breakdowns are `name/tag/value`, their means `name/macro/tag`.
        by: tags.
        failed: what a failed item counts as.
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


def joined(*sums: Aggregate) -> Aggregate:
    """The metrics of several sums in one table."""

    def total(scored: Sequence[Scored]) -> dict[str, float]:
        return {key: number for one in sums for key, number in one(scored).items()}

    return total


def circular(*, key: str = "correct", by: Sequence[str] = ()) -> Aggregate:
    """A group counts only if every one of its items is right; beside it the plain mean of items."""

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
