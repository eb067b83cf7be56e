# SPDX-License-Identifier: Apache-2.0
"""Find Chromium, start it without network access, and end it.

Network access is limited in three ways: requests for other than local pages and allowed origins are refused and
recorded, all other connections go to a proxy (`finesight.browser.reach`), which does not exist where no origin is
allowed, and host names are not resolved.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.browser.reach import OriginProxy, Reach
from finesight.errors import ScreenUnavailable
from finesight.geometry import Size

if TYPE_CHECKING:
    from playwright.sync_api import Browser as ChromiumBrowser
    from playwright.sync_api import BrowserContext, Dialog, Page, Playwright, Route, WebSocketRoute

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Names of the program on common systems."""
HINT = (
    "install Chromium and playwright: `make setup-web`, or scripts/install-system-packages.sh web"
    " and pip install 'finesight[web]'"
)
_DISCARD = "http://127.0.0.1:9"
_NO_NAMES = "--host-resolver-rules=MAP * ~NOTFOUND"
_ARGUMENTS = (
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--font-render-hinting=none",
    "--hide-scrollbars",
)


@dataclass(slots=True)
class Running:
    """A running browser; except `process_id` and `has_crashed`, used only in the thread that started it.

    Attributes:
        page: the page that is shown.
        process_id: of Chromium.
        version: of Chromium.
        notices: dialogs that were dismissed, in words, until they are taken.
        loading: number of requests that have not ended.
        is_leaving: whether another page is being opened, so that a page may not ask to stay.
    """

    page: Page
    process_id: int
    version: str
    _browser: ChromiumBrowser
    _driver: Playwright
    _proxy: OriginProxy | None
    notices: list[str] = field(default_factory=list)
    loading: int = 0
    is_leaving: bool = False
    _crashes: list[str] = field(default_factory=list)

    def has_crashed(self) -> bool:
        """Whether the page or the browser crashed."""
        return bool(self._crashes)

    def note_crash(self, what: str) -> None:
        """Record that the page or the browser ended unexpectedly."""
        self._crashes.append(what)

    def front(self) -> Page:
        """The page that is shown; after it has closed itself, as a window for signing in does, the one before."""
        if self.page.is_closed() and (others := self.page.context.pages):
            self.page = others[-1]
            self.notices.append(f"the window closed, and another one is shown: {self.page.url}")
        return self.page

    def close(self) -> None:
        """End Chromium and the driver."""
        from playwright.sync_api import Error

        try:
            self._browser.close()
        except Error as error:  # it has already ended
            self.note_crash(str(error))
        finally:
            self._driver.stop()
            if self._proxy is not None:
                self._proxy.close()

    def watch(self, page: Page) -> None:
        """Note crashes, requests and dialogs of a page; a dialog is dismissed, as it is not in any screenshot."""
        page.on("request", lambda _: self._count(1))
        page.on("requestfinished", lambda _: self._count(-1))
        page.on("requestfailed", lambda _: self._count(-1))
        page.on("crash", lambda _: self.note_crash("page"))
        page.on("dialog", lambda dialog: self._dismiss(dialog))

    def _count(self, change: int) -> None:
        self.loading += change

    def _dismiss(self, dialog: Dialog) -> None:
        if self.is_leaving and dialog.type == "beforeunload":
            dialog.accept()
            return
        self.notices.append(f"a dialog ({dialog.type}) was dismissed; it said: {dialog.message!r}")
        dialog.dismiss()


def find_chromium(executable: Path | None = None) -> Path:
    """Path of Chromium.

    Raises:
        ScreenUnavailable: it is not found.
    """
    if executable is not None:
        if not executable.is_file():
            raise ScreenUnavailable(f"there is no Chromium at {executable}", hint=HINT)
        return executable
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise ScreenUnavailable(
            f"Chromium is not found: none of {', '.join(NAMES)} is on the path", hint=HINT
        )
    return Path(found)


def start(
    viewport: Size,
    scale: float,
    timeout_seconds: float,
    executable: Path | None,
    on_blocked: Callable[[str], None],
    *,
    reach: Reach,
) -> Running:
    """Start Chromium with an empty page.

    Args:
        viewport: size in CSS pixels.
        scale: device pixels per CSS pixel.
        timeout_seconds: time limit of each call.
        executable: path of Chromium; None searches PATH.
        on_blocked: called with the URL of each refused request.
        reach: what pages may load.

    Raises:
        ScreenUnavailable: playwright or Chromium is missing, or Chromium does not start.
    """
    program = find_chromium(executable)
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise ScreenUnavailable(f"playwright is missing: {error}", hint=HINT) from error
    driver = sync_playwright().start()
    proxy = OriginProxy(reach, on_blocked) if reach.origins else None
    try:
        browser = driver.chromium.launch(
            executable_path=program,
            # the proxy itself is found by its address, and everything else through the proxy
            args=[_NO_NAMES if proxy is None else f"{_NO_NAMES}, EXCLUDE 127.0.0.1", *_ARGUMENTS],
            proxy={"server": _DISCARD if proxy is None else proxy.address},
            chromium_sandbox=os.geteuid() != 0,  # Chromium does not support its sandbox for root
            timeout=timeout_seconds * 1000,
        )
        session = browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        process_id = next(int(each["id"]) for each in processes if each["type"] == "browser")
        context = _limited_context(browser, viewport, scale, on_blocked, reach)
        context.set_default_timeout(timeout_seconds * 1000)
        page = context.new_page()
    except BaseException as error:
        driver.stop()
        if proxy is not None:
            proxy.close()
        if isinstance(error, Error):
            raise ScreenUnavailable(f"{program} does not start: {error}", hint=HINT) from error
        raise
    running = Running(page, process_id, browser.version, browser, driver, proxy)
    running.watch(page)
    context.on("page", lambda opened: running.watch(opened))
    browser.on("disconnected", lambda _: running.note_crash("browser"))
    return running


def _limited_context(
    browser: ChromiumBrowser,
    viewport: Size,
    scale: float,
    on_blocked: Callable[[str], None],
    reach: Reach,
) -> BrowserContext:
    context = browser.new_context(
        viewport={"width": viewport.width, "height": viewport.height},
        device_scale_factor=scale,
        accept_downloads=False,
        service_workers="block",
        locale="en-US",
        timezone_id="UTC",
    )

    def decide(route: Route) -> None:
        if reach.allows(route.request.url):
            route.continue_()
        else:
            on_blocked(route.request.url)
            route.abort("blockedbyclient")

    def connect(socket: WebSocketRoute) -> None:
        if reach.allows(socket.url):
            socket.connect_to_server()
        else:
            on_blocked(socket.url)
            socket.close()

    context.route("**/*", decide)
    context.route_web_socket("**/*", connect)
    return context
