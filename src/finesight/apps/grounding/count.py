# SPDX-License-Identifier: Apache-2.0
"""The question "How many?" as a check of the number of things that were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finesight.apps.crop import Crop, ask_about, crop
from finesight.apps.evidence import Score
from finesight.apps.grounding.detect import Search
from finesight.apps.grounding.prompts import COUNT_PROMPT
from finesight.apps.grounding.records import Thing, corners
from finesight.apps.grounding.tile import share
from finesight.conversation import Sampling
from finesight.errors import FinesightError
from finesight.geometry import Box
from finesight.parse.numbers import read_count
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Tally", "tally"]

_SAMPLING = Sampling(max_new_tokens=512)
"""Some models list the things before the number."""
_INSIDE = 0.5
"""A thing counts in a tile if at least this share of it is inside."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers of one phrase in each tile, by the question and by what was found.

    Attributes:
        tiles: the tiles whose answer has a number.
        asked: that number.
        found: number of things in the tile.
        problems: answers without a number.
    """

    tiles: tuple[Box, ...] = ()
    asked: tuple[int, ...] = ()
    found: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def unequal(self) -> list[Box]:
        """The tiles whose numbers differ."""
        rows = zip(self.tiles, self.asked, self.found, strict=True)
        return [tile for tile, asked, found in rows if asked != found]

    @property
    def difference(self) -> int:
        """How far the sums are apart."""
        return abs(sum(self.asked) - sum(self.found))

    @property
    def is_conflict(self) -> bool:
        """Whether the sums are further apart than one, and than a tenth of what was found."""
        return self.difference > max(1.0, 0.1 * sum(self.found))

    @property
    def score(self) -> Score:
        """The agreement of the sums: 1 if they are equal."""
        if not self.tiles:
            return Score(None, "agreement")
        asked, found = sum(self.asked), sum(self.found)
        agreement = 1.0 - self.difference / max(asked, found, 1)
        return Score(agreement, "agreement", {"asked": asked, "found": found})

    def recounted(self, things: Sequence[Thing]) -> Tally:
        """The same answers beside other things."""
        return Tally(
            self.tiles,
            self.asked,
            tuple(_inside(things, tile) for tile in self.tiles),
            self.problems,
        )


def tally(
    responder: Responder,
    pixels: NDArray[np.uint8],
    tiles: Sequence[Box],
    phrase: str,
    things: Sequence[Thing],
    search: Search,
) -> Tally:
    """Ask for the number of things in each tile.

    Args:
        responder: answers.
        pixels: uint8[H, W, 3], the picture.
        tiles: its parts.
        phrase: what is counted.
        things: what was found of it.
        search: its pixel budgets.
    """
    kept: list[Box] = []
    numbers: list[int] = []
    problems: list[str] = []
    for tile in tiles:
        number = _number(responder, crop(pixels, tile), phrase, search)
        if isinstance(number, str):
            problems.append(f"how many there are is not known: {number}")
        else:
            kept.append(tile)
            numbers.append(number)
    return Tally(tuple(kept), tuple(numbers), (), tuple(problems)).recounted(things)


def _number(responder: Responder, part: Crop, phrase: str, search: Search) -> int | str:
    """The number of things in a part of a picture, or why it is not known."""
    try:
        answer = ask_about(
            responder,
            [part],
            COUNT_PROMPT.format(phrase=phrase),
            _SAMPLING,
            min_pixels=search.min_pixels,
            max_pixels=search.max_pixels,
        )[0]
    except FinesightError as error:
        return error.message
    number = read_count(answer.text)
    said = " ".join(answer.text.split())[:80] or "(nothing)"
    return f"the answer does not have one number: {said}" if number is None else number


def _inside(things: Sequence[Thing], tile: Box) -> int:
    """How many things lie in a tile, by at least half."""
    count = 0
    for thing in things:
        if thing.evidence.box is None:
            count += tile.contains(thing.center)
        else:
            count += share(Box(*corners(thing)), tile) >= _INSIDE
    return count
