# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium, by default without network access, controlled by screenshots and by mouse and keyboard input.

A `Browser` is one process with one page. Playwright's objects belong to the thread that created them and do not work
inside a running event loop. Here they live in a separate thread, so a browser may be used from any thread, one call at
a time. A browser that hangs is killed after a time limit, and the error states the action.

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

from finesight.browser.control import control_at, focused_control
from finesight.browser.elements import list_elements
from finesight.browser.keys import key_name
from finesight.browser.reach import Reach
from finesight.browser.start import Running, start
from finesight.browser.touch import touch
from finesight.elements import ScreenElement
from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Box, Point, Size

if TYPE_CHECKING:
    from playwright.sync_api import Page

Button = Literal["left", "middle", "right"]
_T = TypeVar("_T")
_DRAG_STEPS = 12
"""Mouse moves of a drag; many JavaScript libraries do not recognise a single jump as a drag."""
_GRACE_SECONDS = 5.0
"""Added to the time limit of a call: Playwright's own timeout comes first and has the better message."""
_PAGE_SCHEMES = ("file", "data", "about")


class Browser:
    """A Chromium process with one page.

    Args:
        viewport: size of the page in CSS pixels.
        scale: screenshot pixels per CSS pixel.
        timeout_seconds: time limit of one call.
        executable: path of Chromium; None searches PATH.
        reach: what pages may load; by default files, but nothing from a network.

    Attributes:
        blocked: URLs whose requests were blocked, in order.

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
        reach: Reach = Reach(),  # noqa: B008  # frozen
    ) -> None:
        viewport.check()
        self.viewport, self.scale, self.reach = viewport, scale, reach
        self.timeout_seconds = timeout_seconds
        self.blocked: list[str] = []
        self._running: Running | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser")
        try:
            started = self._thread.submit(
                start,
                viewport,
                scale,
                timeout_seconds,
                executable,
                self.blocked.append,
                reach=reach,
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
        """False after `close`, a hang or a crash."""
        return self._running is not None

    @property
    def version(self) -> str:
        """Version of Chromium."""
        return self._alive("reading the version").version

    def open(self, page: Path | str, viewport: Size | None = None) -> None:
        """Open a page and wait until it and its scripts are loaded.

        Args:
            page: a file, a URL that begins with `file:`, `data:` or `about:`, or one of an allowed origin.
            viewport: new size of the page in CSS pixels; None keeps it.

        Raises:
            ScreenUnavailable: there is no such page, or it does not load.
        """
        address = _address(page, self.reach)

        def carry_out(it: Page) -> None:
            running = self._alive("opening a page")
            self._resize(it, viewport or self.viewport)
            running.is_leaving = True
            try:
                it.goto(address, wait_until="load")
            finally:
                running.is_leaving = False

        self._on_page(f"opening {address[:200]}", carry_out)

    def show(self, html: str, viewport: Size) -> None:
        """Show an HTML document in a viewport of another size, and wait until it and its scripts are loaded.

        Args:
            html: the document.
            viewport: new size of the page in CSS pixels.

        Raises:
            ScreenUnavailable: it does not load.
        """

        def carry_out(page: Page) -> None:
            self._resize(page, viewport)
            page.set_content(html, wait_until="load")

        self._on_page("showing a document", carry_out)

    def screenshot(self) -> Image.Image:
        """The page as an RGB picture of `size`."""
        data = self._on_page("taking a screenshot", lambda it: it.screenshot(scale="device"))
        return Image.open(io.BytesIO(data)).convert("RGB")

    def move(self, point: Point) -> None:
        """Move the mouse; points are in screenshot pixels here and below.

        Raises:
            ActionRefused: the point lies outside the screenshot.
        """
        x, y = self._css(point)
        self._on_page("moving the mouse", lambda it: it.mouse.move(x, y))

    def click(self, point: Point, *, button: Button = "left", count: int = 1) -> None:
        """Click `count` times at a point."""
        x, y = self._css(point)
        self._on_page("clicking", lambda it: it.mouse.click(x, y, button=button, click_count=count))

    def drag(self, start: Point, end: Point) -> None:
        """Drag with the left button from one point to another."""
        (x1, y1), (x2, y2) = self._css(start), self._css(end)

        def carry_out(page: Page) -> None:
            page.mouse.move(x1, y1)
            page.mouse.down()
            page.mouse.move(x2, y2, steps=_DRAG_STEPS)
            page.mouse.up()

        self._on_page("dragging", carry_out)

    def touch(self, start: Point, end: Point, seconds: float) -> None:
        """Touch the page with a finger for some time: a tap, a long press or a swipe."""
        points = self._css(start), self._css(end)
        self._on_page("touching", lambda it: touch(it, *points, seconds))

    def scroll(self, pixels: float, *, at: Point | None = None) -> None:
        """Scroll with the wheel; a positive number scrolls up, as in the tool `computer_use`.

        Args:
            pixels: distance in screenshot pixels.
            at: the point to move the mouse to first; None does not move it.
        """
        place = None if at is None else self._css(at)

        def carry_out(page: Page) -> None:
            if place is not None:
                page.mouse.move(*place)
            page.mouse.wheel(0, -pixels / self.scale)

        self._on_page("scrolling", carry_out)

    def type_text(self, text: str) -> None:
        """Type a text key by key into the focused element."""
        self._on_page("typing", lambda it: it.keyboard.type(text))

    def press(self, keys: Sequence[str]) -> None:
        """Press keys together, such as `["ctrl", "a"]`; they are released in reverse order.

        Raises:
            ActionRefused: there is no key, or a key name is unknown.
        """
        together = "+".join(key_name(key) for key in keys)
        if not together:
            raise ActionRefused("the list of keys is empty", hint='give keys such as ["ctrl", "a"]')
        self._on_page(f"pressing {together}", lambda it: it.keyboard.press(together))

    def wait(self, seconds: float) -> None:
        """Let the page run for some seconds, at most for the time limit of a call."""
        from playwright.sync_api import Error

        milliseconds = min(seconds, self.timeout_seconds) * 1000

        def pause(page: Page) -> None:
            try:
                page.wait_for_timeout(milliseconds)
            except Error:
                if not page.context.pages or not page.is_closed():  # else another window is shown
                    raise

        if seconds > 0:
            self._on_page("waiting", pause)

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Value of a JavaScript expression, or of a function called with a JSON value.

        Raises:
            ScreenUnavailable: the script failed or timed out; contains the page's message.
        """
        return self._on_page("running a script", lambda it: it.evaluate(script, argument))

    def elements(self, *, nested: bool = False) -> list[ScreenElement]:
        """Role, accessible name and box of the visible elements, by level of the tree, or nested in reading order."""
        return self._on_page(
            "listing elements",
            lambda it: list_elements(it, self.viewport, self.scale, nested=nested),
        )

    def control_at(self, point: Point) -> ScreenElement | None:
        """The control at a point, with its traits; None if there is none.

        Raises:
            ActionRefused: the point lies outside the screenshot.
        """
        place = Point(*self._css(point))
        return self._on_page("describing a control", lambda it: control_at(it, place, self.scale))

    def focused(self) -> ScreenElement | None:
        """The control that gets the keys, with its traits; None if there is none."""
        return self._on_page("describing the focus", lambda it: focused_control(it, self.scale))

    @property
    def address(self) -> str:
        """URL of the page that is shown."""
        return self._on_page("reading the address", lambda it: it.url)

    @property
    def is_loading(self) -> bool:
        """Whether a request of the page has not ended."""
        return self._alive("reading the state").loading > 0

    def notices(self) -> list[str]:
        """What was not in any screenshot since the last call, in words; also shows a window that was opened."""

        def take(page: Page) -> list[str]:
            running = self._alive("reading notices")
            shown = page.context.pages[-1]
            if shown is not running.page:
                running.page = shown
                running.notices.append(f"a new window is shown: {shown.url}")
            found, running.notices = running.notices, []
            return found

        return self._on_page("reading notices", take)

    def boxes(self, selector: str) -> list[Box]:
        """Boxes of the visible elements that match a CSS selector, in screenshot pixels."""

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
        """End the process; a second call does nothing."""
        running, self._running = self._running, None
        if running is None:
            return
        with suppress(
            OutOfTime, RuntimeError
        ):  # RuntimeError: the interpreter ends, threads have ended
            self._thread.submit(running.close).result(timeout=_GRACE_SECONDS)
        _kill(running.process_id)
        self._thread.shutdown(wait=False)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resize(self, page: Page, viewport: Size) -> None:
        """Change the viewport; runs in the browser's thread."""
        if viewport != self.viewport:
            viewport.check()
            page.set_viewport_size({"width": viewport.width, "height": viewport.height})
            self.viewport = viewport

    def _css(self, point: Point) -> tuple[float, float]:
        size = self.size
        if not (0 <= point.x < size.width and 0 <= point.y < size.height):
            raise ActionRefused(
                f"point ({point.x:g}, {point.y:g}) lies outside the screen of {size.width} x {size.height} pixels"
            )
        return point.x / self.scale, point.y / self.scale

    def _on_page(self, doing: str, action: Callable[[Page], _T]) -> _T:
        """Run an action in the browser's thread; errors name the action."""
        from playwright.sync_api import Error

        running = self._alive(doing)
        future = self._thread.submit(lambda: action(running.front()))
        started = time.monotonic()
        try:
            return future.result(timeout=self.timeout_seconds + _GRACE_SECONDS)
        except OutOfTime:
            self._end_hung(running)
            raise ScreenUnavailable(
                f"{doing}: the page did not respond for {time.monotonic() - started:.0f} s; the browser was killed",
                hint="does a script of the page run in an endless loop?",
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
        """Kill Chromium, which unblocks its thread, and close the rest."""
        _kill(running.process_id)
        self.close()


def _kill(process_id: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def _address(page: Path | str, reach: Reach) -> str:
    schemes = (*_PAGE_SCHEMES, "http", "https") if reach.origins else _PAGE_SCHEMES
    if isinstance(page, str) and urlsplit(page).scheme in schemes:
        if not reach.allows(page):
            raise ScreenUnavailable(
                f"{page[:200]} is not in what this browser may load",
                hint=f"allowed origins: {', '.join(reach.origins) or 'none'}",
            )
        return page
    path = Path(page)
    if not path.is_file():
        raise ScreenUnavailable(
            f"page {str(page)!r} is not a file",
            hint="only local pages can be opened: give a path, or a file:, data: or about: URL",
        )
    return path.resolve().as_uri()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
