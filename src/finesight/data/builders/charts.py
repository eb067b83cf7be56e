# SPDX-License-Identifier: Apache-2.0
"""Charts: bars, lines, pies and scatter plots with titles, axes and legends, and questions about them.

Fonts, words and what is counted are those of the split. Both sides are multiples of 28, so that boxes in answers are in
pixels of the picture.
"""

from __future__ import annotations

import random

from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.data.builders.chart_data import ChartData, ChartKind, draw_data
from finesight.data.builders.chart_drawing import DrawnChart, draw_chart
from finesight.data.builders.chart_questions import ChartPlan, ask_chart
from finesight.data.builders.chart_style import HUES, ChartStyle
from finesight.data.builders.options import CELL, Range, Share
from finesight.data.builders.paper import wear
from finesight.data.record import Record, Truth
from finesight.data.sources.fonts import Face, FontCatalogue
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError, DataError

__all__ = ["Charts", "ChartsConfig"]

TRIES = 30


class ChartsConfig(Settings):
    """Options of charts."""

    split: Split = Field("train", description="split of the fonts, words and titles")
    kinds: dict[ChartKind, float] = Field(
        {"bar": 0.3, "barh": 0.15, "grouped": 0.15, "line": 0.2, "pie": 0.13, "scatter": 0.07},
        description="share of each kind; the shares are normalised",
    )
    width: Range = Field((280, 672), description="smallest and largest width, in pixels")
    height: Range = Field((196, 560), description="smallest and largest height, in pixels")
    large_share: Share = Field(
        0.25,
        description="share of charts of any size; the others are in the lower half of the range",
    )
    font_pixels: Range = Field(
        (11, 17), description="smallest and largest size of tick labels, pixels per em"
    )
    categories: Range = Field((3, 8), description="fewest and most categories")
    turns: Range = Field((3, 6), description="fewest and most questions")
    absent_share: Share = Field(
        0.05, description="share of questions about a category that the chart does not show"
    )
    difficulty: Share = Field(0.2, description="largest strength of degradations")

    @model_validator(mode="after")
    def _ranges(self) -> ChartsConfig:
        for name, value in (("width", self.width[0]), ("height", self.height[0])):
            if value % CELL:
                raise ConfigError(f"{name} starts at {value}, which is not a multiple of {CELL}")
        if not self.kinds or min(self.kinds.values()) < 0 or not any(self.kinds.values()):
            raise ConfigError(f"kinds {self.kinds} have no positive share")
        fewest, most = self.categories
        if fewest < 2 or most > len(HUES):
            raise ConfigError(
                f"categories are {fewest} to {most}, expected 2 to {len(HUES)}, the number of colours"
            )
        return self


class Charts:
    """Draws chart records.

    Args:
        config: what to draw.
        fonts: the font catalogue.
        words: word lists of the config's split.
    """

    def __init__(self, config: ChartsConfig, fonts: FontCatalogue, words: WordLists) -> None:
        self.config = config
        self.fonts = fonts
        self.words = words

    def record(self, record_id: str, seed: int) -> Record:
        """Draw the record of a seed; the same seed, config and assets give the same record."""
        rng = random.Random(seed)
        config = self.config
        kind = rng.choices(list(config.kinds), list(config.kinds.values()))[0]
        data, style, drawn = self._drawn(rng, kind, seed)
        difficulty = config.difficulty * rng.random()
        plan = ChartPlan(data, style.colours, drawn.bars, drawn.pixels_per_unit)
        return Record.of_picture(
            id=record_id,
            image=wear(drawn.picture, rng, difficulty),
            turns=ask_chart(rng, plan, rng.randint(*config.turns), config.absent_share),
            truth=Truth(glyphs=drawn.glyphs, objects=drawn.bars or None),
            meta={
                "split": config.split,
                "generator": "charts/1",
                "seed": seed,
                "kind": kind,
                "font": style.face.id,
                "difficulty": round(difficulty, 3),
            },
        )

    def _drawn(
        self, rng: random.Random, kind: ChartKind, seed: int
    ) -> tuple[ChartData, ChartStyle, DrawnChart]:
        """A chart whose texts do not overlap."""
        config = self.config
        for _ in range(TRIES):
            data = draw_data(rng, kind, config.split, self.words, config.categories)
            face = self._face(rng, data)
            size = self._side(rng, *config.width), self._side(rng, *config.height)
            if face is None:
                continue
            style = ChartStyle.draw(rng, data, size, face, rng.randint(*config.font_pixels))
            drawn = draw_chart(data, style)
            if drawn:
                return data, style, drawn
        raise DataError(
            f"seed {seed}: no {kind} chart fits its picture after {TRIES} tries",
            hint="allow smaller fonts, fewer categories or larger pictures",
        )

    def _side(self, rng: random.Random, low: int, high: int) -> int:
        is_large = rng.random() < self.config.large_share
        return rng.randrange(low, (high if is_large else (low + high) // 2) + 1, CELL)

    def _face(self, rng: random.Random, data: ChartData) -> Face | None:
        """A face that covers every text, or None; matplotlib opens only the first face of a file."""
        face = self.fonts.choose(rng, self.config.split, "latin")
        text = "".join((data.title, data.y.label, data.x.label, *data.categories, *data.series))
        return face if face.index == 0 and face.covers(text + "0123456789,%-()") else None
