# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium without a window and without a network, as a screen that is looked at and acted on.

One `Browser` is one process with one page. Playwright's objects belong to the thread that made them and refuse to work
inside a running event loop; here they live in a thread of their own, so a browser may be used from any thread, one call
at a time. What hangs is killed after a limit, and the error says what it was doing.

    with Browser(Size(1280, 800)) as browser:
        browser.open(Path("page.html"))
        picture = browser.screenshot()
        browser.click(Point(640, 400))
"""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as OutOfTime
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from PIL import Image

from finesight.browser.elements import PageElement, list_elements
from finesight.browser.keys import key_name
from finesight.browser.start import Running, start
from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Box, Point, Size

if TYPE_CHECKING:
    from playwright.sync_api import Page

Button = Literal["left", "middle", "right"]
_T = TypeVar("_T")
_DRAG_STEPS = 12
"""Moves of a drag; libraries that watch the mouse take a single jump for no drag at all."""
_GRACE_SECONDS = 5.0
"""How much longer than the page itself its thread may take: the page's own error says more."""
_PAGE_SCHEMES = ("file", "data", "about")


class Browser:
    """One Chromium with one page.

    Args:
        viewport: size of the page in CSS pixels.
        scale: pixels of a screenshot per CSS pixel.
        timeout_seconds: longest time one call may take.
        executable: Chromium; None looks for it on the path.

    Attributes:
        blocked: addresses that the page asked for and did not get, in order.

    Raises:
        ScreenUnavailable: playwright or Chromium is missing, or does not start.
    """

    def __init__(
        self,
        viewport: Size,
        *,
        scale: float = 1.0,
        timeout_seconds: float = 20.0,
        executable: Path | None = None,
    ) -> None:
        viewport.check()
        self.viewport, self.scale = viewport, scale
        self.timeout_seconds = timeout_seconds
        self.blocked: list[str] = []
        self._running: Running | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser")
        try:
            started = self._thread.submit(
                start, viewport, scale, timeout_seconds, executable, self.blocked.append
            )
            self._running = started.result()
        except BaseException:
            self._thread.shutdown(wait=True)
            raise

    @property
    def size(self) -> Size:
        """Size of a screenshot, in pixels."""
        return Size(
            round(self.viewport.width * self.scale), round(self.viewport.height * self.scale)
        )

    @property
    def is_open(self) -> bool:
        """Whether it can be used; not after `close`, and not after it hung or crashed."""
        return self._running is not None

    @property
    def version(self) -> str:
        """Of Chromium."""
        return self._alive("asking for the version").version

    def open(self, page: Path | str) -> None:
        """Open a local page and wait until it and its scripts are loaded.

        Args:
            page: a file, or an address that begins with `file:`, `data:` or `about:`.

        Raises:
            ScreenUnavailable: there is no such page, or it does not load.
        """
        address = _address(page)
        self._on_page(f"opening {address[:200]}", lambda it: it.goto(address, wait_until="load"))

    def screenshot(self) -> Image.Image:
        """The page as an RGB picture of `size`."""
        data = self._on_page("taking a screenshot", lambda it: it.screenshot(scale="device"))
        return Image.open(io.BytesIO(data)).convert("RGB")

    def move(self, point: Point) -> None:
        """Move the mouse; points are in pixels of the screenshot here and below.

        Raises:
            ActionRefused: the point lies outside the screenshot.
        """
        x, y = self._css(point)
        self._on_page("moving the mouse", lambda it: it.mouse.move(x, y))

    def click(self, point: Point, *, button: Button = "left", count: int = 1) -> None:
        """Click once or, with `count`, several times in one place."""
        x, y = self._css(point)
        self._on_page("clicking", lambda it: it.mouse.click(x, y, button=button, click_count=count))

    def drag(self, start: Point, end: Point) -> None:
        """Press the left button in one place, move to another, let go."""
        (x1, y1), (x2, y2) = self._css(start), self._css(end)

        def carry_out(page: Page) -> None:
            page.mouse.move(x1, y1)
            page.mouse.down()
            page.mouse.move(x2, y2, steps=_DRAG_STEPS)
            page.mouse.up()

        self._on_page("dragging", carry_out)

    def scroll(self, pixels: float, *, at: Point | None = None) -> None:
        """Turn the wheel; a positive number goes up, as in the tool `computer_use`.

        Args:
            pixels: of the screenshot.
            at: where the mouse is moved to first; None leaves it.
        """
        place = None if at is None else self._css(at)

        def carry_out(page: Page) -> None:
            if place is not None:
                page.mouse.move(*place)
            page.mouse.wheel(0, -pixels / self.scale)

        self._on_page("scrolling", carry_out)

    def type_text(self, text: str) -> None:
        """Type key by key into whatever has the focus."""
        self._on_page("typing", lambda it: it.keyboard.type(text))

    def press(self, keys: Sequence[str]) -> None:
        """Press keys together, such as `["ctrl", "a"]`; they are let go in reverse order.

        Raises:
            ActionRefused: a key has a name that is not known.
        """
        together = "+".join(key_name(key) for key in keys)
        if not together:
            raise ActionRefused("no key is named", hint='name keys such as ["ctrl", "a"]')
        self._on_page(f"pressing {together}", lambda it: it.keyboard.press(together))

    def wait(self, seconds: float) -> None:
        """Let the page run on for a while, at most for the time limit of a call."""
        if seconds > 0:
            milliseconds = min(seconds, self.timeout_seconds) * 1000
            self._on_page("waiting", lambda it: it.wait_for_timeout(milliseconds))

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Value of a JavaScript expression, or of a function called with a plain value.

        Raises:
            ScreenUnavailable: the script failed or did not end in time; the page's own message is in it.
        """
        return self._on_page("running a script", lambda it: it.evaluate(script, argument))

    def elements(self) -> list[PageElement]:
        """What the page tells about its visible parts: role, accessible name, box; in the order of the page."""
        return self._on_page(
            "listing elements", lambda it: list_elements(it, self.viewport, self.scale)
        )

    def boxes(self, selector: str) -> list[Box]:
        """Boxes of the visible elements that a CSS selector finds, in pixels of the screenshot."""

        def find(page: Page) -> list[Box]:
            found = [each.bounding_box() for each in page.query_selector_all(selector)]
            return [
                Box(each["x"], each["y"], each["x"] + each["width"], each["y"] + each["height"])
                for each in found
                if each is not None
            ]

        found = self._on_page(f"looking for {selector!r}", find)
        by = self.scale
        return [Box(each.x1 * by, each.y1 * by, each.x2 * by, each.y2 * by) for each in found]

    def close(self) -> None:
        """End the process; calling it again does nothing."""
        running, self._running = self._running, None
        if running is None:
            return
        with suppress(OutOfTime):
            self._thread.submit(running.close).result(timeout=_GRACE_SECONDS)
        _kill(running.process_id)
        self._thread.shutdown(wait=False)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _css(self, point: Point) -> tuple[float, float]:
        size = self.size
        if not (0 <= point.x < size.width and 0 <= point.y < size.height):
            raise ActionRefused(
                f"point ({point.x:g}, {point.y:g}) lies outside the screen of {size.width} x {size.height} pixels"
            )
        return point.x / self.scale, point.y / self.scale

    def _on_page(self, doing: str, action: Callable[[Page], _T]) -> _T:
        """Carry out an action in the browser's thread; whatever goes wrong there says what it was."""
        from playwright.sync_api import Error

        running = self._alive(doing)
        future = self._thread.submit(action, running.page)
        started = time.monotonic()
        try:
            return future.result(timeout=self.timeout_seconds + _GRACE_SECONDS)
        except OutOfTime:
            self._end_hung(running)
            raise ScreenUnavailable(
                f"{doing}: the page did not react for {time.monotonic() - started:.0f} s; the browser was ended",
                hint="does a script of the page run without end?",
            ) from None
        except Error as error:
            if running.has_crashed():
                self.close()
                raise ScreenUnavailable(
                    f"{doing}: the page crashed: {_first_line(error)}"
                ) from error
            raise ScreenUnavailable(f"{doing}: {_first_line(error)}") from error

    def _alive(self, doing: str) -> Running:
        if self._running is None:
            raise ScreenUnavailable(f"{doing}: the browser is closed")
        return self._running

    def _end_hung(self, running: Running) -> None:
        """Kill Chromium, which sets its thread free, and then close what is left."""
        _kill(running.process_id)
        self.close()


def _kill(process_id: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def _address(page: Path | str) -> str:
    if isinstance(page, str) and urlsplit(page).scheme in _PAGE_SCHEMES:
        return page
    path = Path(page)
    if not path.is_file():
        raise ScreenUnavailable(
            f"page {str(page)!r} is no file",
            hint="only local pages are opened: a path, or file:, data: or about:",
        )
    return path.resolve().as_uri()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
