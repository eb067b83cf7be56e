# SPDX-License-Identifier: Apache-2.0
"""Draws pages: documents, receipts, invoices, forms and tables, from templates of one split.

The contents are drawn first, then the style, then Chromium lays the page out. A page that is larger than `MOST` is
drawn again with shorter contents. The picture ends below and to the right of the page, at a multiple of `CELL`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files as package_files
from typing import Literal

import jinja2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.data.builders.options import CELL, Range, Share
from finesight.data.builders.pages.content import write_sheet
from finesight.data.builders.pages.names import Names
from finesight.data.builders.pages.photo import Perspective, shade
from finesight.data.builders.pages.questions import PageTurn, Questioner
from finesight.data.builders.pages.reading import Reading, read_page
from finesight.data.builders.pages.sheet import Kind, Sheet
from finesight.data.builders.pages.style import PageFaces, Style
from finesight.data.builders.pages.wording import LOCALES
from finesight.data.builders.rendered import DrawnPage, shared_renderer
from finesight.data.record import Record, Truth
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import WordLists
from finesight.data.split import Split
from finesight.errors import ConfigError, DataError
from finesight.geometry import Size

__all__ = ["Pages", "PagesConfig"]

MOST = Size(756, 784)
"""Size of the largest picture."""
LEAST = Size(224, 168)
TRIES = 8
MANY = 10**6
"""Number of lines that is reported for a page that is too large."""
ROOMY_PIXELS = 16
"""Larger text gets shorter contents from the start, because it would not fit."""
PLACED = frozenset(("html", "find", "read_box"))
"""Kinds of questions with coordinates."""

Ask = Literal["mixed", "text", "fields"]
"""Any questions, only the transcription, or each field by itself."""


class PagesConfig(Settings):
    """Options of pages."""

    split: Split = Field("train", description="split of the templates, fonts and words")
    kinds: Mapping[Kind, float] = Field(
        {"document": 0.3, "receipt": 0.2, "invoice": 0.15, "form": 0.15, "table": 0.2},
        description="weights of the kinds of pages",
    )
    columns_share: Share = Field(0.3, description="share of documents in two columns")
    font_pixels: Range = Field(
        (12, 28), description="smallest and largest size of running text, pixels per em"
    )
    max_font_bytes: int = Field(
        300_000,
        ge=1,
        description="largest font file; each page contains its fonts, and large ones slow the drawing down",
    )
    lines: Range = Field((2, 40), description="fewest and most lines of text")
    worn_share: Share = Field(0.25, description="share of pages that look like a photo or scan")
    other_languages: Share = Field(0.2, description="share of pages not in English")
    ask: Ask = Field(
        "mixed",
        description="questions: mixed; text, the transcription only; fields, each field by itself",
    )
    turns: Range = Field((2, 4), description="fewest and most questions of mixed ones")
    absent_share: Share = Field(
        0.05, description="share of questions about what the page does not show"
    )
    max_answer: int = Field(900, ge=50, description="most characters of an answer")

    @model_validator(mode="after")
    def _kinds(self) -> PagesConfig:
        if not sum(self.kinds.values()) > 0 or min(self.kinds.values()) < 0:
            raise ConfigError(f"weights of kinds are {dict(self.kinds)}, expected a positive sum")
        return self


@dataclass(frozen=True, slots=True)
class _View:
    """A page as a picture, `uint8[H, W, 3]`."""

    template: str
    sheet: Sheet
    style: Style
    image: npt.NDArray[np.uint8]
    reading: Reading
    is_worn: bool


class Pages:
    """Draws page records.

    Args:
        config: what to draw.
        fonts: the font catalogue.
        words: word lists of the config's split.
    """

    def __init__(self, config: PagesConfig, fonts: FontCatalogue, words: WordLists) -> None:
        self.config = config
        self.words = words
        self.faces = PageFaces(fonts, config.split, config.max_font_bytes)

    @cached_property
    def _templates(self) -> jinja2.Environment:
        folder = str(package_files(__package__) / "templates")
        return jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def templates(self, kind: Kind) -> list[str]:
        """Names of the templates of a kind, such as "train/form/rows.html"."""
        start = f"{self.config.split}/{kind}/"
        return [name for name in self._templates.list_templates() if name.startswith(start)]

    def record(self, record_id: str, seed: int) -> Record:
        """Draw the record of a seed; the same seed, config, assets and version of Chromium give the same record.

        Raises:
            DataError: no page of the asked size was found.
            ScreenUnavailable: playwright or Chromium is missing.
        """
        rng = random.Random(seed)
        kind = rng.choices(list(self.config.kinds), list(self.config.kinds.values()))[0]
        template, em = self._template(rng, kind), self._em(rng)
        length = math.pow(rng.random(), 1.8) * min(1.0, ROOMY_PIXELS / em)
        for _ in range(TRIES):
            view = self._view(rng, kind, template, length, em)
            num_lines = view.reading.text.count("\n") + 1 if view else MANY
            turns = self._turns(rng, view) if view else []
            low, high = self.config.lines
            if view and turns and low <= num_lines <= high:
                return self._record(record_id, seed, view, turns)
            if num_lines < low:
                length = min(1.0, length * 1.4 + 0.1)
            else:
                length, em = length * 0.7, max(self.config.font_pixels[0], round(em * 0.88))
        raise DataError(
            f"no page of template {template} has {self.config.lines} lines within {MOST} after {TRIES} tries",
            hint="allow more lines or smaller fonts",
        )

    def _view(
        self, rng: random.Random, kind: Kind, template: str, length: float, em: int
    ) -> _View | None:
        """A page of new contents, as a picture; None if it is too large."""
        sheet = write_sheet(kind, Names(rng, self.words, self._language(rng)), length)
        style = Style.draw(rng, self.faces, _characters(sheet), em)
        page = self._draw(rng, template, sheet, style, em)
        box = page.parts[0].box
        is_inside = all(row.box.x2 <= box.x2 for row in page.rows)
        if box.x2 > MOST.width or box.y2 > MOST.height or not is_inside:
            return None
        image, reading, is_worn = self._picture(rng, page, style)
        return _View(template, sheet, style, image, reading, is_worn)

    def _template(self, rng: random.Random, kind: Kind) -> str:
        templates = self.templates(kind)
        if kind == "document":
            is_wide = rng.random() < self.config.columns_share
            templates = [name for name in templates if ("columns" in name) == is_wide]
        return rng.choice(templates)

    def _em(self, rng: random.Random) -> int:
        """Log-uniform between the two sizes, smaller ones a little more often."""
        low, high = self.config.font_pixels
        share: float = rng.random() ** 1.7
        return round(low * math.pow(high / low, share))

    def _language(self, rng: random.Random) -> str:
        others = [name for name in LOCALES if name != "en" and name in self.words.by_language]
        return rng.choice(others) if others and rng.random() < self.config.other_languages else "en"

    def _draw(
        self, rng: random.Random, template: str, sheet: Sheet, style: Style, em: int
    ) -> DrawnPage:
        width = round(
            em * (rng.uniform(11, 26) if sheet.kind == "document" else rng.uniform(8, 20))
        )
        outer = rng.choice((0, 0, 0, rng.randint(4, 24)))
        mark = rng.choice(("", ":")) if "columns" not in template else ":"
        body = self._templates.get_template(template).render(sheet=sheet, width=width, mark=mark)
        html = f"<!doctype html><meta charset=utf-8><style>{style.css} body {{ padding: {outer}px }}</style>{body}"
        return shared_renderer().draw(html, Size(MOST.width + CELL, MOST.height + CELL))

    def _picture(
        self, rng: random.Random, page: DrawnPage, style: Style
    ) -> tuple[npt.NDArray[np.uint8], Reading, bool]:
        """The picture, its text, and whether it looks like a photo or scan."""
        box = page.parts[0].box
        size = Size(
            max(LEAST.width, math.ceil((box.x2 + box.x1) / CELL) * CELL),
            max(LEAST.height, math.ceil((box.y2 + box.y1) / CELL) * CELL),
        )
        size = Size(min(size.width, MOST.width), min(size.height, MOST.height))
        image = page.image[: size.height, : size.width]
        if rng.random() >= self.config.worn_share:
            return np.ascontiguousarray(image), read_page(page, size, lambda points: points), False
        strength = rng.uniform(0.2, 0.8)
        view = Perspective(rng, size.width, size.height, rng.choice((0.0, rng.random())))
        desk = rng.choice(
            (style.paper, (rng.randrange(256), rng.randrange(256), rng.randrange(256)))
        )
        image = shade(view.picture(image, desk), rng, strength)
        return np.ascontiguousarray(image), read_page(page, size, view.points), True

    def _turns(self, rng: random.Random, view: _View) -> list[PageTurn]:
        asker = Questioner(rng, view.sheet, view.reading, self.config.max_answer)
        if self.config.ask == "text":
            turn = asker.transcription()
            return [] if turn is None else [turn]
        if self.config.ask == "fields":
            return asker.fields()
        return asker.draw(rng.randint(*self.config.turns), self.config.absent_share)

    def _record(self, record_id: str, seed: int, view: _View, turns: list[PageTurn]) -> Record:
        has_places = any(turn.kind in PLACED for turn in turns)
        # The report card takes a record with a language for a transcription.
        language = {"language": view.sheet.language} if turns[0].kind == "read" else {}
        return Record.of_picture(
            id=record_id,
            image=view.image,
            turns=[(turn.question, turn.answer) for turn in turns],
            truth=Truth(glyphs=view.reading.glyphs),
            allows=("invert",) if has_places else ("move", "invert"),
            meta={
                "split": self.config.split,
                "generator": "pages/1",
                "seed": seed,
                "page": view.sheet.kind,
                "template": view.template,
                "fonts": list(view.style.faces),
                "worn": view.is_worn,
                "tasks": [turn.task for turn in turns],
                **language,
            },
        )


def _characters(sheet: Sheet) -> str:
    """Every character that a page shows."""
    texts = [sheet.title, *sheet.lines, sheet.closing, "0123456789.:-"]
    texts += [text for block in sheet.flow for text in block.texts]
    texts += [text for fact in sheet.all_facts for text in (fact.label, fact.value)]
    if sheet.grid is not None:
        texts += [*sheet.grid.headers, *(cell for row in sheet.grid.rows for cell in row)]
    return "".join(texts)
