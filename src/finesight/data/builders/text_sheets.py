# SPDX-License-Identifier: Apache-2.0
"""Sheets: as many rows of text as a picture holds, each with its own face, size, colours and wear.

A word on its own leaves most of its picture empty, and a vision tower works as hard for an empty cell as for a full
one. A sheet stacks strips without a gap, so that the same work shows nearly twice as many letters. A part of the sheets
is one paper with one ink, as pages are; the others change colours from strip to strip.

Sheets are for dense supervision (`finesight.train.dense`). Their transcriptions are long, so a decoder learns from the
pictures of `finesight.data.builders.text_lines` instead.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from finesight.data.builders.drawing import draw_rows, measure_row, turn, warp
from finesight.data.builders.paper import Colour, background, ink_and_paper, lay, wear
from finesight.data.builders.phrases import OTHER_LANGUAGES, UNSPACED, Phrase, PhraseSource
from finesight.data.builders.questions import READ_TEXT, READ_TEXT_WEIGHTS, choose
from finesight.data.record import Glyph, Record, Truth
from finesight.data.sources.fonts import Face, FontCatalogue, Split, load_font
from finesight.data.sources.words import SCRIPTS, WordLists
from finesight.errors import ConfigError, DataError

__all__ = ["TextSheets", "TextSheetsConfig"]

CELL = 28
TRIES = 40
MISSES = 3
"""Pieces that may be too wide before a row counts as full."""
MOST_GAP = 3
"""Pixels above, and below, the ink of a strip, at most."""
PIECE = (2, 9)
"""Characters of a word in a row."""
PIECES = (4, 16)
"""Characters of several words added at once."""


class TextSheetsConfig(BaseModel):
    """What sheets are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split = Field(default="train", description="side of the split of fonts and words")
    width: tuple[int, int] = Field(default=(168, 392), description="narrowest, widest; pixels")
    height: tuple[int, int] = Field(default=(140, 336), description="lowest, highest; pixels")
    font_pixels: tuple[int, int] = Field(
        default=(12, 28), description="smallest and largest usual size, pixels per em"
    )
    large_share: float = Field(
        default=0.06, ge=0, le=1, description="share of strips that are larger than usual"
    )
    large_pixels: int = Field(default=52, description="largest size of such strips")
    words_share: float = Field(
        default=0.45, ge=0, le=1, description="share of strips of single words, numbers and codes"
    )
    other_scripts: float = Field(
        default=0.08, ge=0, le=1, description="share of strips not in Latin letters"
    )
    turned_share: float = Field(
        default=0.45, ge=0, le=1, description="share of sheets turned by 90, 180 or 270 degrees"
    )
    one_paper_share: float = Field(
        default=0.4, ge=0, le=1, description="share of sheets with one paper and one ink"
    )
    difficulty: float = Field(default=0.4, ge=0, le=1, description="largest wear of a strip")

    @model_validator(mode="after")
    def _ranges(self) -> TextSheetsConfig:
        for name, (low, high) in (
            ("width", self.width), ("height", self.height), ("font_pixels", self.font_pixels)
        ):  # fmt: skip
            if not 1 <= low <= high:
                raise ConfigError(f"{name} runs from {low} to {high}")
        for name, value in (("width", self.width[0]), ("height", self.height[0])):
            if value % CELL:
                raise ConfigError(f"{name} starts at {value}, which is no multiple of {CELL}")
        if self.large_pixels < self.font_pixels[1]:
            raise ConfigError(
                f"large_pixels is {self.large_pixels}, below the largest usual size {self.font_pixels[1]}"
            )
        return self


@dataclass(frozen=True, slots=True)
class _Look:
    """Colours and wear of a strip."""

    ink: Colour
    paper: Colour
    difficulty: float


@dataclass(frozen=True, slots=True)
class _Strip:
    """One row of text laid on its paper; `glyphs` are in its pixels."""

    picture: npt.NDArray[np.uint8]
    glyphs: tuple[Glyph, ...]
    text: str
    face: Face


