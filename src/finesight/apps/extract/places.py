# SPDX-License-Identifier: Apache-2.0
"""Choose the place of every value of a page: beside its label, or in the row of its list item.

A value can stand at several places of a page. Values of one list item belong to one row; any other value belongs beside
or below words of its own name. A value inside a sentence that contradicts a place with the same label is marked: text
on a page may be written to mislead a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rapidfuzz import fuzz

from finesight.apps.document.records import ReadPage
from finesight.apps.document.text_layer import words_of
from finesight.apps.evidence import Evidence, Match, Score
from finesight.apps.extract.records import Reading, Tree
from finesight.apps.extract.schema import Schema, kind_of
from finesight.apps.numbers import NUMBER, plain, readings
from finesight.apps.quotes import find_quote, page_lines
from finesight.geometry import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Placer"]

_TRUST: dict[Match, float] = {
    "exact": 1.0,
    "spaces": 1.0,
    "case": 0.98,
    "numeric": 0.97,
    "fuzzy": 0.8,
}
"""What a match leaves of the score of a value; a value that its page does not have keeps half."""
_UNPLACED = 0.5
_ROW = 0.7
"""Two boxes whose middles are nearer than this share of their height are in one row."""
_PROSE = 5
"""A text with so many words beside the value is a sentence, and no label."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\dA-Za-z_]+|\d+")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A value to place: its reading, its labels, and the places it can have."""

    path: str
    reading: Reading
    labels: tuple[str, ...]
    places: tuple[Evidence, ...]
    is_text: bool


class Placer:
    """Places the values of one page.

    Args:
        page: as it was read.
        schema: of the values.
        media: index of the file of the page.
        pixels: uint8[H, W, 3], the drawn page.
    """

    def __init__(
        self, page: ReadPage, schema: Schema, media: int, pixels: NDArray[np.uint8] | None
    ) -> None:
        self._page, self._schema, self._media, self._pixels = page, schema, media, pixels
        self._lines = page_lines(page)
        self._taken: list[Box] = []

    def placed(self, tree: Tree) -> Tree:
        """The readings with their evidence; values of lists are placed first."""
        groups: list[list[_Leaf]] = []
        self._collect(tree, self._schema.root, "", "", groups)
        chosen: dict[str, Reading] = {}
        for group in sorted(groups, key=lambda one: "[" not in one[0].path):
            row = self._row(group) if "[" in group[0].path else None
            for leaf in group:
                chosen[leaf.path] = self._settled(leaf, self._choice(leaf, row))
        return _with(tree, "", chosen)

    # ------------------------------------------------------------------------------------------ what is to place

    def _collect(
        self, tree: Tree, node: Any, path: str, name: str, groups: list[list[_Leaf]]
    ) -> None:
        plain_node = self._schema.resolved(node)
        if isinstance(tree, dict):
            properties = self._schema.properties(plain_node)
            rest = plain_node.get("additionalProperties", {})
            own: list[_Leaf] = []
            for key, one in tree.items():
                below = f"{path}.{key}" if path else key
                form = properties.get(key, rest)
                if isinstance(one, Reading):
                    own.append(self._leaf(one, form, below, key))
                else:
                    self._collect(one, form, below, key, groups)
            groups += [own] if own else []
        elif isinstance(tree, list):
            for index, one in enumerate(tree):
                below, form = f"{path}[{index}]", plain_node.get("items", {})
                if isinstance(one, Reading):
                    groups.append([self._leaf(one, form, below, name)])
                else:
                    self._collect(one, form, below, name, groups)

    def _leaf(self, reading: Reading, form: Any, path: str, key: str) -> _Leaf:
        node = self._schema.resolved(form)
        given = [*node.get("x-labels", ()), node.get("title", ""), " ".join(_WORD.findall(key))]
        labels = tuple(str(one) for one in given if one)
        is_text = _is_on_page(node)
        page, pixels = self._page, self._pixels
        places = find_quote(reading.raw, [page], page=page.number, pixels=pixels) if is_text else ()
        placed = tuple(replace(one, media=self._media) for one in places)
        return _Leaf(path, reading, labels, placed, is_text)

    # ----------------------------------------------------------------------------------------------- the choice

    def _row(self, group: Sequence[_Leaf]) -> float | None:
        """Height of the row that most values of a list item share, and that no other item has."""
        free = [
            [one.box for one in leaf.places if one.box and not self._is_taken(one.box)]
            for leaf in group
        ]
        best: tuple[int, float] | None = None
        for box in (one for boxes in free for one in boxes):
            shared = sum(any(_in_row(box, one) for one in boxes) for boxes in free)
            rank = (-shared, box.center.y)
            best = rank if best is None or rank < best else best
        return best and best[1]

    def _choice(self, leaf: _Leaf, row: float | None) -> Evidence | None:
        """The place with the best label, or the nearest to the row; free places come first."""

        def rank(place: Evidence) -> tuple[float, float, float]:
            if place.box is None:
                return (1e9, 0.0, 0.0)
            taken = 0.4 if self._is_taken(place.box) else 0.0
            if row is not None:
                away = abs(place.box.center.y - row) / max(place.box.height, 1.0)
                return (round(away) + taken, place.box.x1, 0.0)
            return (taken - self._label_at(leaf.labels, place.box), place.box.y1, place.box.x1)

        best = min(leaf.places, key=rank, default=None)
        if best is not None and best.box is not None:
            self._taken.append(best.box)
        return best

    def _is_taken(self, box: Box) -> bool:
        return any(
            abs(one.x1 - box.x1) < 1 and abs(one.y1 - box.y1) < 1 and abs(one.x2 - box.x2) < 1
            for one in self._taken
        )

    def _label_at(self, labels: Sequence[str], box: Box) -> float:
        """How well the words before a place, or above it, match one of the labels (0 to 1)."""
        before = [
            (one, text) for text, one in self._lines if _in_row(one, box) and one.x1 < box.x1 - 1
        ]
        beside = " ".join(
            _until(text, one, box.x1) for one, text in sorted(before, key=lambda p: p[0].x1)
        )
        over = [
            (one.y2, text)
            for text, one in self._lines
            if one.x1 < box.x2
            and box.x1 < one.x2
            and one.center.y < box.y1
            and box.y1 - one.y2 < 1.5 * box.height
        ]
        above = max(over)[1] if over else ""
        found = [
            max(_likeness(label, beside[-48:]), 0.9 * _likeness(label, above[:48]))
            for label in labels
        ]
        return max(found, default=0.0)

    # ---------------------------------------------------------------------------------------------- the evidence

    def _settled(self, leaf: _Leaf, place: Evidence | None) -> Reading:
        reading, page = leaf.reading, self._page
        if not leaf.is_text:
            return reading
        if place is None:
            return self._unplaced(reading)
        score = _scaled(reading.score, _TRUST.get(place.match, 1.0), place)
        against = self._contradicted(leaf, place)
        problems = [*reading.problems]
        if against is not None:
            problems.append(
                f"page {page.number}: {reading.raw!r} stands in a sentence, but beside the same label "
                f"stands {against.quote!r}"
            )
        return replace(
            reading,
            score=score,
            evidence=(place, against) if against else (place,),
            problems=tuple(problems),
            is_contradicted=against is not None,
        )

    def _unplaced(self, reading: Reading) -> Reading:
        page = self._page
        wanted = plain(reading.raw).casefold()
        hidden = any(wanted in plain(one.quote).casefold() for one in page.hidden)
        where = (
            "only text that cannot be seen has" if hidden else "the text of the page does not have"
        )
        evidence = Evidence(media=self._media, page=page.index, quote=reading.raw)
        return replace(
            reading,
            score=_scaled(reading.score, _UNPLACED, evidence),
            evidence=(evidence,),
            problems=(*reading.problems, f"page {page.number}: {where} {reading.raw!r}"),
            is_hidden=hidden,
        )

    def _contradicted(self, leaf: _Leaf, place: Evidence) -> Evidence | None:
        """Another value beside the label of a value that stands in a sentence."""
        box, raw = place.box, leaf.reading.raw
        line = next((text for text, one in self._lines if box and _covers(one, box)), "")
        wanted = NUMBER.findall(plain(raw))
        if box is None or not wanted or not _is_prose(line, raw):
            return None
        words = set(_plain_words(line))
        for text, one in self._lines:
            is_labelled = _share_word(set(_plain_words(text)), words) or any(
                _likeness(label, text) > 0.8 for label in leaf.labels
            )
            if not is_labelled or _covers(one, box) or _is_prose(text, ""):
                continue
            value = NUMBER.search(plain(text)) or self._number_at(one)
            if value and not _same(value[0], wanted[0]):
                page, pixels = self._page, self._pixels
                found = find_quote(value[0], [page], page=page.number, pixels=pixels)
                near = [each for each in found if each.box and _is_at(each.box, one)]
                return replace(near[0], media=self._media) if near else None
        return None

    def _number_at(self, label: Box) -> re.Match[str] | None:
        """The number that stands right of a label, or below it."""
        near = [
            (not _in_row(one, label), one.x1, text)
            for text, one in self._lines
            if _is_at(one, label) and one != label and not _is_prose(text, "")
        ]
        found = (NUMBER.search(plain(text)) for _, _, text in sorted(near))
        return next((match for match in found if match), None)


def _is_on_page(node: Mapping[str, Any]) -> bool:
    """Whether the text of a value is one that the page itself has: not that of a tick or of a constant."""
    given = node.get("type", "string")
    types = (given,) if isinstance(given, str) else tuple(given)
    return (
        kind_of(node) == "leaf"
        and "boolean" not in types
        and "const" not in node
        and "enum" not in node
    )


def _with(tree: Tree, path: str, chosen: Mapping[str, Reading]) -> Tree:
    if isinstance(tree, Reading):
        return chosen.get(path, tree)
    if isinstance(tree, dict):
        return {
            key: _with(one, f"{path}.{key}" if path else key, chosen) for key, one in tree.items()
        }
    if isinstance(tree, list):
        return [_with(one, f"{path}[{index}]", chosen) for index, one in enumerate(tree)]
    return None


def _scaled(score: Score, by: float, place: Evidence) -> Score:
    """A score that the quality of a match has lowered; of a match with the text layer alone, if there is no other."""
    if score.value is not None:
        return Score(score.value * by, score.kind, {**score.parts, "match": by})
    if place.source == "pdf_text":
        return Score(by, "match", {"match": by})
    return score


def _in_row(first: Box, second: Box) -> bool:
    return abs(first.center.y - second.center.y) < _ROW * min(first.height, second.height)


def _is_at(box: Box, label: Box) -> bool:
    """Whether a box is in the row of a label, at it or right of it, or directly below it."""
    if _in_row(box, label):
        return box.x1 >= label.x1
    below = box.y1 - label.y2
    return box.x1 < label.x2 and label.x1 < box.x2 and -2 <= below < 1.5 * label.height


def _covers(line: Box, box: Box) -> bool:
    return _in_row(line, box) and line.x1 - 2 <= box.x1 and box.x2 <= line.x2 + 2


def _until(text: str, box: Box, right: float) -> str:
    """The part of a line before a place, by its share of the width."""
    share = (right - box.x1) / max(box.width, 1.0)
    return text if share >= 1 else text[: round(share * len(text))]


def _likeness(label: str, text: str) -> float:
    """Share of the words of a label that a text has, nearly."""
    words, wanted = words_of(text), words_of(label)
    if not wanted or not words:
        return 0.0
    hits = sum(any(fuzz.ratio(one, word) >= 85 for word in words) for one in wanted)
    return hits / len(wanted)


def _plain_words(text: str) -> list[str]:
    return [word for word in words_of(text) if not any(char.isdigit() for char in word)]


def _share_word(first: set[str], second: set[str]) -> bool:
    """Whether two texts share a word of three letters, or two characters of a script without spaces."""
    both = first & second
    return (
        any(len(word) > 2 for word in both)
        or sum(len(w) == 1 and not w.isascii() for w in both) > 1
    )


def _is_prose(text: str, value: str) -> bool:
    """Whether a text has the words of a sentence beside a value."""
    rest = _plain_words(text.replace(value, " ", 1) if value else text)
    long = [word for word in rest if len(word) > 1]
    single = len(rest) - len(long)
    return len(long) >= _PROSE or single >= 2 * _PROSE


def _same(first: str, second: str) -> bool:
    return bool(set(readings(first)) & set(readings(second)))
