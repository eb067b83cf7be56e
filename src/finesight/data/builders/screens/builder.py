# SPDX-License-Identifier: Apache-2.0
"""Screens of applications and web pages: own pages from templates, and pages of template sites.

A share of the records describes a tool and asks for one step, which is answered by a tool call; screens in portrait
format use the tool for phones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.builders.options import CELL, Range, Share
from finesight.data.builders.paper import wear
from finesight.data.builders.rendered import TextRow, shared_renderer
from finesight.data.builders.screens.components import Ui
from finesight.data.builders.screens.content import Content
from finesight.data.builders.screens.elements import Screen, elements_of, glyphs_of
from finesight.data.builders.screens.mobile import MOBILE
from finesight.data.builders.screens.questions import Turn, ask, ask_click, ask_text
from finesight.data.builders.screens.sites import SitePages
from finesight.data.builders.screens.styles import draw_style
from finesight.data.builders.screens.templates import DESKTOP, Template
from finesight.data.record import Record, SceneObject, Truth, asked_about
from finesight.data.sources.fonts import Face, FontCatalogue
from finesight.data.sources.interface import read_icon_sets
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError, DataError
from finesight.geometry import Size
from finesight.screen.tools import computer_use, mobile_use
from finesight.text.chat_template import DEFAULT_SYSTEM

__all__ = ["Screens", "ScreensConfig"]

MAX_PIXELS = 602_112
"""Largest area that the processor does not resize for the embedded model."""
MIN_LEGIBILITY = 0.9
MAX_FONT_BYTES = 400_000
"""Larger font files take longer to load than to draw with."""
TRIES = 12
PORTRAIT = 1.35
"""Least ratio of height to width of a phone's screen."""


class ScreensConfig(Settings):
    """Options of screens."""

    split: Split = Field(
        "train", description="split of templates, styles, icons, fonts, words and sites"
    )
    width: Range = Field((252, 784), description="smallest and largest width, in pixels")
    height: Range = Field((196, 756), description="smallest and largest height, in pixels")
    font_pixels: Range = Field((12, 20), description="size of the usual text, in pixels per em")
    large_share: Share = Field(
        0.35, description="share of screens whose area may be above a quarter of the largest"
    )
    phone_share: Share = Field(0.3, description="share of screens of phones, in portrait format")
    site_share: Share = Field(0.08, description="share of pages of template sites")
    tool_share: Share = Field(
        0.08,
        description="share of records that are answered by a tool call; the description of a tool is longer than most "
        "conversations",
    )
    absent_share: Share = Field(
        0.07, description="share of questions about an element that is not shown"
    )
    asked: Literal["all", "text"] = Field(
        "all", description="kinds of questions: all, or one point in an element named by its text"
    )
    turns: Range = Field((2, 5), description="fewest and most questions")
    difficulty: Share = Field(0.15, description="largest strength of degradations")

    @model_validator(mode="after")
    def _sides(self) -> ScreensConfig:
        for name, (low, high) in (("width", self.width), ("height", self.height)):
            if low % CELL or high % CELL:
                raise ConfigError(f"{name} is {low} to {high}, expected multiples of {CELL}")
        if self.width[0] * self.height[0] > MAX_PIXELS:
            raise ConfigError(
                f"the smallest screen has {self.width[0] * self.height[0]} pixels, expected at most {MAX_PIXELS}"
            )
        return self


