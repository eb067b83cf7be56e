# SPDX-License-Identifier: Apache-2.0
"""The control under a point or with the focus, with what its HTML says about it.

The description runs in an isolated world of the page: scripts of the page cannot change what it sees.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.elements import ScreenElement
from finesight.geometry import Box, Point

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FOCUSED = """() => {
  let found = document.activeElement;
  while (found) {
    const inner = found.shadowRoot?.activeElement ?? found.contentDocument?.activeElement;
    if (!inner) break;
    found = inner;
  }
  return found && found.tagName !== "BODY" && found.tagName !== "HTML" ? found : null;
}"""
_AT = """(x, y) => {
  let root = document, found = null;
  while (root) {
    const next = root.elementFromPoint(x, y);
    if (!next || next === found) break;
    found = next;
    if (found.contentDocument) {
      const at = found.getBoundingClientRect();
      [x, y] = [x - at.left - found.clientLeft, y - at.top - found.clientTop];
      root = found.contentDocument;
    } else {
      root = found.shadowRoot;
    }
  }
  return found;
}"""
"""Frames of another origin are not entered: their element is the frame."""
_WORLD = "finesight"


def control_at(page: Page, at: Point, scale: float) -> ScreenElement | None:
    """The control at a point, in CSS pixels of the viewport; None if only the page itself is there."""
    return _described(page, _AT, [at.x, at.y], scale)


def focused_control(page: Page, scale: float) -> ScreenElement | None:
    """The control that gets the keys; None if only the page has the focus."""
    return _described(page, _FOCUSED, [], scale)


def _described(page: Page, find: str, arguments: list[float], scale: float) -> ScreenElement | None:
    session = page.context.new_cdp_session(page)
    try:
        frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        made = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": _WORLD})
        call: dict[str, Any] = {
            "functionDeclaration": find,
            "executionContextId": made["executionContextId"],
            "arguments": [{"value": each} for each in arguments],
        }
        node = session.send("Runtime.callFunctionOn", call)["result"].get("objectId")
        if node is None:
            return None
        call = {"functionDeclaration": _describe(), "objectId": node, "returnByValue": True}
        found = session.send("Runtime.callFunctionOn", call)["result"].get("value")
    finally:
        session.detach()
    return None if found is None else _element(found, scale)


@cache
def _describe() -> str:
    """The function that describes a node."""
    return (Path(__file__).parent / "control.js").read_text(encoding="utf-8")


def _element(found: dict[str, Any], scale: float) -> ScreenElement:
    return ScreenElement(
        found["role"],
        found["name"],
        Box(*(edge * scale for edge in found["box"])),
        found["value"],
        tuple(found["states"]),
        {name: str(value) for name, value in found["traits"].items() if value},
    )
