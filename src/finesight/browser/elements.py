# SPDX-License-Identifier: Apache-2.0
"""Elements of a page with role, accessible name and box, from Chromium's accessibility tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finesight.elements import ScreenElement
from finesight.geometry import Box, Size

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

_HOLDERS = frozenset({"RootWebArea", "WebArea", "none", "generic", "InlineTextBox", "LineBreak"})
"""Roles that are left out: containers, and fragments of a text that is listed as a whole."""
_STATES = ("checked", "disabled", "expanded", "focused", "pressed", "readonly", "required", "selected")  # fmt: skip


def list_elements(
    page: Page, viewport: Size, scale: float, *, nested: bool = False
) -> list[ScreenElement]:
    """Visible elements; those outside the viewport or without an area are left out.

    Args:
        page: an open page.
        viewport: size in CSS pixels.
        scale: screenshot pixels per CSS pixel.
        nested: each element before its children, which is reading order; else one level of the tree after the other,
            as Chromium lists them.
    """
    session = page.context.new_cdp_session(page)
    try:
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        ordered = _nested(nodes) if nested else nodes
        found = [_element(session, node, viewport, scale) for node in ordered]
    finally:
        session.detach()
    return [element for element in found if element is not None]


def _nested(nodes: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Each node before its children, and those before its next sibling."""
    by_id = {node["nodeId"]: node for node in nodes}
    children = {child for node in nodes for child in node.get("childIds", ())}
    waiting = [node["nodeId"] for node in reversed(nodes) if node["nodeId"] not in children]
    while waiting:
        node = by_id.get(waiting.pop())
        if node is not None:
            yield node
            waiting += reversed(node.get("childIds", ()))


def _element(
    session: CDPSession, node: Mapping[str, Any], viewport: Size, scale: float
) -> ScreenElement | None:
    role = str(node.get("role", {}).get("value", ""))
    if node.get("ignored") or role in _HOLDERS or "backendDOMNodeId" not in node:
        return None
    box = _box(session, int(node["backendDOMNodeId"]), viewport)
    if box is None:
        return None
    name, value = (str(node.get(key, {}).get("value", "")) for key in ("name", "value"))
    placed = Box(box.x1 * scale, box.y1 * scale, box.x2 * scale, box.y2 * scale)
    return ScreenElement(role, name, placed, value, _states(node))


def _states(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the states that are true; `expanded` that is false is "collapsed"."""
    given = {
        str(each["name"]): each.get("value", {}).get("value") for each in node.get("properties", ())
    }
    found = [name for name in _STATES if given.get(name) in (True, "true", "mixed")]
    return (*found, "collapsed") if given.get("expanded") is False else tuple(found)


def _box(session: CDPSession, node_id: int, viewport: Size) -> Box | None:
    """Bounding box of a node's quads, clipped to the viewport; None if the node is not visible."""
    from playwright.sync_api import Error

    try:
        quads = session.send("DOM.getContentQuads", {"backendNodeId": node_id})["quads"]
    except Error:  # the node has no layout, such as an option of a closed list or a hidden text
        return None
    across = [x for quad in quads for x in quad[0::2]]
    down = [y for quad in quads for y in quad[1::2]]
    if not across:
        return None
    box, _ = Box(min(across), min(down), max(across), max(down)).clipped(viewport)
    return box if box.area > 0 else None
