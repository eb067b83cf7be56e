# SPDX-License-Identifier: Apache-2.0
"""Pictures of text, from single letters in one visual token to short blocks, in four directions.

The stages are a curriculum: a small model learns to read one 28 x 28 cell before it can learn to read on from cell to
cell. Trained on whole words at first, it ignores the picture.

    letters   one to two characters, 28 x 28 pixels
    groups    one to four characters, 28 or 56 pixels wide
    words     a word, number or random string, one row
    lines     several words, one row
    blocks    two to five rows

Rows have 12 to 26 pixels per em. The sides of a picture are multiples of 28, which the processor does not resize. The
vertical position varies, so that rows are not aligned to the token grid.
"""

from __future__ import annotations

import random
from typing import Literal

from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.data.builders.drawing import Ink, draw_rows, measure_row, turn, warp
from finesight.data.builders.options import CELL, Range, Share
from finesight.data.builders.paper import Look, render
from finesight.data.builders.phrases import Phrase, PhraseSource
from finesight.data.builders.transcription import transcription
from finesight.data.record import Record
from finesight.data.sources.fonts import Face, FontCatalogue
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError, DataError

__all__ = ["TextLines", "TextLinesConfig"]

Stage = Literal["letters", "groups", "words", "lines", "blocks"]
TRIES = 40


class TextLinesConfig(Settings):
    """Options of text pictures."""

    stages: dict[Stage, float] = Field(
        {"letters": 0.10, "groups": 0.15, "words": 0.40, "lines": 0.25, "blocks": 0.10},
        description="share of each stage; the shares are normalised",
    )
    split: Split = Field("train", description="split of the fonts and words")
    difficulty: Share = Field(
        0.2,
        description="largest strength of degradations: contrast, texture, blur, noise, JPEG, slant",
    )
    turned_share: Share = Field(
        0.1, description="share of pictures rotated by 90, 180 or 270 degrees"
    )
    other_scripts: Share = Field(0.12, description="share of phrases not in Latin letters")
    min_font_pixels: int = Field(12, ge=8, description="smallest size, pixels per em")
    max_font_pixels: int = Field(26, description="largest size, pixels per em")
    word_letters: Range = Field((2, 12), description="fewest and most characters of a word")
    line_letters: Range = Field((8, 40), description="fewest and most characters of a line")
    block_letters: Range = Field(
        (6, 30), description="fewest and most characters of a row of a block"
    )
    max_block_pixels: tuple[int, int] = Field(
        (336, 196), description="largest width and height of a block, in pixels"
    )
    max_line_pixels: int = Field(560, le=980, description="largest width of a row, in pixels")

    @model_validator(mode="after")
    def _ranges(self) -> TextLinesConfig:
        if self.min_font_pixels > self.max_font_pixels:
            raise ConfigError(
                f"min_font_pixels {self.min_font_pixels} exceeds max_font_pixels {self.max_font_pixels}"
            )
        if not self.stages or min(self.stages.values()) < 0 or not any(self.stages.values()):
            raise ConfigError(f"stages {self.stages} have no positive share")
        return self


