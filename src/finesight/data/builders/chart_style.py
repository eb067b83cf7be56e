# SPDX-License-Identifier: Apache-2.0
"""Style of a chart: size, font, colours, grid, legend."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from finesight.data.builders.chart_data import ChartData
from finesight.data.builders.paper import Colour
from finesight.data.builders.sprites import COLOURS
from finesight.data.sources.fonts import Face

__all__ = ["ChartStyle"]

LIGHT_PAPERS = ("#ffffff", "#ffffff", "#ffffff", "#f7f7f2", "#eef3f8", "#fdf6e3", "#f0f0f0")
DARK_PAPERS = ("#1e1e24", "#10243a", "#2b2b2b")
HUES = ("red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "gray")
MAX_NUDGE = 14
"""Largest change of a channel of a named colour."""
MARKERS = ("o", "s", "^", "D", "")


@dataclass(frozen=True, slots=True)
class ChartStyle:
    """How a chart looks.

    Attributes:
        size: width and height, in pixels.
        face: font of all texts.
        pixels: size of the tick labels, pixels per em.
        title_scale: size of the title over `pixels`.
        colours: names of the colours, one per series, or per slice.
        rgb: their values.
        paper: background colour.
        ink: colour of texts and axes.
        grid: axes with grid lines: "", "y", "x" or "both".
        is_open: whether the top and right borders are left out.
        thickness: width of bars, share of their distance; width of lines, in units of 4 pixels.
        marker: marker of lines; "" for none.
        turn: rotation of the category names, in degrees.
        legend: place of the legend: "best" (inside), "right" or "below".
        title_place: "left" or "center".
        has_slice_names: whether a pie names its slices at their place, instead of in a legend.
    """

    size: tuple[int, int]
    face: Face
    pixels: int
    title_scale: float
    colours: tuple[str, ...]
    rgb: tuple[Colour, ...]
    paper: str
    ink: str
    grid: str
    is_open: bool
    thickness: float
    marker: str
    turn: int
    legend: str
    title_place: Literal["left", "center"]
    has_slice_names: bool

    @classmethod
    def draw(
        cls, rng: random.Random, data: ChartData, size: tuple[int, int], face: Face, pixels: int
    ) -> ChartStyle:
        """A random style."""
        is_dark = rng.random() < 0.12
        count = len(data.categories) if data.kind == "pie" else len(data.series)
        names = rng.sample(HUES, count)
        longest = max(map(len, data.categories), default=0)
        is_tight = longest * len(data.categories) * 0.6 * pixels > 0.75 * size[0]
        turn = rng.choice((30, 45, 90)) if is_tight and data.kind != "barh" else 0
        return cls(
            size=size,
            face=face,
            pixels=pixels,
            title_scale=rng.uniform(1.0, 1.5),
            colours=tuple(names),
            rgb=tuple(_nudged(rng, COLOURS[name]) for name in names),
            paper=rng.choice(DARK_PAPERS if is_dark else LIGHT_PAPERS),
            ink="#f2f2f2" if is_dark else rng.choice(("#000000", "#222222", "#333344")),
            grid=rng.choice(("", "y", "y", "both")),
            is_open=rng.random() < 0.5,
            thickness=rng.uniform(0.4, 0.9),
            marker=rng.choice(MARKERS),
            turn=turn,
            legend=rng.choice(("best", "right", "below")),
            title_place="left" if rng.random() < 0.33 else "center",
            has_slice_names=rng.random() < 0.6,
        )


def _nudged(rng: random.Random, rgb: Colour) -> Colour:
    red, green, blue = (
        min(255, max(0, channel + rng.randint(-MAX_NUDGE, MAX_NUDGE))) for channel in rgb
    )
    return red, green, blue
