# SPDX-License-Identifier: Apache-2.0
"""Components of screens as HTML, marked for the truth.

`data-part` is the role. `data-name` is a field's label, `data-icon` the concept of its icon, `data-state` "on" or
"off", `data-value` a field's content, `data-colour` the colour of its surface. Contents of fields are drawn as text
over an empty input, because text inside an input is not part of the document.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from html import escape

from finesight.data.builders.screens.content import Content
from finesight.data.builders.screens.layout import column, row
from finesight.data.builders.screens.styles import COLOURS, Style
from finesight.data.sources.interface import LOOKALIKE, IconSet
from finesight.geometry import Size

__all__ = ["Ui"]

HINTS = ("Search", "Search...", "Search here", "Find", "Type to search")
COLOUR_SHARE = 0.15
"""Share of buttons with a colour of their own."""
NARROW = 24
"""Width of a screen without room for a column at the side, in ems."""
_DARK_COLOURS = [value for name, value in COLOURS.items() if name != "yellow"]


@dataclass(slots=True)
class Ui:
    """Draws components of one screen.

    Attributes:
        rng: the source of randomness.
        size: of the screen, in pixels.
        style: its look.
        icons: its icon set.
        content: its texts.
        drawn: how often a drawing of each group of alike icons is in the page.
    """

    rng: random.Random
    size: Size
    style: Style
    icons: IconSet
    content: Content
    drawn: Counter[str] = field(default_factory=Counter)
    _used: set[str] = field(default_factory=set)

    @property
    def is_narrow(self) -> bool:
        """Whether there is no room for a column at the side."""
        return self.size.width < NARROW * self.style.pixels

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
        return _tag(
            "span", self.svg(concept, ems), shape="x-icon", mark=_mark("icon", icon=concept)
        )

    def button(
        self, text: str, *, icon: str = "", is_primary: bool = False, is_wide: bool = False
    ) -> str:
        """A push button with a text and perhaps an icon."""
        colour, css = "", "width: 100%; " if is_wide else ""
        if is_primary:
            colour = self.style.accent
        elif self.style.accent and self.has(COLOUR_SHARE):
            colour = self.rng.choice(list(COLOURS))
            ink = "#222" if colour == "yellow" else "#fff"
            css += f"background: {COLOURS[colour]}; border-color: {COLOURS[colour]}; color: {ink}"
        shape = self.style.of("primary" if is_primary else "button")
        inner = escape(text)
        if icon:
            shape, inner = f"{shape} x-icon", f"{self.svg(icon, 1.1)}<span>{inner}</span>"
        return _tag(
            "button", inner, shape=shape, css=css, mark=_mark("button", icon=icon, colour=colour)
        )

    def icon_button(self, *wanted: str, ems: float = 1.3, plain: bool | None = None) -> str:
        """A button that shows one of the wanted icons, or any."""
        concept = self.concept(*wanted)
        is_plain = self.has(0.6) if plain is None else plain
        shape = f"{self.style.of('button')} x-icon x-only{' x-plain' if is_plain else ''}"
        return _tag(
            "button", self.svg(concept, ems), shape=shape, mark=_mark("button", icon=concept)
        )

    def round_button(self, *wanted: str) -> str:
        """A round button with an icon, above the lower right corner of a list."""
        concept = self.concept(*wanted)
        return _tag(
            "div", self.svg(concept, 1.5), shape="x-round", mark=_mark("button", icon=concept)
        )

    def link(self, text: str) -> str:
        """A link."""
        return _tag("a", escape(text), shape="x-fit", mark=_mark("link"))

    def field(self, label: str, *, is_secret: bool = False, empty_share: float = 0.35) -> str:
        """A text field under its label; empty, or with a value or bullets."""
        value = "" if self.has(empty_share) else self.content.value(label)
        shown = "•" * self.rng.randint(6, 10) if is_secret and value else escape(value)
        given = "" if is_secret else value
        mark = _mark("textbox", name=label, value=given, filled=str(bool(value)))
        return _labelled(label, self._input(shown, mark))

    def _input(self, shown: str, mark: str, *, shape: str = "", icon: str = "") -> str:
        """An input with a text over it."""
        kind = self.style.of("select" if shape == "x-select" else "input")
        inner = f'<input class="{kind}">{icon}{_tag("span", shown, shape="x-value")}'
        return _tag("span", inner, shape=f"x-field {shape}".strip(), mark=mark)

    def search(self, hint: str = "", role: str = "searchbox") -> str:
        """A search box with a hint and perhaps a magnifying glass, or another field with a hint."""
        text = hint or self.rng.choice(HINTS)
        has_icon = not hint and self.has(0.7) and self._is_free("search")
        icon = self.svg(self.concept("search"), 1.1) if has_icon else ""
        shown = _tag("span", escape(text), css="opacity: .75")
        return self._input(
            shown, _mark(role), shape=f"x-grow{' x-iconic' if icon else ''}", icon=icon
        )

    def select(self, label: str, value: str) -> str:
        """A drop-down list under its label."""
        mark = _mark("combobox", name=label, value=value)
        return _labelled(label, self._input(escape(value), mark, shape="x-select"))

    def check(self, label: str, role: str = "checkbox", *, is_on: bool | None = None) -> str:
        """A checkbox or radio button with its label."""
        on = self.has(0.5) if is_on is None else is_on
        key = f"c{self.rng.randrange(10**9)}"
        shape = self.style.classes.get("check", "")
        box = f'<input type="{role}" id="{key}" class="{shape}"{" checked" if on else ""}>'
        inner = f'{box}<label for="{key}">{escape(label)}</label>'
        return _tag("span", inner, shape="x-check", mark=_mark(role, name=label, state=_state(on)))

    def box(self) -> str:
        """A checkbox without a label."""
        return f'<input type="checkbox" style="flex: none" {_mark("checkbox")}>'

    def switch(self, label: str, *, icon: str = "") -> str:
        """A row with a label and a switch at its end; the switch is the marked part."""
        on = self.has(0.5)
        mark = _mark("switch", name=label, state=_state(on))
        knob = _tag("span", "<i></i>", shape="x-switch x-on" if on else "x-switch", mark=mark)
        text = _tag("span", escape(label), shape="x-grow x-clip")
        return row(self.svg(icon) if icon else "", text, knob, shape="x-between")

    def tabs(self, labels: list[str]) -> str:
        """Tabs, one of which is selected."""
        chosen = self.rng.randrange(len(labels))
        drawn = (
            self.choice("tab", label, is_on=index == chosen) for index, label in enumerate(labels)
        )
        return row(*drawn, css="gap: .1em")

    def choice(self, role: str, label: str, *, is_on: bool | None = None) -> str:
        """A tab, or an entry of a bar of menus, which has no state: `is_on` is None."""
        shape = self.style.of("tab") + (f" {self.style.of('tab-on')}" if is_on else "")
        state = "" if is_on is None else _state(is_on)
        return _tag("span", escape(label), shape=shape, mark=_mark(role, state=state))

    def place(self, label: str, *wanted: str, is_on: bool) -> str:
        """A tab with an icon above its label."""
        concept = self.concept(*wanted)
        shape = f"x-place x-grow{' x-here' if is_on else ''}"
        inner = self.svg(concept, 1.4) + _tag("span", escape(label), css="font-size: .85em")
        return _tag("div", inner, shape=shape, mark=_mark("tab", icon=concept, state=_state(is_on)))

    def app(self, label: str) -> str:
        """An app: an icon on a coloured tile, and its name below."""
        concept = self.concept(label.lower())
        paint = f"background: hsl({self.rng.randrange(360)} 55% 42%)"
        tile = _tag("span", self.svg(concept, 1.7), shape="x-app", css=paint)
        name = _tag("span", escape(label), css="font-size: .9em")
        return _tag("div", tile + name, shape="x-place", mark=_mark("button", icon=concept))

    def menu(self, labels: list[str], *, icon_share: float = 0.6) -> str:
        """Entries below each other, one of which is selected."""
        chosen, has_icons = self.rng.randrange(len(labels)), self.has(icon_share)
        entries = []
        for index, label in enumerate(labels):
            icon = self.concept(label.lower()) if has_icons else ""
            shape = f"x-item {self.style.of('item-on')}" if index == chosen else "x-item"
            inner = (self.svg(icon) if icon else "") + _tag("span", escape(label))
            mark = _mark("menuitem", icon=icon, state=_state(index == chosen))
            entries.append(_tag("div", inner, shape=shape, mark=mark))
        return "".join(entries)

    def heading(self, text: str, level: int = 2) -> str:
        """A title."""
        return _tag(f"h{level}", escape(text), shape="x-clip x-fit", mark=_mark("heading"))

    def avatar(self, person: str) -> str:
        """A disc with initials."""
        initials = "".join(part[0] for part in person.split()[:2])
        return _tag(
            "span", initials, shape="x-avatar", css=f"background: {self.rng.choice(_DARK_COLOURS)}"
        )

    def thumb(self, height: float) -> str:
        """A coloured area in place of a photograph, perhaps with an icon; its height is in ems."""
        hue = self.rng.randrange(360)
        shades = f"hsl({hue} 50% 70%), hsl({(hue + 40) % 360} 45% 45%)"
        css = f"height: {height:.1f}em; background: linear-gradient({self.rng.randrange(360)}deg, {shades})"
        drawn = self.svg(self.concept(), min(2.0, height * 0.6)) if self.has(0.4) else ""
        return _tag("div", drawn, shape="x-thumb", css=css)

    def moment(self) -> str:
        """A pale date or time."""
        text = self.content.time() if self.has(0.5) else self.content.date()
        return _tag("span", text, shape="x-muted")

    def slider(self, label: str) -> str:
        """A slider with its label and value."""
        share = self.rng.randint(5, 95)
        mark = _mark("slider", name=label, value=f"{share}%")
        grip = _tag("span", self.track(share), shape="x-grow x-grip", mark=mark)
        return row(_tag("span", escape(label)), grip, _tag("span", f"{share}%"))

    def track(self, share: int) -> str:
        """A line that is filled up to a share, in percent, with a knob there."""
        inner = f'<i style="width: {share}%"></i><b style="left: {share}%"></b>'
        return _tag("span", inner, shape="x-track")

    def entry(self, title: str, subtitle: str = "", *, lead: str = "", trail: str = "") -> str:
        """An entry of a list: something in front, one or two lines, something at the end."""
        lines = _tag("div", escape(title), shape="x-clip x-fit", mark=_mark("row"))
        if subtitle:
            lines += _tag("div", escape(subtitle), shape="x-clip x-muted")
        return _tag("div", lead + _tag("div", lines, shape="x-grow") + trail, shape="x-item")

    def tile(self, name: str, drawn: str) -> str:
        """An entry of a grid: a drawing with its name below."""
        inner = drawn + _tag("span", escape(name), shape="x-clip")
        return _tag("div", inner, shape="x-place", css="padding: .4em", mark=_mark("row"))

    def day(self, number: str, entry: str) -> str:
        """A day of a calendar; its entry is marked, or without one the whole day."""
        if not entry:
            return _tag("div", number, shape="x-day", mark=_mark("row"))
        badge = _tag("span", escape(entry), shape=self.style.of("badge"), mark=_mark("row"))
        return _tag("div", number + _tag("div", badge, shape="x-clip"), shape="x-day")

    def bubble(self, text: str, *, is_own: bool) -> str:
        """A message of a chat."""
        return _tag(
            "div", escape(text), shape=f"x-bubble{' x-own' if is_own else ''}", mark=_mark("text")
        )

    def table(self, columns: list[str], rows: list[list[str]]) -> str:
        """A table with a header."""
        head = "".join(_tag("th", escape(name)) for name in columns)
        body = "".join(
            _tag("tr", "".join(_tag("td", escape(cell)) for cell in cells)) for cells in rows
        )
        inner = _tag("thead", _tag("tr", head)) + _tag("tbody", body)
        return _tag("table", inner, shape=self.style.of("table"))

    def bar(self, *drawn: str) -> str:
        """A bar across the screen."""
        return row(*drawn, shape=f"{self.style.of('bar')} x-pad")

    def card(self, *drawn: str, css: str = "") -> str:
        """A framed group."""
        return _tag("div", column(*drawn), shape=self.style.of("card"), css=css)


def _labelled(label: str, drawn: str) -> str:
    return column(f"<label>{escape(label)}</label>", drawn, css="gap: .2em")


def _tag(name: str, inner: str, *, shape: str = "", css: str = "", mark: str = "") -> str:
    kind = f' class="{shape}"' if shape else ""
    style = f' style="{css}"' if css else ""
    return f"<{name}{kind}{style}{' ' if mark else ''}{mark}>{inner}</{name}>"


def _mark(role: str, **data: str) -> str:
    given = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items() if value)
    return f'data-part="{role}"{given}'


def _state(is_on: bool) -> str:
    return "on" if is_on else "off"
