# SPDX-License-Identifier: Apache-2.0
"""Components of screens as HTML, marked for the truth.

`data-part` is the role. `data-name` is a field's label, `data-icon` the concept of its icon, `data-state` "on" or "off",
`data-value` a field's content, `data-colour` the colour of its surface. Contents of fields are drawn as text over an
empty input, because text inside an input is not part of the document.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from html import escape

from finesight.data.builders.screens.content import Content
from finesight.data.builders.screens.styles import COLOURS, Style
from finesight.data.sources.interface import LOOKALIKE, IconSet
from finesight.geometry import Size

__all__ = ["Ui"]

ON_YELLOW = "#222"


@dataclass(slots=True)
class Ui:
    """Draws components of one screen.

    Attributes:
        rng: the source of randomness.
        size: of the screen, in pixels.
        style: its look.
        icons: its icon set.
        content: its texts.
    """

    rng: random.Random
    size: Size
    style: Style
    icons: IconSet
    content: Content
    drawn: Counter[str] = field(default_factory=Counter)
    """How often a drawing of each group of alike icons is in the page."""
    _used: set[str] = field(default_factory=set)

    @property
    def is_narrow(self) -> bool:
        """Whether there is no room for a column at the side."""
        return self.size.width < 24 * self.style.pixels

    def fitting(self, ems: float, least: int, most: int) -> int:
        """How many rows of so many ems fit below a title, between `least` and `most`."""
        rows = int((self.size.height / self.style.pixels - 4) / ems)
        return max(least, min(most, rows))

    def has(self, share: float) -> bool:
        """True in a share of the draws."""
        return self.rng.random() < share

    def concept(self, *wanted: str) -> str:
        """One of the wanted icons, or any; none twice, and no two that look alike."""
        pool = [name for name in wanted or self.icons.bodies if self._is_free(name)]
        pool = pool or [name for name in self.icons.bodies if self._is_free(name)]
        found = self.rng.choice(pool or list(self.icons.bodies))
        self._used.add(LOOKALIKE.get(found, found))
        return found

    def _is_free(self, name: str) -> bool:
        return name in self.icons.bodies and LOOKALIKE.get(name, name) not in self._used

    def svg(self, concept: str, ems: float = 1.2) -> str:
        """A drawing without a mark."""
        self.drawn[LOOKALIKE.get(concept, concept)] += 1
        return self.icons.svg(concept, round(ems * self.style.pixels))

    def picture(self, concept: str, ems: float = 1.2) -> str:
        """An icon that is no control."""
        return f'<span class="x-icon" {_mark("icon", icon=concept)}>{self.svg(concept, ems)}</span>'

    def button(self, text: str, *, icon: str = "", is_primary: bool = False, wide: bool = False) -> str:
        """A push button with a text and perhaps an icon."""
        colour, paint = "", ""
        if is_primary:
            colour = self.style.accent
        elif self.style.accent and self.has(0.15):
            colour = self.rng.choice(list(COLOURS))
            ink = ON_YELLOW if colour == "yellow" else "#fff"
            paint = f"background:{COLOURS[colour]};color:{ink};border-color:{COLOURS[colour]};"
        drawn = f"{self.svg(icon, 1.1)}<span>{escape(text)}</span>" if icon else escape(text)
        shape = f"{self.style.of('primary' if is_primary else 'button')}{' x-icon' if icon else ''}"
        paint += "width:100%;" if wide else ""
        mark = _mark("button", icon=icon, colour=colour)
        return f'<button class="{shape}" style="{paint}" {mark}>{drawn}</button>'

    def icon_button(self, *wanted: str, ems: float = 1.3, plain: bool | None = None) -> str:
        """A button that shows one icon."""
        concept = self.concept(*wanted)
        is_plain = self.has(0.6) if plain is None else plain
        shape = f"{self.style.of('button')} x-icon x-only{' x-plain' if is_plain else ''}"
        mark = _mark("button", icon=concept)
        return f'<button class="{shape}" {mark}>{self.svg(concept, ems)}</button>'

    def link(self, text: str) -> str:
        """A link."""
        return f'<a href="#" {_mark("link")}>{escape(text)}</a>'

    def field(self, label: str, *, is_secret: bool = False, empty_share: float = 0.35) -> str:
        """A text field under its label; empty, or with a value or bullets."""
        value = "" if self.has(empty_share) else self.content.value(label)
        shown = "•" * self.rng.randint(6, 10) if is_secret and value else escape(value)
        mark = _mark("textbox", name=label, value="" if is_secret else value, filled=str(bool(value)))
        box = f'<span class="x-field" {mark}><input class="{self.style.of("input")}"><span class="x-value">{shown}</span></span>'
        return f'<div class="x-col" style="gap:.2em"><label>{escape(label)}</label>{box}</div>'

    def search(self, hint: str = "") -> str:
        """A search box with a hint and a magnifying glass."""
        text = hint or self.rng.choice(("Search", "Search...", "Search here", "Find", "Type to search"))
        has_icon = self.has(0.7) and self._is_free("search")
        icon = self.svg(self.concept("search"), 1.1) if has_icon else ""
        value = f'<span class="x-value"><span style="opacity:.75">{escape(text)}</span></span>'
        shape = f"x-field x-grow{' x-iconic' if icon else ''}"
        return f'<span class="{shape}" {_mark("searchbox")}><input class="{self.style.of("input")}">{icon}{value}</span>'

    def select(self, label: str, value: str) -> str:
        """A drop-down list under its label."""
        mark = _mark("combobox", name=label, value=value)
        box = f'<input class="{self.style.of("select")}"><span class="x-value">{escape(value)}</span>'
        return (
            f'<div class="x-col" style="gap:.2em"><label>{escape(label)}</label>'
            f'<span class="x-field x-select" {mark}>{box}</span></div>'
        )

    def check(self, label: str, role: str = "checkbox", *, is_on: bool | None = None) -> str:
        """A checkbox or radio button with its label."""
        on = self.has(0.5) if is_on is None else is_on
        key = f"c{self.rng.randrange(10**9)}"
        kind = "radio" if role == "radio" else "checkbox"
        box = f'<input type="{kind}" id="{key}" class="{self.style.classes.get("check", "")}"{" checked" if on else ""}>'
        mark = _mark(role, name=label, state="on" if on else "off")
        return f'<span class="x-check" {mark}>{box}<label for="{key}">{escape(label)}</label></span>'

    def switch(self, label: str, *, icon: str = "") -> str:
        """A row with a label and a switch at its end; the switch is the marked part."""
        on = self.has(0.5)
        mark = _mark("switch", name=label, state="on" if on else "off")
        drawn = self.svg(icon) if icon else ""
        return (
            f'<div class="x-row x-between">{drawn}<span class="x-grow x-clip">{escape(label)}</span>'
            f'<span class="x-switch{" x-on" if on else ""}" {mark}><i></i></span></div>'
        )

    def tabs(self, labels: list[str]) -> str:
        """Tabs, one of which is selected."""
        chosen = self.rng.randrange(len(labels))
        drawn = "".join(self._choice("tab", label, index == chosen) for index, label in enumerate(labels))
        return f'<div class="x-row" style="gap:.1em">{drawn}</div>'

    def _choice(self, role: str, label: str, is_on: bool) -> str:
        shape = self.style.of("tab") + (f" {self.style.of('tab-on')}" if is_on else "")
        mark = _mark(role, state="on" if is_on else "off")
        return f'<span class="{shape}" {mark}>{escape(label)}</span>'

    def menu(self, labels: list[str], *, icon_share: float = 0.6) -> str:
        """Entries below each other, one of which is selected."""
        chosen = self.rng.randrange(len(labels))
        has_icons = self.has(icon_share)
        entries = []
        for index, label in enumerate(labels):
            icon = self.concept(label.lower()) if has_icons else ""
            shape = "x-item" + (f" {self.style.of('item-on')}" if index == chosen else "")
            mark = _mark("menuitem", icon=icon, state="on" if index == chosen else "off")
            drawn = self.svg(icon) if icon else ""
            entries.append(f'<div class="{shape}" {mark}>{drawn}<span>{escape(label)}</span></div>')
        return "".join(entries)

    def heading(self, text: str, level: int = 2) -> str:
        """A title."""
        return f'<h{level} class="x-clip x-fit" {_mark("heading")}>{escape(text)}</h{level}>'

    def avatar(self, person: str) -> str:
        """A disc with initials."""
        paint = self.rng.choice([colour for colour in COLOURS.values() if colour != COLOURS["yellow"]])
        initials = "".join(part[0] for part in person.split()[:2])
        return f'<span class="x-avatar" style="background:{paint}">{initials}</span>'

    def thumb(self, height: float) -> str:
        """A coloured area in place of a photograph, perhaps with an icon."""
        hue = self.rng.randrange(360)
        paint = f"linear-gradient({self.rng.randrange(360)}deg,hsl({hue} 50% 70%),hsl({(hue + 40) % 360} 45% 45%))"
        drawn = self.svg(self.concept(), min(2.0, height * 0.6)) if self.has(0.4) else ""
        return f'<div class="x-thumb" style="height:{height:.1f}em;background:{paint}">{drawn}</div>'

    def badge(self, text: str) -> str:
        """A small label."""
        return f'<span class="{self.style.of("badge")}">{escape(text)}</span>'

    def slider(self, label: str) -> str:
        """A slider with its label and value."""
        share = self.rng.randint(5, 95)
        mark = _mark("slider", name=label, value=f"{share}%")
        return (
            f'<div class="x-row"><span>{escape(label)}</span><span class="x-grow" style="padding:.5em;overflow:visible" {mark}>'
            f'<span class="x-track" style="display:block"><i style="width:{share}%"></i><b style="left:{share}%"></b></span></span>'
            f"<span>{share}%</span></div>"
        )

    def row(self, title: str, subtitle: str = "", *, lead: str = "", trail: str = "") -> str:
        """An entry of a list: something in front, one or two lines, something at the end."""
        below = f'<div class="x-clip x-muted">{escape(subtitle)}</div>' if subtitle else ""
        lines = f'<div class="x-grow"><div class="x-clip x-fit" {_mark("row")}>{escape(title)}</div>{below}</div>'
        return f'<div class="x-item">{lead}{lines}{trail}</div>'

    def table(self, columns: list[str], rows: list[list[str]]) -> str:
        """A table with a header."""
        head = "".join(f"<th>{escape(column)}</th>" for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f'<table class="{self.style.of("table")}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def bar(self, *drawn: str) -> str:
        """A bar across the screen."""
        return f'<div class="{self.style.of("bar")} x-row x-pad">{"".join(drawn)}</div>'

    def card(self, *drawn: str, extra: str = "") -> str:
        """A framed group."""
        return f'<div class="{self.style.of("card")}" style="{extra}"><div class="x-col">{"".join(drawn)}</div></div>'


def _mark(role: str, **data: str) -> str:
    given = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items() if value)
    return f'data-part="{role}"{given}'