class TextLines:
    """Draws text records.

    Args:
        config: what to draw.
        fonts: the font catalogue.
        words: word lists of the config's split.
    """

    def __init__(self, config: TextLinesConfig, fonts: FontCatalogue, words: WordLists) -> None:
        self.config = config
        self.fonts = fonts
        self.phrases = PhraseSource(words, config.other_scripts, fonts)

    def record(self, record_id: str, seed: int) -> Record:
        """Draw the record of a seed; the same seed, config and assets give the same record."""
        rng = random.Random(seed)
        config = self.config
        stage = rng.choices(list(config.stages), list(config.stages.values()))[0]
        difficulty = config.difficulty * rng.random()
        for _ in range(TRIES):  # a phrase may be too wide, or have characters that the face lacks
            phrases = self._phrases(rng, stage)
            face = self._face(rng, phrases)
            ink = self._draw(rng, stage, phrases, face) if face else None
            if face and ink:
                break
        else:
            raise DataError(
                f"seed {seed}: no {config.split} face fits a picture of stage {stage!r} after {TRIES} tries",
                hint="allow smaller fonts or larger pictures",
            )
        if difficulty > 0.1 and rng.random() < 0.6:
            ink = warp(ink, rng, difficulty)
        picture = render(ink.mask, rng, Look.draw(rng, difficulty))
        degrees = self._direction(rng, phrases)
        image, glyphs = turn(picture, ink.glyphs, degrees)
        return transcription(
            rng,
            record_id=record_id,
            image=image,
            rows=[phrase.text for phrase in phrases],
            glyphs=glyphs,
            meta={
                "split": config.split,
                "generator": "text_lines/1",
                "seed": seed,
                "stage": stage,
                "kind": phrases[0].kind,
                "language": phrases[0].language,
                "font": face.id,
                "direction": degrees,
                "difficulty": round(difficulty, 3),
            },
        )

    def _direction(self, rng: random.Random, phrases: list[Phrase]) -> int:
        """Degrees to rotate by; 0 for text that would be ambiguous when rotated."""
        if rng.random() >= self.config.turned_share or phrases[0].kind == "letters":
            return 0
        return rng.choice((90, 180, 270)) if phrases[0].has_clear_top else 0

    def _phrases(self, rng: random.Random, stage: Stage) -> list[Phrase]:
        config = self.config
        if stage in ("letters", "groups"):
            return [self.phrases.letters(rng, 2 if stage == "letters" else 4)]
        if stage == "words":
            return [self.phrases.word(rng, *config.word_letters)]
        if stage == "lines":
            return [self.phrases.line(rng, *config.line_letters)]
        low, high = config.block_letters
        first = self.phrases.line(rng, low, high)
        more = rng.randint(1, 4)
        return [first, *(self.phrases.row_like(rng, first, low, high) for _ in range(more))]

    def _face(self, rng: random.Random, phrases: list[Phrase]) -> Face | None:
        """A face of the split that covers every character, or None after six draws."""
        text = "".join(phrase.text for phrase in phrases)
        for _ in range(6):
            face = self.fonts.choose(rng, self.config.split, phrases[0].script)
            if face.covers(text):
                return face
        return None

    def _draw(
        self, rng: random.Random, stage: Stage, phrases: list[Phrase], face: Face
    ) -> Ink | None:
        """The ink on a canvas of whole cells, or None if it does not fit."""
        rtl = phrases[0].is_right_to_left
        texts = [phrase.text for phrase in phrases]
        size = rng.randint(self.config.min_font_pixels, self.config.max_font_pixels)
        limit = self._limit(stage, len(texts[0]))
        while True:
            boxes = [measure_row(text, face, size, rtl) for text in texts]
            if (
                min(box[3] - box[1] for box in boxes) < 1
                or min(box[2] - box[0] for box in boxes) < 1
            ):
                return None
            leading = 0 if len(texts) == 1 else round(size * rng.uniform(1.15, 1.6))
            width = max(box[2] - box[0] for box in boxes)
            height = boxes[-1][3] - boxes[0][1] + leading * (len(texts) - 1)
            if width + 2 <= limit[0] and height + 2 <= limit[1]:
                break
            size -= 1
            if size < self.config.min_font_pixels:
                return None
        canvas = (self._side(rng, width, limit[0], stage), self._side(rng, height, limit[1], stage))
        top = rng.randint(1, canvas[1] - height - 1)
        left = rng.randint(1, canvas[0] - width - 1)
        origins = []
        for row, box in enumerate(boxes):
            shift = (
                width - (box[2] - box[0]) if rtl else 0
            )  # rows of Arabic are aligned to the right
            origins.append((left - box[0] + shift, top - boxes[0][1] + row * leading))
        return draw_rows(texts, origins, face, size, canvas, rtl)

    def _limit(self, stage: Stage, count: int) -> tuple[int, int]:
        """Largest width and height in pixels."""
        if stage == "letters":
            return CELL, CELL
        if stage == "groups":
            return (CELL if count < 3 else 2 * CELL), CELL
        if stage == "blocks":
            return self.config.max_block_pixels
        return self.config.max_line_pixels, 2 * CELL

    @staticmethod
    def _side(rng: random.Random, needed: int, limit: int, stage: Stage) -> int:
        """A multiple of 28 that holds `needed` plus a margin; in 12% of the cases one cell larger."""
        margin = 2 if needed + 6 > CELL and needed + 2 <= CELL else 6
        side = -(-(needed + margin) // CELL) * CELL
        if stage not in ("letters", "groups") and rng.random() < 0.12:
            side += CELL
        return min(max(side, CELL), -(-limit // CELL) * CELL)
