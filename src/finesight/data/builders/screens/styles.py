# SPDX-License-Identifier: Apache-2.0
"""Styles of screens: palettes, densities and shapes of our own, and open style sheets with their class names.

Every style shares the layout rules below. Fonts always come from the catalogue, so a screen can be drawn in a held-out
face whatever its style sheet asks for.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from finesight.data.builders.rendered import font_face
from finesight.data.sources.fonts import Face
from finesight.data.sources.interface import STYLE_SHEETS, style_sheet
from finesight.data.split import Split

__all__ = ["COLOURS", "Style", "draw_style"]

COLOURS: dict[str, str] = {
    "blue": "#1f6feb", "green": "#1a8f4c", "red": "#d4313f", "orange": "#d9660b", "purple": "#7a3fd1", "pink": "#cf2f86",
    "teal": "#0b8390", "black": "#1c1e22", "yellow": "#f2c230",
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
        "item-on": "bg-primary text-white rounded", "badge": "badge text-bg-secondary", "side": "bg-body-tertiary border-end",
    },
    "spectre.css": {
        "button": "btn", "primary": "btn btn-primary", "input": "form-input", "select": "form-input", "card": "card p-2",
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

_LAYOUT = """
*, *::before, *::after { box-sizing: border-box; animation: none !important; transition: none !important; }
html, body { margin: 0 !important; padding: 0 !important; width: 100%; height: 100%; max-width: none !important;
  overflow: hidden; }
body { display: block; line-height: 1.35; font-weight: normal; letter-spacing: 0; }
body, body * { font-family: "screen-font", sans-serif !important; }
button, input, label, td, th, p, li, a, b, span { font-size: inherit; }
button, input, label, h1, h2, h3, p, table, a { margin: 0 !important; }
button { width: auto; height: auto; line-height: 1.3 !important; white-space: nowrap; }
a { text-decoration: none; white-space: nowrap; }
h1 { font-size: 1.5em; line-height: 1.2; padding: 0; } h2 { font-size: 1.2em; line-height: 1.2; padding: 0; }
table { width: 100%; min-width: 0; border-collapse: collapse; display: table; }
td, th { padding: .3em .5em !important; text-align: left; white-space: nowrap; }
svg { display: block; flex: none; }
.x-row { display: flex; align-items: center; gap: var(--gap); min-width: 0; }
.x-col { display: flex; flex-direction: column; gap: var(--gap); min-width: 0; }
.x-grow { flex: 1 1 0; min-width: 0; overflow: hidden; } .x-wrap { flex-wrap: wrap; } .x-end { justify-content: flex-end; }
.x-between { justify-content: space-between; } .x-center { align-items: center; justify-content: center; }
.x-fill { height: 100%; } .x-clip { overflow: hidden; white-space: nowrap; } .x-pad { padding: var(--gap); }
.x-col > a { width: fit-content; }
.x-grid { display: grid; gap: var(--gap); } .x-fit { width: fit-content !important; max-width: 100%; }
.x-muted { opacity: .7; font-size: .88em; } .x-bold { font-weight: bold; }
.x-field { position: relative; display: block; } .x-field > input { width: 100% !important; max-width: none; display: block;
  min-height: 2em; }
.x-value { position: absolute; left: .7em; right: .5em; top: 0; bottom: 0; display: flex; align-items: center;
  white-space: nowrap; overflow: hidden; } .x-field.x-iconic > .x-value { left: 2.2em; }
