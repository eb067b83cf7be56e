# SPDX-License-Identifier: Apache-2.0
"""Print the accessibility tree of a desktop as JSON: one object for each visible element, in tree order.

This file is run by Debian's Python, which has the bindings of AT-SPI (gir1.2-atspi-2.0); it imports nothing of ours.
Boxes are in pixels of the screen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import gi  # type: ignore[import-not-found, unused-ignore]  # Debian's Python alone has it

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # type: ignore[import-not-found, unused-ignore]  # noqa: E402

_WINDOWS = (Atspi.Role.FRAME, Atspi.Role.DIALOG, Atspi.Role.WINDOW, Atspi.Role.ALERT)
_STATES = ("CHECKED", "EXPANDED", "FOCUSED", "PRESSED", "SELECTED")


def elements(node: Any, window: str) -> Iterator[dict[str, Any]]:
    """The element of a node and those below it; a node that ends meanwhile is left out.

    Args:
        node: of AT-SPI.
        window: name of the window around it.
    """
    try:
        states = node.get_state_set()
        if node.get_role() in _WINDOWS:
            window = node.get_name() or ""
        if states.contains(Atspi.StateType.SHOWING):
            yield {**_element(node, states), "window": window}
        children = [node.get_child_at_index(index) for index in range(node.get_child_count())]
    except GLib.Error:
        return
    for child in children:
        if child is not None:
            yield from elements(child, window)


def _element(node: Any, states: Any) -> dict[str, Any]:
    interfaces = node.get_interfaces()
    box = None
    if "Component" in interfaces:
        box = Atspi.Component.get_extents(node, Atspi.CoordType.SCREEN)
    return {
        "role": node.get_role_name(),
        "name": node.get_name() or "",
        "box": None if box is None else [box.x, box.y, box.x + box.width, box.y + box.height],
        "text": Atspi.Text.get_text(node, 0, -1) if "Text" in interfaces else "",
        "states": _named(states),
    }


def _named(states: Any) -> list[str]:
    """Names of the states that are set; one that takes no input is disabled."""
    found = [name.lower() for name in _STATES if states.contains(getattr(Atspi.StateType, name))]
    return found if states.contains(Atspi.StateType.SENSITIVE) else [*found, "disabled"]


if __name__ == "__main__":
    desktop = Atspi.get_desktop(0)
    applications = [desktop.get_child_at_index(index) for index in range(desktop.get_child_count())]
    found = [one for each in applications if each is not None for one in elements(each, "")]
    sys.stdout.write(json.dumps(found))
