# SPDX-License-Identifier: Apache-2.0
"""What two scorers are compared on: an answer with its truth, and the way that answer was drawn."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Pair:
    """One answer to one question.

    Attributes:
        kind: the way the answer was drawn, such as "case" or "sentence".
        answer: the text to be scored.
        truth: what the scorers need beside it; plain JSON.
        meant: what a reader would take the answer to say; None where that is not known or nothing.
    """

    kind: str
    answer: str
    truth: Mapping[str, Any]
    meant: str | None = field(default=None)


Draw = Callable[[random.Random], Pair]


def drawn(draw: Draw, name: str, count: int) -> list[Pair]:
    """The same pairs for the same name."""
    chance = random.Random(f"{name} 1")
    return [draw(chance) for _ in range(count)]


def one_of(*draws: Draw) -> Draw:
    """One of several ways, each as likely as the others."""
    return lambda chance: chance.choice(draws)(chance)


def edited(text: str, chance: random.Random, count: int) -> str:
    """A text with letters put in, taken out or changed."""
    letters = list(text)
    for _ in range(count):
        place = chance.randrange(len(letters) + 1)
        way = chance.choice(("put", "take", "change"))
        if way == "put" or place == len(letters):
            letters.insert(place, chance.choice("abcxyz019 "))
        elif way == "take":
            letters.pop(place)
        else:
            letters[place] = chance.choice("abcxyz019 ")
    return "".join(letters)


def by_kind(pairs: Sequence[Pair]) -> Iterator[tuple[str, int]]:
    """Ways with the number of their pairs."""
    kinds = [pair.kind for pair in pairs]
    return ((kind, kinds.count(kind)) for kind in sorted(set(kinds)))
