# SPDX-License-Identifier: Apache-2.0
"""Steps of `computer_use` carried out on a web page."""

from __future__ import annotations

from finesight.browser.browser import Browser
from finesight.errors import ActionRefused
from finesight.geometry import Point, Size
from finesight.screen.act import Act

SETTLE_SECONDS = 0.15
"""Given to a page after each step: handlers run, and what they changed is drawn."""
LONGEST_WAIT_SECONDS = 3.0
"""Most that a step `wait` waits: a local page has nothing to wait for that takes longer."""


class Mouse:
    """A page and where the mouse is on it: some steps mean the place it was moved to before.

    Args:
        browser: shows the page.
        screen: what of its screenshot is shown, from the upper left corner; places beyond it are refused.
    """

    def __init__(self, browser: Browser, screen: Size) -> None:
        self._browser, self._screen = browser, screen
        self._at: Point | None = None

    def carry_out(self, act: Act) -> None:
        """Do what a step says and let the page settle.

        Raises:
            ActionRefused: the kind, a place or a key is not possible here.
        """
        if act.kind == "terminate":
            return
        self._do(act)
        self._browser.wait(SETTLE_SECONDS)

    def _do(self, act: Act) -> None:
        browser = self._browser
        match act.kind:
            case "left_click" | "right_click" | "middle_click" | "double_click":
                self._click(act)
            case "mouse_move":
                browser.move(self._place(act))
            case "left_click_drag":
                if self._at is None:
                    raise ActionRefused(
                        "a drag starts where the mouse is, and it has not been moved"
                    )
                start = self._at
                browser.drag(start, self._place(act))
            case "scroll":
                browser.scroll(act.pixels or 0.0, at=self._place(act) if act.point else self._at)
            case "type":
                browser.type_text(act.text or "")
            case "key":
                browser.press(act.keys)
            case "wait":
                browser.wait(min(act.seconds or 0.0, LONGEST_WAIT_SECONDS))
            case _:
                raise ActionRefused(f"a web page knows no step {act.kind!r}")

    def _click(self, act: Act) -> None:
        place = self._place(act)
        if act.kind == "double_click":
            self._browser.click(place, count=2)
        elif act.kind == "right_click":
            self._browser.click(place, button="right")
        elif act.kind == "middle_click":
            self._browser.click(place, button="middle")
        else:
            self._browser.click(place)

    def _place(self, act: Act) -> Point:
        """Where a step is meant: its own place, or where the mouse is."""
        place = act.point or self._at
        if place is None:
            raise ActionRefused(f"{act.kind} names no place, and the mouse has not been moved")
        if not (0 <= place.x < self._screen.width and 0 <= place.y < self._screen.height):
            raise ActionRefused(
                f"({place.x:g}, {place.y:g}) lies outside the screen of"
                f" {self._screen.width} x {self._screen.height} pixels"
            )
        self._at = place
        return place
