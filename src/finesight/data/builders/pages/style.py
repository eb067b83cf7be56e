# SPDX-License-Identifier: Apache-2.0
"""Random style of a page as CSS: faces, size, colours, margins, rules, alignment."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from finesight.data.builders.paper import Colour, ink_and_paper
from finesight.data.builders.rendered import font_face
from finesight.data.sources.fonts import Face, FontCatalogue
from finesight.data.split import Split
from finesight.errors import DataError

__all__ = ["PageFaces", "Style"]

SCRIPT = "latin-accents"
LEAST_LEGIBLE = 0.8
CONTRAST_DIFFICULTY = 0.3
"""Difficulty of the colours: a contrast ratio of at least 6.8."""
PLAIN_SHARE = 0.5
"""Share of pages with dark text on nearly white paper, or the reverse."""


@dataclass(frozen=True, slots=True)
class Style:
    """Style of one page.

    Attributes:
        css: rules of the fonts and the variables that templates use.
        faces: ids of its faces.
        paper: colour of the page.
    """

    css: str
    faces: tuple[str, ...]
    paper: Colour

    @classmethod
    def draw(cls, rng: random.Random, faces: PageFaces, text: str, em: int) -> Style:
        """Draw a style.

        Args:
            rng: random generator.
            faces: of one split.
            text: every character that the page shows.
            em: size of the running text, in pixels.
        """
        regular, bold = faces.choose(rng, text)
        title = regular
        if rng.random() < 0.35:
            title, _ = faces.choose(rng, text)
        ink, paper = ink_and_paper(rng, 0.0 if rng.random() < PLAIN_SHARE else CONTRAST_DIFFICULTY)
        rules = [font_face("body", regular)]
        rules += [font_face("body", bold, weight="bold")] if bold else []
        rules += [font_face("title", title)] if title is not regular else []
        used = {regular.id, title.id, *([bold.id] if bold else [])}
        values = dict(_variables(rng, ink, paper, em))
        values["title"] = '"body"' if title is regular else '"title"'
        variables = ";".join(f"--{name}:{value}" for name, value in values.items())
        css = "\n".join((*rules, f":root {{ {variables} }}"))
        return cls(css, tuple(sorted(used)), paper)


class PageFaces:
    """Faces that can be embedded in pages: those of one split with Latin letters, each with the bold of its family.

    Args:
        fonts: the font catalogue.
        split: split of the faces.
        max_bytes: size of the largest font file.

    Raises:
        DataError: no face is left.
    """

    def __init__(self, fonts: FontCatalogue, split: Split, max_bytes: int) -> None:
        families: dict[str, dict[str, Face]] = {}
        for face in fonts.faces:
            is_usable = (
                face.split == split and SCRIPT in face.scripts and face.legibility >= LEAST_LEGIBLE
            )
            if is_usable and not face.path.endswith(".ttc"):
                path = Path(face.path)
                if path.is_file() and path.stat().st_size <= max_bytes:
                    families.setdefault(face.family, {})[face.style] = face
        if not families:
            raise DataError(
                f"no {split} face with Latin letters can be embedded in a page",
                hint="install more fonts (scripts/training-fonts.tsv)",
            )
        self.split = split
        self._families = [families[name] for name in sorted(families)]

    def choose(self, rng: random.Random, text: str) -> tuple[Face, Face | None]:
        """A face that covers a text, and the bold face of its family if there is one.

        Raises:
            DataError: no face was found.
        """
        needed = "".join(sorted(set(text) - {"\n"}))
        for _ in range(100):
            family = rng.choice(self._families)
            upright = [
                name
                for name in family
                if "Italic" not in name and "Oblique" not in name and "Bold" not in name
            ]
            face = family[
                rng.choice(sorted(upright if upright and rng.random() < 0.85 else family))
            ]
            if face.covers(needed):
                bold = family.get("Bold")
                return face, bold if bold is not None and bold.covers(needed) else None
        raise DataError(f"no {self.split} face covers the characters {needed!r} after 100 tries")


def _variables(rng: random.Random, ink: Colour, paper: Colour, em: int) -> Mapping[str, str]:
    """Values of the CSS variables of the templates."""
    accent = rng.choice((ink, ink, _toward(ink, _vivid(rng), 0.6)))
    return {
        "ink": _css(ink),
        "paper": _css(paper),
        "accent": _css(accent),
        "rule": _css(_toward(paper, ink, rng.uniform(0.25, 0.9))),
        "shade": _css(_toward(paper, ink, rng.uniform(0.04, 0.13))),
        "desk": _css(
            rng.choice((paper, _toward(paper, ink, rng.uniform(0.03, 0.25)), _vivid(rng)))
        ),
        "em": f"{em}px",
        "leading": f"{rng.uniform(1.15, 1.6):.2f}",
        "tracking": rng.choice(("0", "0", "0", "0", "0.02em", "0.05em")),
        "margin": f"{rng.uniform(0.3, 2.2):.2f}em",
        "gap": f"{rng.uniform(0.25, 1.0):.2f}em",
        "cell": f"{rng.uniform(0.1, 0.5):.2f}em {rng.uniform(0.3, 1.2):.2f}em",
        "line": f"{rng.choice((1, 1, 1, 2))}px {rng.choice(('solid', 'solid', 'dashed', 'dotted'))}",
        "align": rng.choice(("left", "left", "left", "justify", "center")),
        "side": rng.choice(("left", "left", "center", "right")),
        "heading": f"{rng.uniform(1.05, 1.9):.2f}em",
        "weight": rng.choice(("normal", "bold", "bold")),
    }


def _vivid(rng: random.Random) -> Colour:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _toward(start: Colour, end: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(start, end, strict=True))
    return red, green, blue


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
