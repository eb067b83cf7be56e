# SPDX-License-Identifier: Apache-2.0
"""Print the accessibility tree of a desktop as JSON: one object for each visible element, in tree order.

This file is run by Debian's Python, which has the bindings of AT-SPI (gir1.2-atspi-2.0); it imports nothing of ours.
Boxes are in pixels of the screen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

_STATES = ("CHECKED", "EXPANDED", "FOCUSED", "PRESSED", "SELECTED")
_WINDOWS = ("alert", "dialog", "frame", "window")


class Tree:
    """Reads the trees of all programs on the desktop."""

    def __init__(self) -> None:
        # Not by import statements, since the bindings are in no environment of ours.
        import_module("gi").require_version("Atspi", "2.0")
        self._atspi: Any = import_module("gi.repository.Atspi")
        self._lost: type[Exception] = import_module("gi.repository.GLib").Error

    def read(self) -> list[dict[str, Any]]:
        """The visible elements."""
        desktop = self._atspi.get_desktop(0)
        programs = [desktop.get_child_at_index(index) for index in range(desktop.get_child_count())]
        return [one for each in programs if each is not None for one in self._below(each, "")]

    def _below(self, node: Any, window: str) -> Iterator[dict[str, Any]]:
        """The element of a node and those below it; a node that ends meanwhile is left out.

        Args:
            node: of AT-SPI.
            window: name of the window around it.
        """
        try:
            states = node.get_state_set()
            if node.get_role_name() in _WINDOWS:
                window = node.get_name() or ""
            if states.contains(self._atspi.StateType.SHOWING):
                yield {**self._element(node, states), "window": window}
            children = [node.get_child_at_index(index) for index in range(node.get_child_count())]
        except self._lost:
            return
        for child in children:
            if child is not None:
                yield from self._below(child, window)

    def _element(self, node: Any, states: Any) -> dict[str, Any]:
        atspi, interfaces = self._atspi, node.get_interfaces()
        box = None
        if "Component" in interfaces:
            box = atspi.Component.get_extents(node, atspi.CoordType.SCREEN)
        return {
            "role": node.get_role_name(),
            "name": node.get_name() or "",
            "box": None if box is None else [box.x, box.y, box.x + box.width, box.y + box.height],
            "text": atspi.Text.get_text(node, 0, -1) if "Text" in interfaces else "",
            "states": self._named(states),
        }

    def _named(self, states: Any) -> list[str]:
        """Names of the states that are set; one that takes no input is disabled."""
        kinds = self._atspi.StateType
        found = [name.lower() for name in _STATES if states.contains(getattr(kinds, name))]
        return found if states.contains(kinds.SENSITIVE) else [*found, "disabled"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(Tree().read()))
