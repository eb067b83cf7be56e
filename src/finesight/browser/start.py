# SPDX-License-Identifier: Apache-2.0
"""Find Chromium, start it shut off from the network, and end it.

Three walls stand between a page and the network: each request that is not for a local page is refused and written down;
sockets and all else go to a proxy that is not there; and names are not looked up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.errors import ScreenUnavailable
from finesight.geometry import Size

if TYPE_CHECKING:
    from playwright.sync_api import Browser as ChromiumBrowser
    from playwright.sync_api import BrowserContext, Page, Playwright, Route, WebSocketRoute

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""What the program is called on the systems we know."""
HINT = (
    "install Chromium and playwright: `make setup-web`, or scripts/install-system-packages.sh web"
    " and pip install 'finesight[web]'"
)
LOCAL = ("file:", "data:", "about:", "blob:")
_DISCARD = "http://127.0.0.1:9"
_ARGUMENTS = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--font-render-hinting=none",
    "--hide-scrollbars",
)


@dataclass(slots=True)
class Running:
    """A browser that runs; used only in the thread that started it, but for `process_id` and `has_crashed`.

    Attributes:
        page: its one page.
        process_id: of Chromium.
        version: of Chromium.
    """

    page: Page
    process_id: int
    version: str
    _browser: ChromiumBrowser
    _driver: Playwright
    _crashes: list[str] = field(default_factory=list)

    def has_crashed(self) -> bool:
        """Whether the page or the whole browser is gone."""
        return bool(self._crashes)

    def note_crash(self, what: str) -> None:
        """Remember that something ended that should not."""
        self._crashes.append(what)

    def close(self) -> None:
        """End Chromium and the driver."""
        from playwright.sync_api import Error

        try:
            self._browser.close()
        except Error as error:  # it is gone already, which is what was wanted
            self.note_crash(str(error))
        finally:
            self._driver.stop()


def find_chromium(executable: Path | None = None) -> Path:
    """The program itself.

    Raises:
        ScreenUnavailable: it is not there.
    """
    if executable is not None:
        if not executable.is_file():
            raise ScreenUnavailable(f"there is no Chromium at {executable}", hint=HINT)
        return executable
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise ScreenUnavailable(
            f"no Chromium: none of {', '.join(NAMES)} is on the path", hint=HINT
        )
    return Path(found)


def start(
    viewport: Size,
    scale: float,
    timeout_seconds: float,
    executable: Path | None,
    on_blocked: Callable[[str], None],
) -> Running:
    """Start Chromium with an empty page.

    Args:
        viewport: in CSS pixels.
        scale: device pixels per CSS pixel.
        timeout_seconds: of each call.
        executable: None looks for it.
        on_blocked: told each address that was refused.

    Raises:
        ScreenUnavailable: something needed is missing, or it does not start.
    """
    program = find_chromium(executable)
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise ScreenUnavailable(f"playwright is missing: {error}", hint=HINT) from error
    driver = sync_playwright().start()
    try:
        browser = driver.chromium.launch(
            executable_path=program,
            args=list(_ARGUMENTS),
            proxy={"server": _DISCARD},
            chromium_sandbox=os.geteuid() != 0,  # Chromium itself refuses its sandbox to root
            timeout=timeout_seconds * 1000,
        )
        session = browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        process_id = next(int(each["id"]) for each in processes if each["type"] == "browser")
        page = _shut_off(browser, viewport, scale, on_blocked).new_page()
        page.set_default_timeout(timeout_seconds * 1000)
    except BaseException as error:
        driver.stop()
        if isinstance(error, Error):
            raise ScreenUnavailable(f"{program} does not start: {error}", hint=HINT) from error
        raise
    running = Running(page, process_id, browser.version, browser, driver)
    page.on("crash", lambda _: running.note_crash("page"))
    browser.on("disconnected", lambda _: running.note_crash("browser"))
    return running


def _shut_off(
    browser: ChromiumBrowser, viewport: Size, scale: float, on_blocked: Callable[[str], None]
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
        if route.request.url.startswith(LOCAL):
            route.continue_()
        else:
            on_blocked(route.request.url)
            route.abort("blockedbyclient")

    def refuse(socket: WebSocketRoute) -> None:
        on_blocked(socket.url)
        socket.close()

    context.route("**/*", decide)
    context.route_web_socket("**/*", refuse)
    return context
