# SPDX-License-Identifier: Apache-2.0
"""An element of a screen: a web page, a desktop or a phone lists what its accessibility tree states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from finesight.geometry import Box, Point

__all__ = ["ScreenElement", "control_at"]


@dataclass(frozen=True, slots=True)
class ScreenElement:
    """A visible element.

    Attributes:
        role: such as "button", "link", "textbox" or "StaticText".
        name: accessible name; may be empty.
        box: in screenshot pixels, clipped to the screenshot.
        value: value of a form field; empty for other elements.
        states: such as "checked", "disabled", "expanded", "focused".
        traits: what else is known, by name: `type` (kind of an input: "submit", "password", "file", "multiline"),
            `autocomplete` (what it is filled with: "cc-number"), `method` and `target` (HTTP method and URL of its form
            or link), `form` (text of its form), `holds` (private fields in that form: "password cc-number"), `submit`
            (the button that Enter presses), `download` (set for a link to a file), `near` (text around it), `document`
            (URL of the page or frame it belongs to).
    """

    role: str
    name: str
    box: Box
    value: str = ""
    states: tuple[str, ...] = ()
    traits: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def control_at(elements: Sequence[ScreenElement], point: Point) -> ScreenElement | None:
    """The smallest element at a point, with plain text only if there is nothing else; None if there is none."""
    hit = [one for one in elements if one.box.contains(point)]
    controls = [one for one in hit if one.role != "StaticText"]
    return min(controls or hit, key=lambda one: one.box.area, default=None)