.x-field > svg { position: absolute; left: .6em; top: 50%; transform: translateY(-50%); opacity: .7; }
.x-select::after { content: "\\25BE"; position: absolute; right: .6em; top: 50%; transform: translateY(-50%); }
.x-check { display: inline-flex; width: fit-content; align-items: center; gap: .45em; white-space: nowrap; }
.x-check > input { width: 1em; height: 1em; flex: none; margin: 0 !important; min-height: 0; }
.x-switch { width: 2.2em; height: 1.2em; border-radius: 1em; background: #9a9fa8; position: relative; flex: none; }
.x-switch > i { position: absolute; width: 1em; height: 1em; top: .1em; left: .1em; border-radius: 50%; background: #fff; }
.x-switch.x-on { background: var(--accent); } .x-switch.x-on > i { left: 1.1em; }
.x-item { display: flex; align-items: center; gap: .6em; padding: .35em .6em; white-space: nowrap; overflow: hidden; }
.x-tab { display: inline-block; padding: .35em .7em; white-space: nowrap; }
.x-icon { display: inline-flex !important; align-items: center; justify-content: center; gap: .4em; }
.x-only { padding: .35em !important; min-width: 0 !important; min-height: 0 !important; flex: none; }
.x-plain { border: 0 !important; background: transparent !important; box-shadow: none !important; color: inherit !important; }
.x-avatar { width: 2em; height: 2em; border-radius: 50%; color: #fff; display: flex; align-items: center;
  justify-content: center; flex: none; font-size: .85em; }
.x-thumb { border-radius: 4px; min-height: 2.2em; display: flex; align-items: center; justify-content: center; }
.x-track { height: .35em; border-radius: 1em; background: #8885; position: relative; min-width: 4em; }
.x-track > i { position: absolute; left: 0; top: 0; bottom: 0; border-radius: 1em; background: var(--accent); }
.x-track > b { position: absolute; width: 1em; height: 1em; top: -.32em; margin-left: -.5em; border-radius: 50%;
  background: var(--accent); }
.x-shade { position: absolute; inset: 0; background: #0007; }
"""
_OWN = """
:root { color-scheme: %(scheme)s; }
body { background: var(--page); color: var(--ink); }
a { color: var(--accent-text); }
button { border: 1px solid var(--line); border-radius: var(--radius); padding: .4em .8em; background: var(--surface);
  color: var(--ink); }
button.x-primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
input { border: 1px solid var(--line); border-radius: var(--radius); background: var(--surface); padding: .4em .6em; }
.x-card { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: var(--gap); }
.x-bar { background: var(--bar); color: var(--on-bar); } .x-bar a { color: inherit; }
.x-side { background: var(--side); }
.x-item-on { background: var(--tint); color: var(--accent-text); border-radius: var(--radius); }
.x-tab-on { color: var(--accent-text); border-bottom: 2px solid var(--accent); }
.x-badge { background: var(--tint); color: var(--accent-text); border-radius: 1em; padding: .1em .6em; font-size: .85em; }
th { border-bottom: 1px solid var(--line); } td { border-bottom: 1px solid var(--line); }
"""
_SHAPES = {
    "flat": "",
    "outlined": "button.x-primary { background: transparent; color: var(--accent-text); border-width: 2px; }",
    "raised": ".x-card, button { box-shadow: 0 1px 3px #0004; border-color: transparent; } .x-bar { box-shadow: 0 1px 4px #0005; }",
    "underlined": "input { border-width: 0 0 1px 0; border-radius: 0; background: transparent; } button { text-transform: uppercase; }",
    "tinted": "button { background: var(--tint); border: 0; } input { background: var(--tint); border: 0; } .x-card { border: 0; }",
}
_SHEET = """
.x-card { padding: var(--gap); } .x-bar, .x-side { background-color: #8882; } .x-item-on { background: #8884; font-weight: bold; }
.x-tab-on { border-bottom: 2px solid currentColor; font-weight: bold; } .x-badge { border: 1px solid #8888; padding: 0 .4em;
  border-radius: 3px; display: inline-block; } nav, header, footer, section, aside, main { margin: 0; max-width: none; }
"""
_SHADOWED = "button, button:active { color: #222; text-shadow: none; } .x-check > label { margin-left: 19px !important; }"
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
        classes: class names of the style sheet by component.
    """

    name: str
    css: str
    pixels: int
    accent: str = ""
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
    sheet = style_sheet(assets, package, rng.choice(STYLE_SHEETS[package]))
    root = pixels * _ROOT_SCALE.get(package, 1.0)
    accent = rng.choice([value for name, value in COLOURS.items() if name != "yellow"])
    sizes = f"html {{ font-size: {root:.1f}px !important; }} body {{ font-size: {pixels}px !important; }}"
    css = f"{sheet} {shared} --accent: {accent}; }} {_LAYOUT} {_SHEET} {sizes} {_FIXES.get(package, '')}"
    return Style(package, css, pixels, classes=_CLASSES.get(package, {}))


def _own_style(rng: random.Random, shape: str, shared: str, pixels: int) -> Style:
    is_dark = rng.random() < 0.3
    accent = rng.choice([name for name in COLOURS if name not in ("yellow", "black")])
    hue = rng.randrange(360)

    def shade(light: int, dark: int) -> str:
        return f"hsl({hue} {rng.randint(4, 22)}% {(dark if is_dark else light) + rng.randint(-1, 1)}%)"

    has_bar = rng.random() < 0.35
    colours = {
        "page": shade(96, 10), "surface": shade(99, 16), "ink": shade(13, 92), "line": shade(80, 32), "side": shade(92, 14),
        "tint": f"color-mix(in srgb, {COLOURS[accent]} 16%, {'#222' if is_dark else '#fff'})",
        "accent": COLOURS[accent], "on-accent": "#fff",
        "accent-text": f"color-mix(in srgb, {COLOURS[accent]} {'60%, white' if is_dark else '85%, black'})",
        "bar": COLOURS[accent] if has_bar else shade(94, 18), "on-bar": "#fff" if has_bar else "inherit",
    }  # fmt: skip
    radius = rng.choice((0, 3, 5, 8, 14))
    rules = " ".join(f"--{name}: {value};" for name, value in colours.items())
    css = (
        f"{shared} --radius: {radius}px; {rules} }} html, body {{ font-size: {pixels}px; }} {_LAYOUT}"
        f" {_OWN % {'scheme': 'dark' if is_dark else 'light'}} {_SHAPES[shape]}"
    )
    return Style(shape, css, pixels, accent="" if shape == "outlined" else accent)
