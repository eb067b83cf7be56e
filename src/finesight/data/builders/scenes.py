# SPDX-License-Identifier: Apache-2.0
"""Small scenes: drawings, coloured shapes and words on a background, with exact boxes and several questions each.

Half of the scenes have a crowd: one to ten objects of one name, all numbers about equally often, so that a count cannot
be guessed. Objects overlap at most by a given share, and their colours differ from the background.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.data.builders.options import CELL, Range, Share
from finesight.data.builders.paper import MAX_SIDE, Colour, background, contrast, wear
from finesight.data.builders.phrases import PhraseSource
from finesight.data.builders.scene_questions import ScenePlan, ask
from finesight.data.builders.sprites import (
    COLOURS,
    SHAPES,
    Cutout,
    icon_cutout,
    shape_cutout,
    word_cutout,
)
from finesight.data.record import Record, SceneObject, Truth
from finesight.data.sources.concepts import alike
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.icons import IconLibrary
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError

__all__ = ["Scenes", "ScenesConfig"]

PLACE_TRIES = 24
NUM_ABSENT = 6
MAX_SAME_COVERED = 0.06
"""Largest covered share of a box by an object of the same name, so that they can be counted."""
MIN_COLOUR_DISTANCE = 60.0
"""Least distance in RGB between the mean colour of an object and the background."""

_Box = tuple[int, int, int, int]
"""`(x1, y1, x2, y2)` in pixels."""


class ScenesConfig(Settings):
    """Options of scenes."""

    split: Split = Field("train", description="split of the drawings, fonts and words")
    sides: Range = Field((140, 280), description="shortest and longest side, in pixels")
    sprite_pixels: Range = Field(
        (24, 80), description="range of the longer side of an object, in pixels"
    )
    max_objects: int = Field(10, ge=1, description="largest number of objects of one name")
    crowd_share: Share = Field(0.55, description="share of scenes with a crowd")
    empty_share: Share = Field(0.02, description="share of scenes without objects")
    shape_share: Share = Field(0.15, description="share of objects that are shapes")
    word_share: Share = Field(0.20, description="share of scenes with words")
    absent_share: Share = Field(
        0.25, description="share of questions by object name that ask for an absent object"
    )
    max_covered: float = Field(
        0.3, ge=0, le=0.4, description="largest share of a box that another object covers"
    )
    tilt_degrees: float = Field(12.0, ge=0, description="largest rotation of a drawing")
    vary_drawings: Share = Field(
        0.0, description="strength of changes of a drawing's aspect ratio, shear and colours"
    )
    turns: Range = Field((2, 4), description="fewest and most questions")
    difficulty: Share = Field(0.2, description="largest strength of degradations")

    @model_validator(mode="after")
    def _ranges(self) -> ScenesConfig:
        if self.sides[0] % CELL or self.sides[1] > MAX_SIDE:
            raise ConfigError(
                f"sides {self.sides}, expected a multiple of {CELL} and at most {MAX_SIDE}"
            )
        return self


@dataclass(frozen=True, slots=True)
class _Placed:
    cutout: Cutout
    left: int
    top: int

    @property
    def box(self) -> _Box:
        width, height = self.cutout.picture.size
        return self.left, self.top, self.left + width, self.top + height


class Scenes:
    """Draws scene records.

    Args:
        config: what to draw.
        icons: sprites of the drawings.
        fonts: the font catalogue, for words.
        words: word lists of the config's split.
    """

    def __init__(
        self, config: ScenesConfig, icons: IconLibrary, fonts: FontCatalogue, words: WordLists
    ) -> None:
        self.config = config
        self.icons = icons
        self.fonts = fonts
        self.phrases = PhraseSource(words, 0.0)
        self.names = icons.names(config.split)

    def record(self, record_id: str, seed: int) -> Record:
        """Draw the record of a seed; the same seed, config and assets give the same record."""
        rng = random.Random(seed)
        config = self.config
        difficulty = config.difficulty * rng.random()
        low, high = config.sides
        width, height = (rng.randrange(low, high + 1, CELL) for _ in range(2))
        names, target = self._names(rng)
        placed = self._place(rng, names, (width, height))
        paper = self._background(rng, [item.cutout.colour for item in placed])
        if rng.random() < config.word_share:
            placed += self._words(rng, paper, placed, (width, height))
        canvas = Image.fromarray(background(rng, paper, (width, height), 0.4 + 0.6 * difficulty))
        for item in placed:
            canvas.paste(item.cutout.picture, (item.left, item.top), item.cutout.picture)
        image = wear(np.array(canvas), rng, difficulty)
        plan = self._plan(rng, placed, target)
        turns = ask(rng, plan, rng.randint(*config.turns), config.absent_share)
        return Record.of_picture(
            id=record_id,
            image=np.ascontiguousarray(image),
            turns=tuple((turn.question, turn.answer) for turn in turns),
            truth=Truth(objects=plan.objects),
            meta={
                "split": config.split,
                "generator": "scenes/2",
                "seed": seed,
                "tasks": [dict(turn.task) for turn in turns],
                "sources": sorted({item.cutout.source for item in placed if item.cutout.source}),
                "words": sorted(plan.words),
                "difficulty": round(difficulty, 3),
            },
        )

    def _names(self, rng: random.Random) -> tuple[list[str], str]:
        """Names of the objects to place, and the name of the crowd or ""."""
        roll = rng.random()
        if roll < self.config.empty_share:
            return [], ""
        if roll < self.config.empty_share + self.config.crowd_share:
            target, most = self._some_name(rng), self.config.max_objects
            count = rng.choices(
                range(1, most + 1), [0.5] + [1.0 + 0.06 * n for n in range(1, most)]
            )[0]
            others = [self._some_name(rng) for _ in range(rng.randint(0, min(4, 11 - count)))]
            names = [target] * count + [name for name in others if name != target]
            return names, target
        names = [self._some_name(rng) for _ in range(rng.randint(1, 6))]
        names += [rng.choice(names) for _ in range(rng.randint(0, 2))]
        return names, ""

    def _some_name(self, rng: random.Random) -> str:
        if rng.random() < self.config.shape_share:
            return f"{rng.choice(list(COLOURS))} {rng.choice(SHAPES)}"
        return rng.choice(self.names)

    def _place(
        self, rng: random.Random, names: Sequence[str], size: tuple[int, int]
    ) -> list[_Placed]:
        """Objects at free places, largest first; one that fits nowhere is made smaller, down to 14 pixels."""
        low, high = self.config.sprite_pixels
        fitting = int(0.85 * (size[0] * size[1] / max(1, len(names))) ** 0.5)
        high = max(low + 4, min(high, fitting))
        sizes = sorted((rng.randint(low, high) for _ in names), reverse=True)
        order = list(names)
        rng.shuffle(order)
        placed: list[_Placed] = []
        for name, pixels in zip(order, sizes, strict=True):
            while True:
                cutout = self._cutout(rng, name, pixels)
                found = _free_place(rng, cutout, size, placed, max_covered=self.config.max_covered)
                if found:
                    placed.append(found)
                    break
                pixels = int(pixels * 0.85)
                if pixels < 14:  # the picture is full; a smaller object could not be recognised
                    break
        return placed

    def _cutout(self, rng: random.Random, name: str, pixels: int) -> Cutout:
        colour, _, shape = name.partition(" ")
        if shape in SHAPES:
            return shape_cutout(rng, colour, shape, pixels)
        drawing = rng.choice(self.icons.drawings_of(self.config.split, name))
        return icon_cutout(
            rng,
            self.icons,
            drawing,
            pixels,
            tilt=self.config.tilt_degrees,
            vary=self.config.vary_drawings,
        )

    def _background(self, rng: random.Random, colours: Sequence[Colour]) -> Colour:
        """A colour at least `MIN_COLOUR_DISTANCE` from every object, or the most distant of twelve draws."""
        best, best_distance = (255, 255, 255), -1.0
        for _ in range(12):
            shade = rng.choice((245, 225, 200, 120, 60, 30))
            paper = (_near(rng, shade), _near(rng, shade), _near(rng, shade))
            distance = min((_distance(paper, colour) for colour in colours), default=255.0)
            if distance > best_distance:
                best, best_distance = paper, distance
            if distance >= MIN_COLOUR_DISTANCE:
                break
        return best

    def _words(
        self, rng: random.Random, paper: Colour, placed: Sequence[_Placed], size: tuple[int, int]
    ) -> list[_Placed]:
        """One or two words at places where they cover nothing."""
        found: list[_Placed] = []
        for _ in range(rng.randint(1, 2)):
            phrase = self.phrases.word(rng, 3, 7)
            face = self.fonts.choose(rng, self.config.split, phrase.script)
            if not face.covers(phrase.text):
                continue
            colour = _ink_on(rng, paper)
            cutout = word_cutout(face, phrase.text, rng.randint(14, 24), colour)
            word = _free_place(rng, cutout, size, [*placed, *found], max_covered=0.0, margin=2)
            if word:
                found.append(word)
        return found

    def _plan(self, rng: random.Random, placed: Sequence[_Placed], target: str) -> ScenePlan:
        """Objects sorted by top edge, then left edge, and names of absent objects."""
        ordered = sorted(placed, key=lambda item: (item.top, item.left))
        objects = tuple(SceneObject(item.box, item.cutout.name) for item in ordered)
        words = frozenset(index for index, item in enumerate(ordered) if item.cutout.kind == "word")
        present = {thing.name for thing in objects}
        absent: list[str] = []
        while len(absent) < NUM_ABSENT:
            name = self._some_name(rng)
            if name not in absent and not present & alike(name):
                absent.append(name)
        return ScenePlan(objects, words, tuple(absent), target)


def _free_place(
    rng: random.Random,
    cutout: Cutout,
    size: tuple[int, int],
    placed: Sequence[_Placed],
    *,
    max_covered: float,
    margin: int = 0,
) -> _Placed | None:
    """A place where the object and `placed` stay visible, `margin` pixels from the border; None if none is found."""
    right = size[0] - margin - cutout.picture.width
    bottom = size[1] - margin - cutout.picture.height
    if min(right, bottom) < 2:
        return None
    for _ in range(PLACE_TRIES):
        new = _Placed(cutout, rng.randint(margin, right), rng.randint(margin, bottom))
        if all(_stay_visible(new, item, max_covered) for item in placed):
            return new
    return None


def _stay_visible(first: _Placed, second: _Placed, max_covered: float) -> bool:
    is_same = first.cutout.name == second.cutout.name
    limit = min(MAX_SAME_COVERED, max_covered) if is_same else max_covered
    return max(_covered(first.box, second.box), _covered(second.box, first.box)) <= limit


def _covered(box: _Box, by: _Box) -> float:
    """Share of `box` that is covered by `by`."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))


def _near(rng: random.Random, shade: int) -> int:
    return min(255, max(0, shade + rng.randint(-30, 30)))


def _distance(first: Colour, second: Colour) -> float:
    return float(sum((one - two) ** 2 for one, two in zip(first, second, strict=True)) ** 0.5)


def _ink_on(rng: random.Random, paper: Colour) -> Colour:
    for _ in range(12):
        ink = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        if contrast(ink, paper) >= 4.5:
            return ink
    return (0, 0, 0) if contrast((0, 0, 0), paper) > 4.5 else (255, 255, 255)
