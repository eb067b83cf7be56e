# SPDX-License-Identifier: Apache-2.0
"""Write docs/images/web-page.png: the page of `finesight serve` with a picture and what was found in it.

python scripts/draw_web_page.py        # needs Chromium and playwright: make setup-web
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from finesight.browser.start import find_chromium

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "examples" / "media" / "shapes.png"
TARGET = ROOT / "docs" / "images" / "web-page.png"
SIZE = (1200, 720)
QUESTION = "Locate every red circle in the image and output the coordinates in JSON format."


def main() -> None:
    """Start a server with the embedded model, ask, and take the picture."""
    command = [sys.executable, "-m", "finesight", "serve", "--model", "tiny", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        found = (re.match(r"ready: (http://\S+)/v1", line) for line in server.stderr)
        address = next(each for each in found if each is not None)[1]
        draw(address)
    finally:
        server.terminate()
        server.communicate()
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


def draw(address: str) -> None:
    """Take a picture of the page at an address."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=find_chromium(), chromium_sandbox=os.geteuid() != 0
        )
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(address)
        page.set_input_files("#files", [PICTURE])
        page.locator(".file").wait_for()
        page.get_by_label("Question", exact=True).fill(QUESTION)
        page.keyboard.press("Enter")
        page.locator("rect.mark").first.wait_for()
        page.locator("#found button").first.hover()
        page.screenshot(path=TARGET)
        browser.close()
    with Image.open(TARGET) as image:  # few colours: a palette is a third of the size
        image.convert("RGB").quantize(256).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
