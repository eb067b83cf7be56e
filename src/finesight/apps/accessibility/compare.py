# SPDX-License-Identifier: Apache-2.0
"""What changed between two descriptions of a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any, Literal, TypeAlias

from rapidfuzz import fuzz, utils

from finesight.apps.accessibility.records import CONTROLS, ScreenDescription, SeenElement
from finesight.geometry import iou

__all__ = ["Change", "changes", "find"]

Kind: TypeAlias = Literal["appeared", "disappeared", "renamed", "value", "states", "moved"]
_SAME_PLACE = 0.5
"""Overlap of two boxes at one place."""
_MOVED_SHARE = 0.02
"""Least distance of a move, as a share of the screen's diagonal."""
_LEAST_LIKENESS = 75.0
"""Likeness of a phrase and an element that counts as found, from 0 to 100."""
_NEARLY_BEST = 8.0
"""Elements that are less like the phrase than the best one by more than this are left out."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: what differs.
        before: the element before; None if it appeared.
        after: the element after; None if it disappeared.
    """

    kind: Kind
    before: SeenElement | None
    after: SeenElement | None

    def spoken(self) -> str:
        """The change in words."""
        one = self.after or self.before
        assert one is not None, "a change has an element"
        if self.before is None or self.after is None:
            return f"{self.kind}: {one.spoken()}"
        was = {
            "renamed": self.before.name or "unlabeled",
            "value": self.before.value or "empty",
            "states": ", ".join(self.before.states) or "no state",
            "moved": f"{self.before.box.center.x:.0f}, {self.before.box.center.y:.0f}",
        }[self.kind]
        return f"{self.kind}: {one.spoken()} (was {was})"

    def to_dict(self) -> dict[str, Any]:
        """As JSON: kind, role, names and places."""
        return {
            "kind": self.kind,
            "before": self.before and _short(self.before),
            "after": self.after and _short(self.after),
        }


def changes(before: ScreenDescription, after: ScreenDescription) -> list[Change]:
    """Differences in reading order, those that disappeared last.

    Elements are the same if role and name are equal, the nearest first, else if role and place are.
    """
    diagonal = hypot(after.size.width, after.size.height)
    pairs = _pairs(before.elements, after.elements)
    found = [
        change
        for index, one in enumerate(after.elements)
        for change in _differences(pairs.get(index), one, diagonal)
    ]
    kept = set(map(id, pairs.values()))
    gone = [Change("disappeared", one, None) for one in before.elements if id(one) not in kept]
    return [*found, *gone]


def find(description: ScreenDescription, phrase: str) -> list[SeenElement]:
    """Elements that a phrase names, such as "submit button", the best first; empty if none does."""

    def likeness(one: SeenElement) -> float:
        name = one.name or (one.suggestion.value if one.suggestion else None) or ""
        words = (name, f"{name} {one.role}", f"{one.role} {name}")
        best = max(fuzz.WRatio(phrase, each, processor=utils.default_process) for each in words)
        return best - (0 if one.role in CONTROLS else 1)

    scored = [
        (likeness(one), -index)
        for index, one in enumerate(description.elements)
        if one.name or one.suggestion
    ]
    least = max([_LEAST_LIKENESS, *(likeness - _NEARLY_BEST for likeness, _ in scored)])
    best = sorted((each for each in scored if each[0] >= least), reverse=True)
    return [description.elements[-index] for _, index in best]


def _pairs(before: Sequence[SeenElement], after: Sequence[SeenElement]) -> dict[int, SeenElement]:
    """The earlier element of each later one, by its index."""
    free = dict(enumerate(before))
    pairs: dict[int, SeenElement] = {}
    same_name = [
        (_distance(old, new), i, j)
        for j, new in enumerate(after)
        for i, old in free.items()
        if (old.role, old.name) == (new.role, new.name)
    ]
    same_place = [
        (1 - iou(old.box, new.box), i, j)
        for j, new in enumerate(after)
        for i, old in free.items()
        if old.role == new.role and iou(old.box, new.box) >= _SAME_PLACE
    ]
    for _, i, j in [*sorted(same_name), *sorted(same_place)]:
        if i in free and j not in pairs:
            pairs[j] = free.pop(i)
    return pairs


def _differences(old: SeenElement | None, new: SeenElement, diagonal: float) -> Iterator[Change]:
    if old is None:
        yield Change("appeared", None, new)
        return
    if old.name != new.name:
        yield Change("renamed", old, new)
    if old.value != new.value:
        yield Change("value", old, new)
    if set(old.states) != set(new.states):
        yield Change("states", old, new)
    if _distance(old, new) > _MOVED_SHARE * diagonal:
        yield Change("moved", old, new)


def _distance(first: SeenElement, second: SeenElement) -> float:
    one, other = first.box.center, second.box.center
    return hypot(one.x - other.x, one.y - other.y)


def _short(one: SeenElement) -> dict[str, Any]:
    box = [round(edge, 1) for edge in (one.box.x1, one.box.y1, one.box.x2, one.box.y2)]
    return {
        "role": one.role,
        "name": one.name,
        "value": one.value,
        "states": list(one.states),
        "bounds": box,
    }
