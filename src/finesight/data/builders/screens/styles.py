# SPDX-License-Identifier: Apache-2.0
"""Styles of screens: palettes, densities and shapes of our own, and open style sheets with their class names.

Every style shares the layout rules below. Fonts always come from the catalogue, so a screen can be drawn in a held-out
face whatever its style sheet asks for.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from finesight.data.builders.rendered import font_face
from finesight.data.sources.fonts import Face
from finesight.data.sources.interface import STYLE_SHEETS, style_sheet
from finesight.data.split import Split

__all__ = ["COLOURS", "Style", "draw_style"]

COLOURS: dict[str, str] = {
    "blue": "#1f6feb", "green": "#1a8f4c", "red": "#d4313f", "orange": "#d9660b", "purple": "#7a3fd1",
    "pink": "#cf2f86", "teal": "#0b8390", "black": "#1c1e22", "yellow": "#f2c230",
}  # fmt: skip
"""Colours of buttons by name, far enough apart to be told from each other."""

OWN_STYLES: dict[str, Split] = {
    "flat": "train", "outlined": "train", "raised": "train", "underlined": "train", "tinted": "heldout",
}  # fmt: skip
SHEET_SPLITS: dict[str, Split] = {
    "bootstrap": "train", "pico": "train", "spectre.css": "train", "water.css": "train", "mvp.css": "train",
    "sakura.css": "train", "98.css": "train", "xp.css": "heldout", "milligram": "heldout", "chota": "heldout",
}  # fmt: skip
OWN_SHARE = 0.5

_CLASSES: dict[str, dict[str, str]] = {
    "bootstrap": {
        "button": "btn btn-outline-secondary", "primary": "btn btn-primary", "input": "form-control",
        "select": "form-control", "card": "card card-body", "table": "table", "bar": "bg-body-tertiary border-bottom",
        "tab-on": "border-bottom border-primary border-3 text-primary", "check": "form-check-input",
        "item-on": "bg-primary text-white rounded", "badge": "badge text-bg-secondary",
        "side": "bg-body-tertiary border-end",
    },
    "spectre.css": {
        "button": "btn", "primary": "btn btn-primary", "input": "form-input", "select": "form-input",
        "card": "card p-2",
        "table": "table table-striped", "badge": "label label-primary", "item-on": "bg-secondary", "side": "bg-gray",
        "tab-on": "text-primary text-bold", "bar": "bg-gray",
    },
    "pico": {"button": "secondary outline", "badge": "secondary"},
    "chota": {
        "button": "button outline", "primary": "button primary", "card": "card", "badge": "tag is-small",
        "item-on": "text-primary", "tab-on": "text-primary", "table": "striped",
    },
    "milligram": {"button": "button button-outline", "primary": "button"},
    "98.css": {"primary": "default"},
    "xp.css": {"primary": "default"},
}  # fmt: skip
_ROOT_SCALE = {"milligram": 0.63, "chota": 0.63, "spectre.css": 1.25, "mvp.css": 0.9}
"""Pixels per rem of a style sheet, relative to the size of its usual text."""

_SHAPES = {
    "flat": "",
    "outlined": "button.x-primary { background: transparent; color: var(--accent-text); border-width: 2px; }",
    "raised": ".x-card, button { box-shadow: 0 1px 3px #0004; border-color: transparent; }",
    "underlined": (
        "input { border-width: 0 0 1px 0; border-radius: 0; background: transparent; }"
        " button { text-transform: uppercase; }"
    ),
    "tinted": "button, input { background: var(--tint); border: 0; } .x-card { border: 0; }",
}
_SHADOWED = (
    "button { color: #222; text-shadow: none; } .x-check > label { margin-left: 19px !important; }"
)
_DARK = ("dark", "vader")
"""Parts of the names of style sheets with light text on a dark page."""
_FIXES = {"98.css": _SHADOWED, "xp.css": _SHADOWED}
"""Rules after those of a style sheet; two draw the text of buttons as a shadow of nothing."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a screen looks.

    Attributes:
        name: of the style sheet, or of one of our own shapes.
        css: all rules, with the font.
        pixels: size of the usual text.
        accent: name of the colour of primary buttons; empty if the style sheet chooses it.
        is_dark: whether its text is light on a dark page.
        classes: class names of the style sheet by component.
    """

    name: str
    css: str
    pixels: int
    accent: str = ""
    is_dark: bool = False
    classes: Mapping[str, str] = field(default_factory=dict)

    def of(self, component: str) -> str:
        """Class names of a component: ours, then those of the style sheet."""
        return f"x-{component} {self.classes.get(component, '')}".strip()


def draw_style(rng: random.Random, split: Split, assets: Path, face: Face, pixels: int) -> Style:
    """A style of a split, in a face and with the usual text in pixels per em."""
    gap = rng.choice((0.4, 0.6, 0.6, 0.8)) * pixels
    shared = f"{font_face('screen-font', face)} :root {{ --gap: {gap:.1f}px; "
    if rng.random() < OWN_SHARE:
        shape = rng.choice([name for name, side in OWN_STYLES.items() if side == split])
        return _own_style(rng, shape, shared, pixels)
    package = rng.choice([name for name, side in SHEET_SPLITS.items() if side == split])
    file = rng.choice(STYLE_SHEETS[package])
    root = pixels * _ROOT_SCALE.get(package, 1.0)
    accent = rng.choice([value for name, value in COLOURS.items() if name != "yellow"])
    sizes = f"html {{ font-size: {root:.1f}px !important; }} body {{ font-size: {pixels}px !important; }}"
    rules = (
        style_sheet(assets, package, file),
        f"{shared} --accent: {accent}; }}",
        _rules("layout"),
        _rules("sheets"),
    )
    css = " ".join((*rules, sizes, _FIXES.get(package, "")))
    is_dark = any(word in file for word in _DARK)
    return Style(package, css, pixels, is_dark=is_dark, classes=_CLASSES.get(package, {}))


def _own_style(rng: random.Random, shape: str, shared: str, pixels: int) -> Style:
    is_dark = rng.random() < 0.3
    accent = rng.choice([name for name in COLOURS if name not in ("yellow", "black")])
    hue = rng.randrange(360)

    def shade(light: int, dark: int) -> str:
        return (
            f"hsl({hue} {rng.randint(4, 22)}% {(dark if is_dark else light) + rng.randint(-1, 1)}%)"
        )

    has_bar = rng.random() < 0.35
    colours = {
        "page": shade(96, 10), "surface": shade(99, 16), "ink": shade(13, 92), "line": shade(80, 32),
        "side": shade(92, 14),
        "tint": f"color-mix(in srgb, {COLOURS[accent]} 16%, {'#222' if is_dark else '#fff'})",
        "accent": COLOURS[accent], "on-accent": "#fff",
        "accent-text": f"color-mix(in srgb, {COLOURS[accent]} {'60%, white' if is_dark else '85%, black'})",
        "bar": COLOURS[accent] if has_bar else shade(94, 18), "on-bar": "#fff" if has_bar else "inherit",
    }  # fmt: skip
    radius = rng.choice((0, 3, 5, 8, 14))
    rules = " ".join(f"--{name}: {value};" for name, value in colours.items())
    scheme = "dark" if is_dark else "light"
    head = f"{shared} --radius: {radius}px; --scheme: {scheme}; {rules} }} html, body {{ font-size: {pixels}px; }}"
    css = " ".join((head, _rules("layout"), _rules("own"), _SHAPES[shape]))
    return Style(shape, css, pixels, accent="" if shape == "outlined" else accent, is_dark=is_dark)


@lru_cache(maxsize=4)
def _rules(name: str) -> str:
    return Path(__file__).with_name(f"{name}.css").read_text(encoding="utf-8")