class TextSheets:
    """Draws sheet records.

    Args:
        config: what to draw.
        fonts: the font catalogue.
        words: word lists of the config's split.
    """

    def __init__(self, config: TextSheetsConfig, fonts: FontCatalogue, words: WordLists) -> None:
        self.config = config
        self.fonts = fonts
        drawable = [name for name in OTHER_LANGUAGES if fonts.has(config.split, SCRIPTS[name])]
        self.phrases = PhraseSource(words, config.other_scripts, drawable)

    def record(self, record_id: str, seed: int) -> Record:
        """Draw the record of a seed; the same seed, config and assets give the same record."""
        rng = random.Random(seed)
        config = self.config
        width = rng.randrange(config.width[0], config.width[1] + 1, CELL)
        height = rng.randrange(config.height[0], config.height[1] + 1, CELL)
        shared = self._look(rng) if rng.random() < config.one_paper_share else None
        strips = self._strips(rng, width, height, shared)
        picture, glyphs = _stack(strips, height)
        degrees = rng.choice((90, 180, 270)) if rng.random() < config.turned_share else 0
        image, glyphs = turn(picture, glyphs, degrees)
        return Record.of_picture(
            id=record_id,
            image=image,
            turns=(
                (
                    choose(rng, READ_TEXT, READ_TEXT_WEIGHTS),
                    "\n".join(strip.text for strip in strips),
                ),
            ),
            truth=Truth(glyphs=glyphs),
            allows=("move", "invert"),
            meta={
                "split": config.split,
                "generator": "text_sheets/1",
                "seed": seed,
                "stage": "sheet",
                "fonts": sorted({strip.face.id for strip in strips}),
                "direction": degrees,
            },
        )

    def _look(self, rng: random.Random) -> _Look:
        difficulty = self.config.difficulty * rng.random()
        ink, paper = ink_and_paper(rng, difficulty)
        return _Look(ink, paper, difficulty)

    def _strips(
        self, rng: random.Random, width: int, height: int, shared: _Look | None
    ) -> list[_Strip]:
        """Strips until the next one would not fit; their heights sum to at most `height`."""
        strips: list[_Strip] = []
        room = height
        for _ in range(TRIES):
            strip = self._strip(rng, width, room, shared or self._look(rng))
            if strip is None:
                if room < self.config.font_pixels[0] and strips:
                    break
                continue
            strips.append(strip)
            room -= strip.picture.shape[0]
        if not strips:
            raise DataError(
                f"no {self.config.split} face fits a sheet of {width} x {height} after {TRIES} tries",
                hint="allow smaller fonts or larger sheets",
            )
        return strips

    def _strip(self, rng: random.Random, width: int, room: int, look: _Look) -> _Strip | None:
        """A row that fills the width, or None where the text, the face and the room do not agree."""
        low, high = self.config.font_pixels
        is_large = rng.random() < self.config.large_share
        size = rng.randint(high, self.config.large_pixels) if is_large else rng.randint(low, high)
        first = self.phrases.word(rng, *PIECE)
        face = self.fonts.choose(rng, self.config.split, first.script)
        text = self._row(rng, first, face, size, width)
        if text is None:
            return None
        rtl = first.is_right_to_left
        box = measure_row(text, face, size, rtl)
        ink_width, ink_height = box[2] - box[0], box[3] - box[1]
        above, below = rng.randint(1, MOST_GAP), rng.randint(1, MOST_GAP)
        canvas = (width, ink_height + above + below)
        if min(ink_width, ink_height) < 1 or ink_width + 2 > width or canvas[1] > room:
            return None
        origin = (rng.randint(1, width - ink_width - 1) - box[0], above - box[1])
        ink = draw_rows([text], [origin], face, size, canvas, rtl)
        if look.difficulty > 0.1 and rng.random() < 0.4:
            ink = warp(ink, rng, look.difficulty)
        paper = background(rng, look.paper, canvas, look.difficulty)
        picture = wear(lay(ink.mask, look.ink, paper), rng, look.difficulty)
        return _Strip(picture, ink.glyphs, text, face)

    def _row(
        self, rng: random.Random, first: Phrase, face: Face, size: int, width: int
    ) -> str | None:
        """Pieces like the first one until the row is full; None if not even that one can be drawn."""
        space = "" if first.language in UNSPACED else " " * rng.choice((1, 1, 1, 1, 2))
        is_list = rng.random() < self.config.words_share
        if not face.covers(first.text):
            return None
        font = load_font(face.path, face.index, size, first.is_right_to_left)
        direction = "rtl" if first.is_right_to_left else None
        text, misses = first.text, 0
        # Advances add up well enough to know when to stop; the ink is measured once, when the row is complete.
        used = font.getlength(text, direction=direction)
        while misses < MISSES:
            like = self.phrases.word_like if is_list else self.phrases.row_like
            piece = space + like(rng, first, *(PIECE if is_list or misses else PIECES)).text
            length = font.getlength(piece, direction=direction)
            if face.covers(piece) and used + length + 3 <= width:
                text, used = text + piece, used + length
            else:
                misses += 1
        return text


def _stack(strips: list[_Strip], height: int) -> tuple[npt.NDArray[np.uint8], tuple[Glyph, ...]]:
    """Strips one below the other, the last one's edge continued to `height`."""
    picture = np.concatenate([strip.picture for strip in strips])
    glyphs: list[Glyph] = []
    top = order = 0
    for strip in strips:
        glyphs += [
            Glyph(glyph.char, glyph.x, glyph.y + top, glyph.order + order) for glyph in strip.glyphs
        ]
        top += strip.picture.shape[0]
        order += len(strip.text) + 1
    rest = ((0, height - picture.shape[0]), (0, 0), (0, 0))
    return np.pad(picture, rest, mode="edge"), tuple(glyphs)
