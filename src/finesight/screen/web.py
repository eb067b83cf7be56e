# SPDX-License-Identifier: Apache-2.0
"""Perform steps of `computer_use` on a web page."""

from __future__ import annotations

from finesight.browser.browser import Browser, Button
from finesight.errors import ActionRefused
from finesight.geometry import Point, Size
from finesight.screen.act import Act

SETTLE_SECONDS = 0.15
"""Pause after each step, in which handlers run and the page is redrawn."""
LONGEST_WAIT_SECONDS = 3.0
"""Time limit of a step `wait`: nothing on a local page takes longer."""
_BUTTONS: dict[str, Button] = {
    "left_click": "left",
    "right_click": "right",
    "middle_click": "middle",
}


class Mouse:
    """Performs steps and keeps the mouse position, which steps without a point refer to.

    Args:
        browser: shows the page.
        screen: visible part of its screenshot, from the upper left corner; points outside are refused.
    """

    def __init__(self, browser: Browser, screen: Size) -> None:
        self._browser, self._screen = browser, screen
        self._at: Point | None = None

    def carry_out(self, act: Act) -> None:
        """Perform a step and wait for the page to react.

        Raises:
            ActionRefused: the kind of step, a point or a key is not possible here.
        """
        if act.kind == "terminate":
            return
        self._do(act)
        self._browser.wait(SETTLE_SECONDS)

    def _do(self, act: Act) -> None:
        browser = self._browser
        match act.kind:
            case "left_click" | "right_click" | "middle_click":
                browser.click(self._place(act), button=_BUTTONS[act.kind])
            case "double_click":
                browser.click(self._place(act), count=2)
            case "mouse_move":
                browser.move(self._place(act))
            case "left_click_drag":
                if self._at is None:
                    raise ActionRefused("a drag starts at the mouse, which has not been moved yet")
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
                raise ActionRefused(f"step {act.kind!r} is not possible on a web page")

    def _place(self, act: Act) -> Point:
        """The point of a step, else the mouse position."""
        place = act.point or self._at
        if place is None:
            raise ActionRefused(f"{act.kind} has no point, and the mouse has not been moved yet")
        if not (0 <= place.x < self._screen.width and 0 <= place.y < self._screen.height):
            raise ActionRefused(
                f"({place.x:g}, {place.y:g}) lies outside the screen of"
                f" {self._screen.width} x {self._screen.height} pixels"
            )
        self._at = place
        return place
