# SPDX-License-Identifier: Apache-2.0
"""The parts of a page by role and accessible name, with their boxes, as Chromium's own accessibility tree has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finesight.geometry import Box, Size

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

_HOLDERS = frozenset({"RootWebArea", "WebArea", "none", "generic", "InlineTextBox", "LineBreak"})
"""Roles that say nothing: frames of other parts, and pieces of a text that is listed whole."""


@dataclass(frozen=True, slots=True)
class PageElement:
    """One visible part of a page.

    Attributes:
        role: such as "button", "link", "textbox" or "StaticText".
        name: its accessible name; may be empty.
        box: in pixels of the screenshot, cut to it.
        value: of a field; empty where there is none.
    """

    role: str
    name: str
    box: Box
    value: str = ""


def list_elements(page: Page, viewport: Size, scale: float) -> list[PageElement]:
    """Visible parts in the order of the tree; those outside the viewport or without an area are left out.

    Args:
        page: an open page.
        viewport: in CSS pixels.
        scale: pixels of the screenshot per CSS pixel.
    """
    session = page.context.new_cdp_session(page)
    try:
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        found = [_element(session, node, viewport, scale) for node in nodes]
    finally:
        session.detach()
    return [element for element in found if element is not None]


def _element(
    session: CDPSession, node: Mapping[str, Any], viewport: Size, scale: float
) -> PageElement | None:
    role = str(node.get("role", {}).get("value", ""))
    if node.get("ignored") or role in _HOLDERS or "backendDOMNodeId" not in node:
        return None
    box = _box(session, int(node["backendDOMNodeId"]), viewport)
    if box is None:
        return None
    said = (str(node.get(key, {}).get("value", "")) for key in ("name", "value"))
    name, value = said
    placed = Box(box.x1 * scale, box.y1 * scale, box.x2 * scale, box.y2 * scale)
    return PageElement(role, name, placed, value)


def _box(session: CDPSession, node_id: int, viewport: Size) -> Box | None:
    """Upright box around all quads of a node, cut to the viewport; None where nothing of it is to be seen."""
    from playwright.sync_api import Error

    try:
        quads = session.send("DOM.getContentQuads", {"backendNodeId": node_id})["quads"]
    except Error:  # the node has no layout: an option of a closed list, a hidden text
        return None
    across = [x for quad in quads for x in quad[0::2]]
    down = [y for quad in quads for y in quad[1::2]]
    if not across:
        return None
    box, _ = Box(min(across), min(down), max(across), max(down)).clipped(viewport)
    return box if box.area > 0 else None
