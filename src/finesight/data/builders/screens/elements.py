# SPDX-License-Identifier: Apache-2.0
"""A drawn screen with its elements, and the phrases that name exactly one of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from finesight.data.builders.rendered import DrawnPage, Part
from finesight.data.record import Glyph
from finesight.data.sources.interface import LOOKALIKE
from finesight.geometry import Box, Size

__all__ = ["ROLES", "Element", "Reference", "Screen", "elements_of", "glyphs_of", "pixel_box"]

MIN_SIDE = 8
"""Shortest side of an element, in pixels."""
MAX_TEXT = 40
"""Most characters of a text that a question quotes."""
ROLES: dict[str, str] = {
    "button": "button", "link": "link", "textbox": "field", "searchbox": "search box", "combobox": "drop-down list",
    "checkbox": "checkbox", "radio": "option", "switch": "switch", "tab": "tab", "menuitem": "menu entry",
    "row": "entry", "heading": "heading", "control": "element", "slider": "slider", "icon": "icon", "text": "message",
}  # fmt: skip
"""Words for roles in questions and answers."""
_NAMED = ("textbox", "combobox", "checkbox", "radio", "switch", "slider")
_LONE = ("searchbox", "checkbox", "switch", "slider", "combobox", "textbox", "link", "button")
"""Roles that a phrase names without a text, if a screen has one of them."""

_Pixels = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Element:
    """One visible element.

    Attributes:
        role: a key of `ROLES`.
        box: in whole pixels, right and bottom exclusive.
        text: its visible text.
        name: label of a field, switch or checkbox.
        icon: concept of its icon.
        state: "on", "off" or empty.
        value: content of a field; None if unknown or hidden.
        colour: name of its colour, if it is known.
        is_whole: whether all of it and its text is visible; questions are about such elements alone.
    """

    role: str
    box: _Pixels
    text: str = ""
    name: str = ""
    icon: str = ""
    state: str = ""
    value: str | None = None
    colour: str = ""
    is_whole: bool = True

    @property
    def centre(self) -> tuple[int, int]:
        """Middle of its box."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) // 2, (y1 + y2) // 2

    @property
    def title(self) -> str:
        """What to call it in the truth; never empty."""
        return self.name or self.text or self.icon or ROLES[self.role]


