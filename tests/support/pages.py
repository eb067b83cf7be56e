# SPDX-License-Identifier: Apache-2.0
"""Small web pages for the browser, and the line that skips a test where there is no browser."""

from __future__ import annotations

import importlib.util

import pytest

from finesight.browser.start import find_chromium
from finesight.errors import ScreenUnavailable


def why_no_browser() -> str:
    """Empty where a browser can be started."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed: make setup-web"
    try:
        find_chromium()
    except ScreenUnavailable as error:
        return f"{error.message}: make setup-web"
    return ""


needs_browser = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())

FORM = """<!doctype html><html><head><style>
body { margin: 0; background: white; } * { box-sizing: border-box; }
#press, #field, #pad, #long { position: absolute; margin: 0; padding: 0; border: 0; }
#press { left: 20px; top: 10px; width: 60px; height: 20px; background: rgb(255, 0, 0); }
#field { left: 20px; top: 40px; width: 100px; height: 20px; background: #eee; }
#pad { left: 20px; top: 70px; width: 100px; height: 50px; background: rgb(0, 0, 255); }
#long { left: 130px; top: 10px; width: 60px; height: 100px; overflow: auto; }
</style></head><body>
<button id="press" aria-label="Send the form"></button>
<input id="field" aria-label="Your name">
<div id="pad"></div>
<div id="long"><div style="height: 1000px">much text</div></div>
<script>
window.events = [];
const note = (kind, event) => events.push([kind, event.clientX, event.clientY, event.button]);
for (const kind of ["click", "dblclick", "contextmenu", "mousedown", "mouseup"]) {
  document.addEventListener(kind, (event) => note(kind, event));
}
document.addEventListener("keydown", (event) => events.push(["key", event.key, event.ctrlKey]));
</script></body></html>"""
"""A page of 200 x 140 that writes down what is done to it."""
