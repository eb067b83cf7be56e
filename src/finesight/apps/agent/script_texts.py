# SPDX-License-Identifier: Apache-2.0
"""The fixed parts of the scripts that `finesight.apps.agent.scripts` writes."""

from __future__ import annotations

__all__ = ["ADB", "PLAYWRIGHT", "PLAYWRIGHT_END"]

PLAYWRIGHT = '''\
# Repeats a recorded run of `finesight agent`, without a model and without its gate.
# Needs playwright, and its Chromium (`playwright install chromium`) or another one, whose path is in CHROMIUM.
# Usage: python THIS_FILE [SCREENSHOT.png]

import os
import sys
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, sync_playwright

loading = set()


def settled(context: BrowserContext) -> Page:
    """The page in front, once its requests have ended, after nine seconds at most."""
    for _ in range(30):
        context.pages[-1].wait_for_timeout(300)
        if not loading:
            break
    return context.pages[-1]


def site(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def secret(page: Page, variable: str, origin: str) -> str:
    """The value of an environment variable, for this origin only."""
    if site(page.url) != site(origin):
        sys.exit(f"{variable} is for {origin}, and the page is {page.url}")
    if variable not in os.environ:
        sys.exit(f"set {variable}")
    return os.environ[variable]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=12)
    page.mouse.up()


def repeat(context: BrowserContext) -> Page:
'''
PLAYWRIGHT_END = """

with sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=os.environ.get("CHROMIUM"))
    context = browser.new_context(viewport={viewport}, device_scale_factor={scale})
    context.on("request", lambda request: loading.add(request))
    context.on("requestfinished", lambda request: loading.discard(request))
    context.on("requestfailed", lambda request: loading.discard(request))
    last = repeat(context)
    print(last.url)
    if len(sys.argv) > 1:
        last.screenshot(path=sys.argv[1])
    browser.close()
"""

ADB = r"""#!/bin/sh
# Repeats a recorded run of `finesight agent`, without a model and without its gate.
# Needs adb, or its path in ADB; ANDROID_SERIAL chooses the phone. PAUSE is the time after each step, in seconds.
set -eu
ADB=${ADB:-adb}
KEYBOARD=com.android.adbkeyboard/.AdbIME

on_phone() {
    "$ADB" shell "$@" </dev/null
    sleep "${PAUSE:-1}"
}

# Types a line. `input text` types %s as a space, and ASCII only; other text needs the keyboard app ADBKeyBoard.
type_text() {
    if printf '%s' "$1" | LC_ALL=C grep -q '[^ -~]'; then
        before=$("$ADB" shell settings get secure default_input_method </dev/null)
        "$ADB" shell "ime enable $KEYBOARD && ime set $KEYBOARD" </dev/null
        on_phone "am broadcast -a ADB_INPUT_B64 --es msg $(printf '%s' "$1" | base64 | tr -d '\n')"
        "$ADB" shell "ime set $before" </dev/null
        return
    fi
    printf '%s\n' "$1" | sed 's/%s/%\
s/g' | while IFS= read -r piece; do
        on_phone "input text '$(printf '%s' "$piece" | sed -e 's/ /%s/g' -e "s/'/'\\\\''/g")'"
    done
}

# Ends the script unless this app is in front: a secret is for one app only.
only_in() {
    "$ADB" shell dumpsys window </dev/null | grep mCurrentFocus | grep -qF " $1/" && return
    echo "the app $1 is not in front" >&2
    exit 1
}

"""