@dataclass(frozen=True, slots=True)
class Reference:
    """A phrase that names one element, or an absent one.

    Attributes:
        by: what it uses: "text", "role", "icon", "colour" or "place"; "absent" if there is no such element.
        phrase: such as 'the "Save" button'.
    """

    by: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture of a screen.

    Attributes:
        image: `uint8[H, W, 3]`.
        elements: in the order of the document.
        texts: how often each row of text is visible.
        icons: how often a drawing of each group of alike icons is visible; None if unknown.
        glyphs: every character; None if unknown.
        source: template, style and font, for the record's `meta`.
    """

    image: npt.NDArray[np.uint8]
    elements: tuple[Element, ...]
    texts: Counter[str]
    icons: Counter[str] | None
    glyphs: tuple[Glyph, ...] | None
    source: Mapping[str, str]
    words: str = field(init=False)
    """All visible text and the names of all fields, in lower case."""

    def __post_init__(self) -> None:
        labels = [text for each in self.elements for text in (each.name, each.value) if text]
        object.__setattr__(self, "words", "\n".join([*self.texts, *labels]).lower())

    @property
    def size(self) -> Size:
        """Size of the picture."""
        return Size(self.image.shape[1], self.image.shape[0])

    def asked(self) -> list[int]:
        """Indices of the elements that a question may be about."""
        return [index for index, element in enumerate(self.elements) if element.is_whole]

    def references(self, element: Element) -> list[Reference]:
        """Phrases that name this element and no other."""
        return [*self._by_text(element), *self._by_label(element), *self._by_looks(element)]

    def is_single(self, element: Element, *fields: str) -> bool:
        """Whether no other element agrees with it in these fields."""
        wanted = [getattr(element, name) for name in fields]
        return (
            sum([getattr(other, name) for name in fields] == wanted for other in self.elements) == 1
        )

    def _by_text(self, element: Element) -> Iterator[Reference]:
        text = element.text
        has_text = 0 < len(text) <= MAX_TEXT and element.role not in (
            "searchbox",
            "slider",
            *_NAMED,
        )
        if not has_text or not self.is_single(element, "text"):
            return
        if self.texts[text] <= 1:
            yield Reference("text", f'"{text}"')
            yield Reference("text", f'the element with the text "{text}"')
        if self.is_single(element, "role", "text"):
            yield Reference("text", f'the "{text}" {ROLES[element.role]}')

    def _by_label(self, element: Element) -> Iterator[Reference]:
        if element.name and element.role in _NAMED and self.is_single(element, "name"):
            yield Reference("role", f'the "{element.name}" {ROLES[element.role]}')
        if element.role in _LONE and self.is_single(element, "role"):
            yield Reference("role", f"the {ROLES[element.role]}")

    def _by_looks(self, element: Element) -> Iterator[Reference]:
        if element.icon and self.icons is not None and self.icons[alike_icon(element.icon)] == 1:
            yield Reference("icon", f"the {element.icon} icon")
        if element.colour and self.is_single(element, "colour"):
            yield Reference("colour", f"the {element.colour} button")


def alike_icon(concept: str) -> str:
    """Name of the group of icons that look alike."""
    return LOOKALIKE.get(concept, concept)


def pixel_box(box: Box, size: Size) -> _Pixels | None:
    """The whole pixels that a box touches; None if a side is shorter than `MIN_SIDE`."""
    x1, y1 = max(0, math.floor(box.x1)), max(0, math.floor(box.y1))
    x2, y2 = min(size.width, math.ceil(box.x2)), min(size.height, math.ceil(box.y2))
    return (x1, y1, x2, y2) if min(x2 - x1, y2 - y1) >= MIN_SIDE else None


def elements_of(page: DrawnPage) -> tuple[Element, ...]:
    """Elements of a page with marks (`components`)."""
    shown = _texts_within(page)
    size = Size(page.image.shape[1], page.image.shape[0])
    found = []
    for index, part in enumerate(page.parts):
        box = pixel_box(part.box, size)
        if box is not None and part.kind in ROLES:
            found.append(_element(part, box, shown[index]))
    return tuple(found)


def _element(part: Part, box: _Pixels, shown: Sequence[str]) -> Element:
    data = part.data
    is_open = part.kind in ("textbox", "combobox") and "name" in data
    value = (
        data.get("value") or ("" if data.get("filled") == "False" else None)
        if is_open
        else data.get("value")
    )
    is_complete = _packed(" ".join(shown)) == _packed(part.text)
    return Element(
        role=part.kind,
        box=box,
        text=part.text,
        name=data.get("name", ""),
        icon=data.get("icon", ""),
        state=data.get("state", ""),
        value=value,
        colour=data.get("colour", ""),
        is_whole=part.is_whole and is_complete,
    )


def _texts_within(page: DrawnPage) -> list[list[str]]:
    """Visible rows within each part, those of parts inside it included."""
    found: list[list[str]] = [[] for _ in page.parts]
    for row in page.rows:
        index = row.part
        while index >= 0:
            found[index].append(row.text)
            index = page.parts[index].parent
    return found


def _packed(text: str) -> str:
    return "".join(text.split())


def glyphs_of(page: DrawnPage) -> tuple[Glyph, ...]:
    """Every visible character at the middle of its advance, in reading order."""
    height, width = page.image.shape[:2]
    found: list[Glyph] = []
    order = 0
    for row in page.rows:
        y = min(max((row.top + row.bottom) / 2, 0.0), float(height))
        for char, (left, right) in zip(row.text, row.edges.tolist(), strict=True):
            if char.strip():
                found.append(Glyph(char, min(max((left + right) / 2, 0.0), float(width)), y, order))
            order += 1
        order += 1
    return tuple(found)
