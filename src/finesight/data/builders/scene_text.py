# SPDX-License-Identifier: Apache-2.0
"""Text as it occurs in the world: words, lines, blocks and signs over photographs, gradients and screens.

    word      one word, number or code
    line      several words, one row
    block     two to four rows
    signs     two to four separate pieces: in a column, in a row, or in the corners
    empty     no text; the answer says so

The letter height, the ink height of a capital (`finesight.data.builders.lettering`), is drawn log-uniformly. A picture
is a crop around the text with random margins, mostly of 20 to 250 visual tokens. Sides are multiples of 28, which the
processor does not resize.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.data.builders import backdrops
from finesight.data.builders.backdrops import Backdrop
from finesight.data.builders.degrade import degrade
from finesight.data.builders.lettering import Backing, Piece, Slant, draw_piece, em_of, paint
from finesight.data.builders.options import CELL, Range, Share
from finesight.data.builders.paper import Picture
from finesight.data.builders.phrases import Phrase, PhraseSource
from finesight.data.builders.sign_layout import MAX_SIDE, Layout, arrange, picture_size
from finesight.data.builders.sign_questions import Sign, ask_signs
from finesight.data.builders.transcription import draw_question
from finesight.data.record import Glyph, Record, SceneObject, Truth
from finesight.data.sources.fonts import Face, FontCatalogue
from finesight.data.sources.photos import Photo, PhotoLibrary
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError, DataError

__all__ = ["SceneText", "SceneTextConfig"]

Kind = Literal["word", "line", "block", "signs", "empty"]
TRIES = 60
MOST_TOKENS = 768
"""Visual tokens of the largest picture that the processor does not resize."""
MOST_LETTER_HEIGHT = 400
"""Pixels: half the side of a square picture of that size."""
LAYOUTS: tuple[Layout, ...] = ("column", "column", "row", "corners")


class SceneTextConfig(Settings):
    """Options of text in the world."""

    split: Split = Field("train", description="split of the fonts, words and photographs")
    kinds: dict[Kind, float] = Field(
        {"word": 0.20, "line": 0.36, "block": 0.20, "signs": 0.20, "empty": 0.04},
        description="share of each kind; the shares are normalised",
    )
    backdrops: dict[Backdrop, float] = Field(
        {"plain": 0.18, "gradient": 0.14, "photo": 0.40, "screen": 0.28},
        description="share of each kind of background; the shares are normalised",
    )
    letter_height: Range = Field(
        (8, 96), description="smallest and largest height of a capital, in pixels"
    )
    tokens: Range = Field(
        (20, 250), description="fewest and most visual tokens of a picture, but for the large ones"
    )
    large_share: Share = Field(0.05, description="share of pictures with up to 768 visual tokens")
    slanted_share: Share = Field(
        0.2, description="share of pictures whose text is turned, slanted or in perspective"
    )
    clean_share: Share = Field(0.4, description="share of pictures without degradation")
    min_contrast: float = Field(
        2.5, ge=1, le=4.5, description="least WCAG contrast ratio of text against its surroundings"
    )
    other_scripts: Share = Field(0.06, description="share of phrases not in Latin letters")
    word_letters: Range = Field((2, 14), description="fewest and most characters of a word")
    line_letters: Range = Field((6, 44), description="fewest and most characters of a line")

    @model_validator(mode="after")
    def _check(self) -> SceneTextConfig:
        for name, shares in (("kinds", self.kinds), ("backdrops", self.backdrops)):
            values = list(shares.values())
            if not values or min(values) < 0 or not any(values):
                raise ConfigError(f"{name} {dict(shares)} have no positive share")
        if self.letter_height[1] > MOST_LETTER_HEIGHT:
            raise ConfigError(
                f"letter_height ends at {self.letter_height[1]} pixels, the most are {MOST_LETTER_HEIGHT}"
            )
        if self.tokens[1] > MOST_TOKENS:
            raise ConfigError(f"tokens end at {self.tokens[1]}, the most are {MOST_TOKENS}")
        return self


@dataclass(frozen=True, slots=True)
class _Text:
    """A drawn piece and what it was drawn from; `phrase` is its first row."""

    piece: Piece
    face: Face
    phrase: Phrase
    slant: Slant


@dataclass(frozen=True, slots=True)
class _Scene:
    """Pieces with their places, before they are painted.

    Attributes:
        size: width and height of the picture.
        layout: how the pieces are arranged.
        texts: the pieces in reading order.
        places: left and top of each piece.
    """

    size: tuple[int, int]
    layout: Layout
    texts: tuple[_Text, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def letter_height(self) -> float:
        """Of the smallest text, in pixels; 0 without text."""
        return min((text.piece.letter_height for text in self.texts), default=0.0)


class SceneText:
    """Draws records of text in the world.

    Args:
        config: what to draw.
        fonts: the font catalogue.
        words: word lists of the config's split.
        photos: photographs; they may be none if the config gives them no share.
    """

    def __init__(
        self, config: SceneTextConfig, fonts: FontCatalogue, words: WordLists, photos: PhotoLibrary
    ) -> None:
        self.config = config
        self.fonts = fonts
        self.photos = photos
        self.phrases = PhraseSource(words, config.other_scripts, fonts)

    def record(self, record_id: str, seed: int) -> Record:
        """Draw the record of a seed; the same seed, config and assets give the same record."""
        rng = random.Random(seed)
        config = self.config
        kind = rng.choices(list(config.kinds), list(config.kinds.values()))[0]
        scene = self._scene(rng, kind, seed)
        backdrop = rng.choices(list(config.backdrops), list(config.backdrops.values()))[0]
        photo = self.photos.choose(rng, config.split) if backdrop == "photo" else None
        picture = _background(rng, backdrop, scene.size, photo)
        painted = [
            paint(picture, text.piece, place, rng, _backing(rng, backdrop), config.min_contrast)
            for text, place in zip(scene.texts, scene.places, strict=True)
        ]
        contrast = min((ratio for _, ratio in painted), default=21.0)
        worn: tuple[str, ...] = ()
        if rng.random() >= config.clean_share:
            picture, worn = degrade(picture, rng, scene.letter_height or 24.0, contrast)
        signs = _signs(scene)
        absent = self.phrases.word(rng, 4, 9).text
        turns = ask_signs(rng, draw_question(rng), signs, scene.layout, absent)
        has_places = any("bbox_2d" in turn.answer for turn in turns)
        return Record.of_picture(
            id=record_id,
            image=np.ascontiguousarray(picture),
            turns=[(turn.question, turn.answer) for turn in turns],
            truth=Truth(_glyphs(scene), tuple(SceneObject(sign.box, sign.text) for sign in signs)),
            allows=("invert",) if has_places else ("move", "invert"),
            meta={
                "split": config.split,
                "generator": "scene_text/1",
                "seed": seed,
                "kind": kind,
                "backdrop": backdrop,
                "photo": photo.id if photo else "",
                "contrast": round(contrast, 2),
                "backings": [backing for backing, _ in painted],
                "degradations": list(worn),
                **_text_meta(scene),
                "tasks": [turn.task for turn in turns],
            },
        )

    def _scene(self, rng: random.Random, kind: Kind, seed: int) -> _Scene:
        """Pieces and their places.

        Raises:
            DataError: no try gave a picture of the allowed size.
        """
        is_large = rng.random() < self.config.large_share
        fewest, most = self.config.tokens
        most = MOST_TOKENS if is_large else most
        if kind == "empty":
            size = picture_size(rng, (1, 1), (fewest, most), 0)
            return _Scene(size or (MAX_SIDE, MAX_SIDE), "column", (), ())
        height = _log_uniform(rng, *self.config.letter_height)
        for number in range(TRIES):
            if number and number % 12 == 0:  # large letters do not fit four pieces or rows
                height = _log_uniform(rng, self.config.letter_height[0], height)
            scene = self._try_scene(rng, kind, height, (fewest, most), 0.97**number)
            if scene is not None:
                return scene
        raise DataError(
            f"seed {seed}: no {self.config.split} face fits a picture of kind {kind!r} after {TRIES} tries",
            hint="allow smaller letters or more tokens",
        )

    def _try_scene(
        self, rng: random.Random, kind: Kind, height: float, tokens: tuple[int, int], squeeze: float
    ) -> _Scene | None:
        """A scene whose longest rows are `squeeze` times as long as the picture allows, or None if it does not fit."""
        layout: Layout = rng.choice(LAYOUTS) if kind == "signs" else "column"
        count = 1
        if kind == "signs":
            count = 4 if layout == "corners" else rng.randint(2, 3 if layout == "row" else 4)
        columns = {"column": 1, "row": count, "corners": 2}[layout]
        area = tokens[1] * CELL * CELL
        room = min(MAX_SIDE / columns, area / (count / columns * 2.2 * height) / columns)
        is_slanted = rng.random() < self.config.slanted_share
        texts = []
        for _ in range(count):
            scale = rng.uniform(0.7, 1.5) if count > 1 else 1.0
            low, high = self.config.letter_height
            letters = min(max(height * scale, low), high)
            text = self._text(rng, kind, letters, room * squeeze, is_slanted)
            if text is None:
                return None
            texts.append(text)
        gap = round(0.8 * height) + 4
        places, content = arrange(rng, [text.piece.size for text in texts], columns, gap)
        size = picture_size(rng, content, tokens, height)
        if size is None:
            return None
        left = rng.randint(0, size[0] - content[0])
        top = rng.randint(0, size[1] - content[1])
        return _Scene(size, layout, tuple(texts), tuple((x + left, y + top) for x, y in places))

    def _text(
        self, rng: random.Random, kind: Kind, height: float, room: float, is_slanted: bool
    ) -> _Text | None:
        """A piece of about `room` pixels width at most, or None where the face does not fit the text."""
        phrases = self._phrases(rng, kind, max(2, int(room / (0.85 * height))))
        first, rows = phrases[0], [phrase.text for phrase in phrases]
        face = self.fonts.choose(rng, self.config.split, first.script)
        em = em_of(face, first.script, height)
        if not em or not face.covers("".join(rows)):
            return None
        slant = Slant()
        if is_slanted:
            may_turn = kind != "signs" and first.has_clear_top
            slant = Slant.draw(rng, (0, 90, 180, 270) if may_turn else (0,))
        piece = draw_piece(rng, rows, face, em, first.script, slant)
        return _Text(piece, face, first, slant) if piece else None

    def _phrases(self, rng: random.Random, kind: Kind, room: int) -> list[Phrase]:
        """Rows of at most about `room` characters."""
        low, high = self.config.line_letters
        if kind == "word" or room < low or (kind == "signs" and rng.random() < 0.4):
            low, high = self.config.word_letters
            first = self.phrases.word(rng, min(low, room), max(low, min(high, room)))
        else:
            high = min(high, room) if kind != "signs" else min(high, room, 18)
            first = self.phrases.line(rng, low, max(low, high))
        more = 0
        if kind == "block":
            more = rng.randint(1, 3)
        elif kind == "signs" and rng.random() < 0.2:
            more = 1
        longest = max(len(first.text), 4)
        shortest = longest // 2 + 1
        return [first, *(self.phrases.row_like(rng, first, shortest, longest) for _ in range(more))]


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _backing(rng: random.Random, backdrop: Backdrop) -> Backing:
    """What is behind a text: on a screen mostly a board, such as a button; elsewhere mostly nothing."""
    if backdrop == "screen":
        return rng.choices(("none", "board", "outline"), (0.4, 0.55, 0.05))[0]
    return rng.choices(("none", "board", "outline", "shadow"), (0.55, 0.2, 0.13, 0.12))[0]


def _background(
    rng: random.Random, backdrop: Backdrop, size: tuple[int, int], photo: Photo | None
) -> Picture:
    if photo is not None:
        return backdrops.photo_crop(rng, size, photo)
    draw = {"plain": backdrops.plain, "gradient": backdrops.gradient, "screen": backdrops.screen}
    return draw[backdrop](rng, size)


def _text_meta(scene: _Scene) -> dict[str, Any]:
    """Letter height, fonts, language and direction of the texts."""
    texts = scene.texts
    return {
        "letter_height": round(scene.letter_height, 1),
        "fonts": [text.face.id for text in texts],
        "language": texts[0].phrase.language if texts else "",
        "direction": texts[0].slant.quarter if texts else 0,
        "is_slanted": any(text.slant != Slant(text.slant.quarter) for text in texts),
    }


def _glyphs(scene: _Scene) -> tuple[Glyph, ...]:
    """Characters of every piece in pixels of the picture; `order` counts as if the rows were joined by line ends."""
    glyphs: list[Glyph] = []
    order = 0
    for text, (left, top) in zip(scene.texts, scene.places, strict=True):
        glyphs += [
            Glyph(glyph.char, glyph.x + left, glyph.y + top, glyph.order + order)
            for glyph in text.piece.glyphs
        ]
        order += sum(len(row) + 1 for row, _ in text.piece.rows)
    return tuple(glyphs)


def _signs(scene: _Scene) -> list[Sign]:
    """Rows of every piece with their boxes in the picture."""
    signs = []
    for number, (text, (left, top)) in enumerate(zip(scene.texts, scene.places, strict=True)):
        for row, (x1, y1, x2, y2) in text.piece.rows:
            signs.append(Sign(number, row, (x1 + left, y1 + top, x2 + left, y2 + top)))
    return signs