class Screens:
    """Draws screen records.

    Args:
        config: what to draw.
        assets: folder with icon sets, style sheets and sites.
        fonts: the font catalogue.
        words: word lists of the config's split.

    Raises:
        DataError: an asset is missing, or no font is legible enough.
    """

    def __init__(
        self, config: ScreensConfig, assets: Path, fonts: FontCatalogue, words: WordLists
    ) -> None:
        self.config, self.words, self._assets = config, words, assets
        self._icons = read_icon_sets(assets, config.split)
        self._sites = SitePages(config.split, assets) if config.site_share else None
        self._faces = _screen_faces(fonts, config.split)
        self._templates = {
            is_phone: {name: make for name, (make, split) in table.items() if split == config.split}
            for is_phone, table in ((True, MOBILE), (False, DESKTOP))
        }

    def record(self, record_id: str, seed: int) -> Record:
        """Draw the record of a seed; the same seed, config and assets give the same record.

        Raises:
            ScreenUnavailable: playwright or Chromium is missing.
        """
        rng = random.Random(seed)
        for _ in range(TRIES):
            screen = self._screen(rng)
            tool = self._tool(rng, screen)
            turns = self._turns(rng, screen, tool)
            if turns:
                break
        else:
            raise DataError(
                f"no {self.config.split} screen has an element to ask for after {TRIES} tries"
            )
        return self._record(record_id, seed, screen, turns, tool, rng)

    def _screen(self, rng: random.Random) -> Screen:
        is_site = self._sites is not None and rng.random() < self.config.site_share
        is_phone = not is_site and rng.random() < self.config.phone_share
        size = self._size(rng, is_phone)
        face = rng.choice(rng.choice(self._faces))
        if self._sites is not None and is_site:
            return self._sites.draw(rng, face, size)
        return self._own(rng, face, size, self._templates[is_phone])

    def _own(
        self, rng: random.Random, face: Face, size: Size, templates: dict[str, Template]
    ) -> Screen:
        low, high = self.config.font_pixels
        pixels = min(rng.randint(low, high), rng.randint(low, high), max(low, size.width // 18))
        style = draw_style(rng, self.config.split, self._assets, face, pixels)
        ui = Ui(rng, size, style, rng.choice(self._icons), Content(rng, self.words))
        name = rng.choice(sorted(templates))
        body = templates[name](ui)
        title = escape(ui.content.title(1, 2))
        head = f"<title>{title}</title><style>{style.css}</style>"
        html = (
            f'<!doctype html><html data-theme="light"><head>{head}</head><body>{body}</body></html>'
        )
        page = shared_renderer().draw(html, size)
        return Screen(
            image=page.image,
            elements=elements_of(page),
            texts=_texts(page.rows),
            icons=ui.drawn,
            # Text behind a translucent shade is visible, but Chromium counts it as covered.
            glyphs=None if "x-shade" in body else glyphs_of(page),
            source={"template": name, "style": style.name, "icons": ui.icons.name, "font": face.id},
        )

    def _size(self, rng: random.Random, is_phone: bool) -> Size:
        (least_width, most_width), (least_height, most_height) = (
            self.config.width,
            self.config.height,
        )
        most = MAX_PIXELS if rng.random() < self.config.large_share else MAX_PIXELS // 4
        for _ in range(200):
            width = rng.randrange(least_width, most_width + 1, CELL)
            height = rng.randrange(least_height, most_height + 1, CELL)
            is_portrait = height >= PORTRAIT * width
            if width * height <= most and is_portrait == is_phone:
                return Size(width, height)
        return Size(least_width, least_height)

    def _tool(self, rng: random.Random, screen: Screen) -> str:
        """Name of the tool, or "" for a record without a tool."""
        if self.config.asked == "text" or rng.random() >= self.config.tool_share:
            return ""
        return (
            "mobile_use" if screen.size.height >= PORTRAIT * screen.size.width else "computer_use"
        )

    def _turns(self, rng: random.Random, screen: Screen, tool: str) -> list[Turn]:
        count = rng.randint(*self.config.turns)
        if not screen.asked():
            return []
        if self.config.asked == "text":
            turn = ask_text(rng, screen)
            return [turn] if turn is not None else []
        if not tool:
            return ask(rng, screen, count, self.config.absent_share)
        turns = {}
        for _ in range(count):
            turn = ask_click(rng, screen, tool, rng.random() < self.config.absent_share)
            if turn is not None:
                turns[turn.question] = turn
        return list(turns.values())

    def _record(
        self,
        record_id: str,
        seed: int,
        screen: Screen,
        turns: Sequence[Turn],
        tool: str,
        rng: random.Random,
    ) -> Record:
        image = np.ascontiguousarray(wear(screen.image, rng, self.config.difficulty * rng.random()))
        conversation = asked_about(
            (ImagePart(source=image),), [(it.question, it.answer) for it in turns]
        )
        if tool:
            described = (computer_use if tool == "computer_use" else mobile_use)(screen.size)
            system = Message("system", (TextPart(DEFAULT_SYSTEM),))
            conversation = Conversation((system, *conversation.messages), (described,))
        objects = tuple(SceneObject(element.box, element.title) for element in screen.elements)
        return Record(
            id=record_id,
            conversation=conversation,
            truth=(Truth(glyphs=screen.glyphs, objects=objects),),
            any_order=True,
            meta={
                "split": self.config.split,
                "generator": "screens/1",
                "seed": seed,
                "tasks": [dict(turn.task) for turn in turns],
                "tool": tool,
                **screen.source,
            },
        )


def _texts(rows: Sequence[TextRow]) -> Counter[str]:
    return Counter(row.text for row in rows)


def _screen_faces(fonts: FontCatalogue, split: Split) -> list[list[Face]]:
    """Legible upright faces by family; no collections, which a style sheet cannot use."""
    families: dict[str, list[Face]] = {}
    for face in fonts.faces:
        is_upright = not any(word in face.style.lower() for word in ("italic", "oblique"))
        is_usable = (
            face.split == split and "latin" in face.scripts and not face.path.endswith(".ttc")
        )
        is_small = is_usable and Path(face.path).stat().st_size <= MAX_FONT_BYTES
        if is_upright and is_small and face.legibility >= MIN_LEGIBILITY:
            families.setdefault(face.family, []).append(face)
    if not families:
        raise DataError(f"no {split} face has a legibility of {MIN_LEGIBILITY} or more")
    return [families[name] for name in sorted(families)]
