# SPDX-License-Identifier: Apache-2.0
"""A web page as a screen, and steps of `computer_use` on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from finesight.browser.browser import Browser, Button
from finesight.browser.reach import Reach, origin_of
from finesight.elements import ScreenElement
from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act, ToolName
from finesight.screen.effect import FIELDS, settled
from finesight.screen.environment import Observation

SETTLE_SECONDS = 0.15
"""Pause after each step, in which handlers run and the page is redrawn."""
LONGEST_WAIT_SECONDS = 3.0
"""Time limit of a step `wait`: nothing on a local page takes longer."""
LONGEST_LOAD_SECONDS = 8.0
"""Time limit for the requests of a page before it is observed."""
WINDOW = Size(1280, 800)
"""Default size of a page, in CSS pixels."""
_PRIVATE = 'input[type=password], [autocomplete^="cc-"], [autocomplete="one-time-code"]'
"""Fields whose content is not for other eyes."""
_T = TypeVar("_T")
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


class WebScreen:
    """A page in a browser of its own: own profile, no downloads, no permissions, no network but the allowed origins.

    A window that the page opens takes its place. JavaScript dialogs are dismissed, and an observation says so.

    Args:
        page: a file, or a URL; files beside it may be loaded, and so may everything of the URL's origin.
        size: of the page, in CSS pixels.
        scale: screenshot pixels per CSS pixel.
        origins: further origins that may be loaded.
        settle_seconds: longest time to wait for a page that keeps changing.

    Raises:
        ScreenUnavailable: the browser does not start, or the page does not load.
        ConfigError: an origin cannot be read.
    """

    tool: ToolName = "computer_use"

    def __init__(
        self,
        page: Path | str,
        *,
        size: Size = WINDOW,
        scale: float = 1.0,
        origins: Sequence[str] = (),
        settle_seconds: float = 2.0,
    ) -> None:
        address = page if isinstance(page, str) else str(page)
        own = origin_of(address)
        is_web = urlsplit(address).scheme in ("http", "https")
        folder = None if is_web or address.startswith(("data:", "about:")) else _folder(address)
        self.reach = Reach((own, *origins) if own else tuple(origins), folder or Path("/dev/null"))
        self._settle_seconds = settle_seconds
        self.browser = Browser(size, scale=scale, reach=self.reach)
        try:
            self.browser.open(page)
        except BaseException:
            self.browser.close()
            raise
        self._mouse = Mouse(self.browser, self.browser.size)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Browser version, sizes, and what may be loaded."""
        return {
            "screen": "web",
            "browser": self.browser.version,
            "viewport": [self.browser.viewport.width, self.browser.viewport.height],
            "scale": self.browser.scale,
            "origins": list(self.reach.origins),
            "folder": None if self.reach.folder is None else str(self.reach.folder),
        }

    def observe(self) -> Observation:
        """The page once its requests have ended and its picture has settled."""
        end = time.monotonic() + LONGEST_LOAD_SECONDS
        while self.browser.is_loading and time.monotonic() < end:
            self.browser.wait(SETTLE_SECONDS)
        notices = self._steady(self.browser.notices)
        picture = settled(
            lambda: self._steady(self.browser.screenshot),
            limit_seconds=self._settle_seconds,
            wait=self.browser.wait,
        )
        return Observation(screenshot=picture, place=self.browser.address, notices=tuple(notices))

    def act(self, act: Act) -> None:
        """Perform a step of `computer_use`, or open the URL in the text of `open_url`."""
        if act.kind != "open_url":
            self._mouse.carry_out(act)
            return
        try:
            self.browser.open(act.text or "")
        except ScreenUnavailable as error:
            if not self.browser.is_open:
                raise
            raise ActionRefused(error.message, hint=error.hint) from error

    def elements(self) -> list[ScreenElement]:
        """Elements of the page; fields for passwords and cards have the trait `type` "password"."""
        private = self._steady(lambda: self.browser.boxes(_PRIVATE))
        listed = self._steady(lambda: self.browser.elements(nested=True))
        return _with_private(listed, private)

    def element_at(self, point: Point) -> ScreenElement | None:
        """The control at a point."""
        return self._steady(lambda: self.browser.control_at(point))

    def focused(self) -> ScreenElement | None:
        """The control with the focus."""
        return self._steady(self.browser.focused)

    def close(self) -> None:
        """End the browser."""
        self.browser.close()

    def _steady(self, call: Callable[[], _T]) -> _T:
        """The result of a call; it is made a second time if the page changed under it."""
        try:
            return call()
        except ScreenUnavailable:
            if not self.browser.is_open:
                raise
            self.browser.wait(SETTLE_SECONDS)
            return call()


def _folder(address: str) -> Path:
    parts = urlsplit(address)
    return Path(unquote(parts.path) if parts.scheme == "file" else address).resolve().parent


def _with_private(elements: Sequence[ScreenElement], private: Sequence[Box]) -> list[ScreenElement]:
    marked = [
        replace(each, traits={**each.traits, "type": "password"})
        if each.role in FIELDS
        and any(box.contains(each.box.center) for box in private)
        and any(each.box.contains(box.center) for box in private)
        else each
        for each in elements
    ]
    left_out = [
        box
        for box in private
        if not any(each.traits and each.box.contains(box.center) for each in marked)
    ]
    return [
        *marked,
        *(ScreenElement("textbox", "", box, traits={"type": "password"}) for box in left_out),
    ]
