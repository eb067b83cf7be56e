# SPDX-License-Identifier: Apache-2.0
"""Questions about annotated pictures: detection, referring, pointing, counting, and absent classes.

Prompts and answers are the official ones, as `finesight.data.builders.scene_questions` describes them. All questions
about a picture are one record whose questions are independent: the loader draws some of them.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from finesight.conversation import ImagePart
from finesight.data.builders.scene_questions import (
    CATEGORIES,
    COUNT,
    DETECT,
    NONE,
    POINT_XML,
    REFER,
    plural,
)
from finesight.data.formats.config import Frame
from finesight.data.formats.coordinates import Spot, SpotNumber
from finesight.data.formats.draft import Draft, Piece, Turn
from finesight.data.formats.rows import RowRefused
from finesight.data.record import SceneObject, Truth

__all__ = ["Annotated", "Thing", "draft_of"]

COUNT_ALL = (
    "Please first output bbox coordinates and names of every item in this image in JSON format, "
    "and then answer how many items are there in the image."
)
_MOST_CLASSES = 8
_MOST_ABSENT = 2
_Answer = tuple[str, list[Piece]]


@dataclass(frozen=True, slots=True)
class Thing:
    """One annotated object: its class, and its box `(x1, y1, x2, y2)` in the frame of the picture's annotations."""

    name: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """A picture with its objects.

    Attributes:
        picture: path of the picture.
        things: its objects.
        classes: all classes of the data set.
        unsure: classes about which nothing is asked, because a region has an unknown number of them.
        frame: what the boxes count.
        size: of the picture in pixels, if its annotations state it, for the truth.
    """

    picture: str
    things: Sequence[Thing]
    classes: Sequence[str]
    unsure: frozenset[str] = frozenset()
    frame: Frame = "original"
    size: tuple[int, int] | None = None


@dataclass(slots=True)
class _Asker:
    """Draws the questions of one picture."""

    picture: Annotated
    rng: random.Random
    spots: dict[Thing, Spot] = field(default_factory=dict)

    def named(self, names: Sequence[str]) -> list[Thing]:
        """Its objects of some classes, from the top, then from the left."""
        things = [thing for thing in self.picture.things if thing.name in names]
        return sorted(things, key=lambda thing: (thing.box[1], thing.box[0]))

    def boxes(self, things: Sequence[Thing]) -> list[Piece]:
        """A fenced JSON list, or "none"."""
        if not things:
            return [NONE]
        pieces: list[Piece] = []
        for thing in things:
            spot = self.spots.setdefault(thing, Spot("box", thing.box, self.picture.frame, 0))
            label = json.dumps(thing.name, ensure_ascii=False)
            opening = ",\n\t" if pieces else "```json\n[\n\t"
            pieces += [opening + '{"bbox_2d": [', spot, f'], "label": {label}}}']
        return [*pieces, "\n]\n```"]

    def points(self, things: Sequence[Thing], name: str) -> list[Piece]:
        """The centres as XML, or "none"."""
        if not things:
            return [NONE]
        pieces: list[Piece] = ["```xml\n<points"]
        for number, thing in enumerate(things, 1):
            x1, y1, x2, y2 = thing.box
            spot = Spot("point", ((x1 + x2) / 2, (y1 + y2) / 2), self.picture.frame, 0)
            for axis, letter in enumerate("xy"):
                pieces += [f' {letter}{number}="', SpotNumber(spot, axis), '"']
        return [*pieces, f' alt="{name}">{name}</points>\n```']

    def questions(self, name: str) -> Iterator[_Answer]:
        """About one class; counts are answered by pointing, then the number."""
        things = self.named([name])
        yield DETECT[0].format(name=name), self.boxes(things)
        count: list[Piece] = [*self.points(things, name), f"\n{len(things)}"] if things else ["0"]
        yield COUNT[0].format(plural=plural(name)), count
        yield POINT_XML[-1].format(phrase=name), self.points(things, name)
        if len(things) == 1:
            yield REFER[0].format(phrase=name), self.boxes(things)

    def all_counted(self) -> Iterator[_Answer]:
        """About all objects: their boxes, then their number."""
        things = self.named(self.picture.classes)
        if things and not self.picture.unsure:
            yield COUNT_ALL, [*self.boxes(things), f"\n{len(things)}"]

    def of_classes(self, present: Sequence[str], absent: Sequence[str]) -> Iterator[_Answer]:
        """About a list of classes, some of which may be absent."""
        asked = [*present, *absent]
        self.rng.shuffle(asked)
        if len(asked) > 1:
            question = CATEGORIES[0].format(names=", ".join(asked))
            yield question, self.boxes(self.named(asked))


def draft_of(picture: Annotated, seed: str) -> Draft:
    """The draft of an annotated picture.

    Args:
        picture: with its objects.
        seed: of the choice of absent classes, such as the name of the picture.

    Raises:
        RowRefused: there is no class to ask about.
    """
    asker = _Asker(picture, random.Random(seed))
    # exports of Roboflow have a class and its group under one name
    sure = [name for name in dict.fromkeys(picture.classes) if name not in picture.unsure]
    found = {thing.name for thing in picture.things}
    present = [name for name in sure if name in found]
    others = [name for name in sure if name not in found]
    chosen = asker.rng.sample(present, min(len(present), _MOST_CLASSES))
    absent = asker.rng.sample(others, min(len(others), _MOST_ABSENT))
    turns: list[Turn] = []
    asked = [answer for name in (*chosen, *absent) for answer in asker.questions(name)]
    for question, answer in (*asked, *asker.of_classes(chosen, absent), *asker.all_counted()):
        media: list[Piece] = [] if turns else [ImagePart(source=picture.picture)]
        turns += [Turn("user", [*media, question]), Turn("assistant", answer)]
    if not turns:
        raise RowRefused("columns", "there is no class to ask about")
    return Draft(turns=turns, any_order=True, truth=_truth(picture), stated_size=picture.size)


def _truth(picture: Annotated) -> tuple[Truth, ...]:
    """The objects in whole pixels; empty if the size of the picture is not stated or classes are unsure."""
    if picture.size is None or picture.unsure:
        return ()
    objects = []
    for thing in picture.things:
        x1, x2 = (_clipped(value, picture.size[0]) for value in thing.box[::2])
        y1, y2 = (_clipped(value, picture.size[1]) for value in thing.box[1::2])
        if x1 < x2 and y1 < y2:
            objects.append(SceneObject((x1, y1, x2, y2), thing.name))
    return (Truth(objects=tuple(sorted(objects, key=lambda one: (one.box[1], one.box[0])))),)


def _clipped(value: float, side: int) -> int:
    return min(max(round(value), 0), side) if math.isfinite(value) else 0
