# SPDX-License-Identifier: Apache-2.0
"""Text sheets: pictures filled with rows of text, each row with its own face, size, colours and degradation.

Rows follow each other without a gap, so a sheet holds nearly twice as many letters per patch as a picture of one word.
A share of the sheets has one background and one ink, like a page; in the others the colours change from row to row.

Sheets are for dense supervision (`finesight.train.dense`). Their transcriptions are too long for a small decoder, which
learns from the pictures of `finesight.data.builders.text_lines`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.data.builders.drawing import draw_rows, measure_row, row_length, turn, warp
from finesight.data.builders.options import CELL, Range, Share
from finesight.data.builders.paper import Look, render
from finesight.data.builders.phrases import UNSPACED, Phrase, PhraseSource
from finesight.data.builders.transcription import transcription
from finesight.data.record import Glyph, Record
from finesight.data.sources.fonts import Face, FontCatalogue
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError, DataError

__all__ = ["TextSheets", "TextSheetsConfig"]

TRIES = 40
MAX_MISSES = 3
"""Texts that may be too wide before a row counts as full."""
MAX_MARGIN = 3
"""Largest margin above, and below, the ink of a strip, in pixels."""
WORD_LETTERS = (2, 9)
"""Fewest and most characters of a word in a row."""
WORDS_LETTERS = (4, 16)
"""Fewest and most characters of several words appended at once."""


class TextSheetsConfig(Settings):
    """Options of text sheets."""

    split: Split = Field("train", description="split of the fonts and words")
    width: Range = Field((168, 392), description="smallest and largest width, in pixels")
    height: Range = Field((140, 336), description="smallest and largest height, in pixels")
    font_pixels: Range = Field(
        (12, 28), description="smallest and largest usual size, pixels per em"
    )
    large_share: Share = Field(0.06, description="share of strips that are larger than usual")
    large_pixels: int = Field(52, description="largest size of such strips")
    words_share: Share = Field(
        0.45, description="share of strips of single words, numbers and codes"
    )
    other_scripts: Share = Field(0.08, description="share of strips not in Latin letters")
    turned_share: Share = Field(
        0.45, description="share of sheets rotated by 90, 180 or 270 degrees"
    )
    one_paper_share: Share = Field(
        0.4, description="share of sheets with one background and one ink colour"
    )
    difficulty: Share = Field(0.4, description="largest strength of degradations")

    @model_validator(mode="after")
    def _ranges(self) -> TextSheetsConfig:
        for name, value in (("width", self.width[0]), ("height", self.height[0])):
            if value % CELL:
                raise ConfigError(f"{name} starts at {value}, which is not a multiple of {CELL}")
        if self.large_pixels < self.font_pixels[1]:
            raise ConfigError(
                f"large_pixels is {self.large_pixels}, below the largest usual size {self.font_pixels[1]}"
            )
        return self


@dataclass(frozen=True, slots=True)
class _Strip:
    """One row of text with its background; `glyphs` are in its pixels."""

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
        self.phrases = PhraseSource(words, config.other_scripts, fonts)

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
        return transcription(
            rng,
            record_id=record_id,
            image=image,
            rows=[strip.text for strip in strips],
            glyphs=glyphs,
            meta={
                "split": config.split,
                "generator": "text_sheets/1",
                "seed": seed,
                "stage": "sheet",
                "fonts": sorted({strip.face.id for strip in strips}),
                "direction": degrees,
            },
        )

    def _look(self, rng: random.Random) -> Look:
        return Look.draw(rng, self.config.difficulty * rng.random())

    def _strips(
        self, rng: random.Random, width: int, height: int, shared: Look | None
    ) -> list[_Strip]:
        """Strips until no other fits; their heights sum to at most `height`."""
        strips: list[_Strip] = []
        free = height
        for _ in range(TRIES):
            strip = self._strip(rng, width, free, shared or self._look(rng))
            if strip is None:
                if free < self.config.font_pixels[0] and strips:
                    break
                continue
            strips.append(strip)
            free -= strip.picture.shape[0]
        if not strips:
            raise DataError(
                f"no {self.config.split} face fits a sheet of {width} x {height} after {TRIES} tries",
                hint="allow smaller fonts or larger sheets",
            )
        return strips

    def _strip(self, rng: random.Random, width: int, free: int, look: Look) -> _Strip | None:
        """A row that fills the width, or None where the face lacks a character or the row is too large."""
        low, high = self.config.font_pixels
        is_large = rng.random() < self.config.large_share
        size = rng.randint(high, self.config.large_pixels) if is_large else rng.randint(low, high)
        first = self.phrases.word(rng, *WORD_LETTERS)
        face = self.fonts.choose(rng, self.config.split, first.script)
        text = self._row(rng, first, face, size, width)
        if text is None:
            return None
        rtl = first.is_right_to_left
        box = measure_row(text, face, size, rtl)
        ink_width, ink_height = box[2] - box[0], box[3] - box[1]
        above, below = rng.randint(1, MAX_MARGIN), rng.randint(1, MAX_MARGIN)
        canvas = (width, ink_height + above + below)
        if min(ink_width, ink_height) < 1 or ink_width + 2 > width or canvas[1] > free:
            return None
        origin = (rng.randint(1, width - ink_width - 1) - box[0], above - box[1])
        ink = draw_rows([text], [origin], face, size, canvas, rtl)
        if look.difficulty > 0.1 and rng.random() < 0.4:
            ink = warp(ink, rng, look.difficulty)
        return _Strip(render(ink.mask, rng, look), ink.glyphs, text, face)

    def _row(
        self, rng: random.Random, first: Phrase, face: Face, size: int, width: int
    ) -> str | None:
        """Texts like the first one until the row is full; None if the face does not cover the first."""
        space = "" if first.language in UNSPACED else " " * rng.choice((1, 1, 1, 1, 2))
        is_list = rng.random() < self.config.words_share
        if not face.covers(first.text):
            return None
        rtl = first.is_right_to_left
        text, misses = first.text, 0
        # The sum of advances is exact enough to stop; the ink is measured once, when the row is complete.
        used = row_length(text, face, size, rtl)
        while misses < MAX_MISSES:
            like = self.phrases.word_like if is_list else self.phrases.row_like
            piece = (
                space
                + like(rng, first, *(WORD_LETTERS if is_list or misses else WORDS_LETTERS)).text
            )
            length = row_length(piece, face, size, rtl)
            if face.covers(piece) and used + length + 3 <= width:
                text, used = text + piece, used + length
            else:
                misses += 1
        return text


def _stack(strips: list[_Strip], height: int) -> tuple[npt.NDArray[np.uint8], tuple[Glyph, ...]]:
    """Strips from top to bottom; the last row of pixels is repeated up to `height`."""
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
