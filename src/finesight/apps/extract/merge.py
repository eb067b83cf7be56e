# SPDX-License-Identifier: Apache-2.0
"""Join the readings of all pages into the user's structure: types, absent values, conflicts, lists over pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finesight.apps.evidence import Coverage, Found, Score
from finesight.apps.extract.records import Reading, Tree
from finesight.apps.extract.schema import Node, Schema, kind_of
from finesight.apps.extract.values import Typed, typed

__all__ = ["Merger"]

_LEFT_OUT = object()
"""A value that is absent and that the schema lets one leave out."""


class Merger:
    """Joins pages.

    Args:
        schema: of the values.
        coverage: pages that were read; without all of them nothing is called absent.
        mark: decimal mark of the document; empty if it is not known.
    """

    def __init__(self, schema: Schema, coverage: Coverage, mark: str = "") -> None:
        self._schema, self._coverage, self._mark = schema, coverage, mark
        self.fields: dict[str, Found[Any]] = {}
        """Every value by path."""
        self.problems: list[str] = []

    def joined(self, trees: Sequence[Tree]) -> Any:
        """The data; `fields` and `problems` are filled on the way.

        Args:
            trees: of the pages, in order.
        """
        return self._value(list(trees), self._schema.root, "", is_required=True)

    def _value(self, trees: Sequence[Tree], node: Any, path: str, *, is_required: bool) -> Any:
        plain = self._schema.resolved(node)
        present = [one for one in trees if one is not None]
        kind = kind_of(plain)
        if kind == "leaf":
            found, value = self._leaf([one for one in present if isinstance(one, Reading)], plain)
            self.fields[path] = found
            return self._absent(node, path, is_required) if value is None else value
        if kind == "array":
            return self._items(present, plain, path)
        members = [one for one in present if isinstance(one, dict)]
        if path and not members:
            self._note_absent(plain, path, ())
            if not is_required:
                return _LEFT_OUT if not self._schema.is_nullable(node) else None
            if self._schema.is_nullable(node):
                return None
        return self._members(members, plain, path)

    def _members(self, trees: Sequence[dict[str, Tree]], node: Node, path: str) -> dict[str, Any]:
        properties = self._schema.properties(node)
        if not properties:
            rest = node.get("additionalProperties", {})
            properties = {key: rest for tree in trees for key in tree}
        data = {}
        for key, one in properties.items():
            below = f"{path}.{key}" if path else key
            is_required = key in node.get("required", ())
            value = self._value(
                [tree.get(key) for tree in trees], one, below, is_required=is_required
            )
            if value is not _LEFT_OUT:
                data[key] = value
        return data

    def _items(self, trees: Sequence[Tree], node: Node, path: str) -> list[Any]:
        items = [item for tree in trees if isinstance(tree, list) for item in tree]
        if not items:
            self.fields[path] = self._nothing()
        form = node.get("items", {})
        return [
            self._value([item], form, f"{path}[{index}]", is_required=True)
            for index, item in enumerate(items)
        ]

    def _leaf(self, readings: Sequence[Reading], node: Node) -> tuple[Found[Any], Any]:
        """The value of all its readings, and what stands in the data."""
        if not readings:
            return self._nothing(), None
        kinds = [typed(one.raw, node, mark=self._mark) for one in readings]
        order = sorted(range(len(readings)), key=lambda at: -(readings[at].score.value or 0.0))
        best = next((at for at in order if kinds[at].status == "found"), order[0])
        values = {_key(kinds[at]) for at in order if kinds[at].status == "found"}
        is_conflict = len(values) > 1 or any(one.is_contradicted for one in readings)
        status = "conflict" if is_conflict else kinds[best].status
        problems = [text for one in readings for text in one.problems]
        problems += [one.problem for one in kinds if one.problem]
        if len(values) > 1:
            told = ", ".join(f"{one.raw!r} on page {one.page}" for one in readings)
            problems.append(f"places disagree: {told}")
        if readings[best].is_hidden:
            status = "invalid"
        value = kinds[best].value if status in ("found", "conflict") else None
        found = Found(
            value=value,
            raw=readings[best].raw,
            status=status,
            score=_best(readings, best, is_conflict=is_conflict),
            evidence=tuple(place for one in readings for place in one.evidence),
            problems=tuple(dict.fromkeys(problems)),
        )
        types = node.get("type", "string")
        keeps_text = "string" in types and not {"enum", "const"} & node.keys()
        if value is None and keeps_text and not readings[best].is_hidden:
            return found, readings[best].raw
        return found, value

    def _nothing(self) -> Found[Any]:
        if self._coverage.is_full:
            return Found(status="absent")
        missing = ", ".join(one.what for one in self._coverage.skipped)
        return Found(status="unread", problems=(f"not read: {missing or 'some pages'}",))

    def _note_absent(self, node: Node, path: str, inside: tuple[int, ...]) -> None:
        """Every single value of an object that no page has is absent, too; a structure within itself ends there."""
        if id(node) in inside or kind_of(node) != "object":
            self.fields[path] = self._nothing()
            return
        for key, one in self._schema.properties(node).items():
            below = self._schema.resolved(one)
            self._note_absent(below, f"{path}.{key}", (*inside, id(node)))

    def _absent(self, node: Any, path: str, is_required: bool) -> Any:
        if self._schema.is_nullable(node):
            return None
        if not is_required:
            return _LEFT_OUT
        status = self.fields[path].status
        self.problems.append(f"{path} is required and cannot be null, but it is {status}")
        return None


def _key(value: Typed) -> str:
    """Values that count as equal: texts without their case."""
    return repr(value.value).casefold()


def _best(readings: Sequence[Reading], best: int, *, is_conflict: bool) -> Score:
    """The score of the best reading; of a conflict, halved for each reading that disagrees."""
    score = readings[best].score
    if not is_conflict or score.value is None:
        return score
    return Score(score.value / 2, score.kind, {**score.parts, "conflict": 0.5})
