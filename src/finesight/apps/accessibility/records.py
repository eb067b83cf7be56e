# SPDX-License-Identifier: Apache-2.0
"""Elements of a screenshot and the description that they make up, as JSON and as text to be spoken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finesight.apps.accessibility.contrast import Contrast
from finesight.apps.evidence import UNKNOWN, Coverage, Evidence, Found, Provenance, Score, rounded
from finesight.errors import AppError
from finesight.geometry import Box, Size

__all__ = ["CONTROLS", "ScreenDescription", "SeenElement"]

CONTROLS = frozenset(
    (
        *("button", "checkbox", "combobox", "link", "menuitem", "option", "radio", "searchbox"),
        *("slider", "spinbutton", "switch", "tab", "textbox", "treeitem"),
    )
)
"""Roles that a user operates, so that each needs a name."""
_SCHEMA_VERSION = 1
_SPOKEN = {
    "StaticText": "",
    "checkbox": "check box",
    "combobox": "combo box",
    "menuitem": "menu item",
    "radio": "radio button",
    "searchbox": "search field",
    "spinbutton": "number field",
    "textbox": "text field",
    "treeitem": "tree item",
}
"""Roles in words, where they differ."""
_THIRDS = (("top left", "top", "top right"), ("left", "middle", "right"))
_BOTTOM = ("bottom left", "bottom", "bottom right")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenElement:
    """A control or a text of a screenshot.

    Attributes:
        role: in the words of ARIA, such as "button"; "StaticText" for plain text.
        name: the text on it as the model read it; empty if it has none.
        box: in pixels of the screenshot.
        value: content of a field.
        states: such as "checked", "disabled", "selected".
        row: number of its line on the screen, from 1.
        score: of its name, or of its place if it has no name.
        evidence: where it was seen.
        suggestion: a name for a control without one; a guess from its looks, never part of `name`.
        contrast: of its text with the background; None if it has no text, or it cannot be measured.
    """

    role: str
    name: str
    box: Box
    value: str = ""
    states: tuple[str, ...] = ()
    row: int = 1
    score: Score = UNKNOWN
    evidence: Evidence = field(default_factory=Evidence)
    suggestion: Found[str] | None = None
    contrast: Contrast | None = None

    @property
    def is_unlabeled(self) -> bool:
        """Whether it is a control without a name."""
        return self.role in CONTROLS and not self.name

    def spoken(self) -> str:
        """The element in words: name, role, value and states."""
        name = self.name
        if not name and self.suggestion is not None and self.suggestion.value:
            name = f"unlabeled, possibly {self.suggestion.value}"
        elif self.is_unlabeled:
            name = "unlabeled"
        role = _SPOKEN.get(self.role, self.role)
        return ", ".join(filter(None, (name, role, self.value, *self.states)))

    def to_dict(self, size: Size) -> dict[str, Any]:
        """As a node of an accessibility tree, with the place on the screen in words."""
        return {
            "role": self.role,
            "name": self.name,
            "bounds": rounded(self.box),
            "value": self.value,
            "states": list(self.states),
            "row": self.row,
            "place": place_in_words(self.box, size),
            "score": self.score.to_dict(),
            "evidence": self.evidence.to_dict(),
            "suggestion": None if self.suggestion is None else self.suggestion.to_dict(),
            "contrast": None if self.contrast is None else self.contrast.to_dict(),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> SeenElement:
        """From the JSON of an earlier description, without scores and evidence."""
        return cls(
            role=str(given["role"]),
            name=str(given["name"]),
            box=Box(*map(float, given["bounds"])),
            value=str(given.get("value", "")),
            states=tuple(map(str, given.get("states", ()))),
            row=int(given.get("row", 1)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenDescription:
    """What is on a screenshot.

    Attributes:
        source: name of the screenshot.
        size: of the screenshot.
        elements: in reading order.
        coverage: parts of the screenshot that were read to the end, and those that were not.
        problems: parts of answers that could not be read.
        provenance: what made it.
    """

    source: str
    size: Size
    elements: tuple[SeenElement, ...]
    coverage: Coverage
    problems: tuple[str, ...] = ()
    provenance: Provenance | None = None

    @property
    def unlabeled(self) -> tuple[SeenElement, ...]:
        """Controls without a name."""
        return tuple(one for one in self.elements if one.is_unlabeled)

    @property
    def low_contrast(self) -> tuple[SeenElement, ...]:
        """Texts whose contrast with their background is below 4.5."""
        return tuple(one for one in self.elements if one.contrast and one.contrast.is_low)

    def speech(self) -> str:
        """One line for each element, to be spoken or printed."""
        return "".join(f"{one.spoken()}\n" for one in self.elements)

    def to_dict(self) -> dict[str, Any]:
        """As an accessibility tree: the screen is the root, its elements are the children in reading order."""
        made = self.provenance
        return {
            "schema_version": _SCHEMA_VERSION,
            "role": "window",
            "name": self.source,
            "bounds": [0, 0, self.size.width, self.size.height],
            "children": [one.to_dict(self.size) for one in self.elements],
            "unlabeled": [index for index, one in enumerate(self.elements) if one.is_unlabeled],
            "low_contrast": [
                index
                for index, one in enumerate(self.elements)
                if one.contrast and one.contrast.is_low
            ],
            "coverage": self.coverage.to_dict(),
            "problems": list(self.problems),
            "model": None if made is None else made.model,
            "prompt_digest": None if made is None else made.prompt_digest,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> ScreenDescription:
        """From `to_dict`.

        Raises:
            AppError: it is no description.
        """
        try:
            width, height = given["bounds"][2:]
            elements = tuple(SeenElement.from_dict(each) for each in given["children"])
            return cls(
                source=str(given["name"]),
                size=Size(int(width), int(height)),
                elements=elements,
                coverage=Coverage(unit="parts", total=1, seen=(0,)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AppError(
                f"this is no description of a screen: {type(error).__name__}: {error}",
                hint="it is written by describe-screen --json",
            ) from error


def place_in_words(box: Box, size: Size) -> str:
    """Where a box is on the screen, such as "top left" or "middle"."""
    column = min(int(3 * box.center.x / size.width), 2)
    row = min(int(3 * box.center.y / size.height), 2)
    return (*_THIRDS, _BOTTOM)[row][column]


def in_rows(boxes: Sequence[Box]) -> list[list[int]]:
    """Indices of boxes in lines from top to bottom, each from left to right.

    A box belongs to a line if their heights overlap by more than half of the smaller one.
    """
    rows: list[tuple[float, float, list[int]]] = []
    for index in sorted(range(len(boxes)), key=lambda each: (boxes[each].center.y, each)):
        box = boxes[index]
        if rows:
            top, bottom, listed = rows[-1]
            shared = min(bottom, box.y2) - max(top, box.y1)
            if shared > 0.5 * min(bottom - top, box.height):
                listed.append(index)
                continue
        rows.append((box.y1, box.y2, [index]))
    return [sorted(listed, key=lambda each: (boxes[each].x1, each)) for _, _, listed in rows]
