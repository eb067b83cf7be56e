# SPDX-License-Identifier: Apache-2.0
"""Pages of template sites, opened offline, with the elements of Chromium's accessibility tree.

The width, the place scrolled to and the font vary. Only elements that are wholly inside the picture and not covered are
kept. Charts and photographs may contain text that nothing lists, so these screens have no truth of characters.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from finesight.data.builders.rendered import font_face, shared_renderer
from finesight.data.builders.screens.elements import Element, Screen, pixel_box
from finesight.data.sources.fonts import Face
from finesight.data.sources.interface import SITES
from finesight.data.split import Split
from finesight.elements import ScreenElement
from finesight.geometry import Box, Size

__all__ = ["SitePages"]

_ROLES = {
    "button": "control", "link": "control", "textbox": "textbox", "searchbox": "searchbox", "combobox": "combobox",
    "checkbox": "checkbox", "radio": "radio", "switch": "switch", "tab": "tab", "menuitem": "menuitem",
    "heading": "heading",
}  # fmt: skip
"""Roles of the accessibility tree that are kept, and ours; buttons and links look alike, so both are controls."""
_FIELDS = ("textbox", "searchbox", "combobox", "checkbox", "radio", "switch")
MIN_CONTRAST = 3.0
"""Least standard deviation of the pixels of an element; below, its icon or text is missing."""
_PREPARE = """async ({ css, share }) => {
  for (const old of document.querySelectorAll("link[rel=stylesheet][crossorigin]")) {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    const href = old.getAttribute("href");
    sheet.href = href.startsWith("/") ? ".." + href : href; // from the root of the site, one folder up
    const loaded = new Promise((done) => (sheet.onload = sheet.onerror = done));
    old.replaceWith(sheet);
    await loaded;
  }
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  await document.fonts.ready;
  scrollTo({ top: share * (document.documentElement.scrollHeight - innerHeight), behavior: "instant" });
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
"""Applies a font, scrolls, and loads the style sheets that a browser refuses to load from files across origins."""
_CSS = """*, *::before, *::after { animation: none !important; transition: none !important; }
body, h1, h2, h3, h4, h5, h6, p, a, button, input, td, th, label, li, select, textarea {
  font-family: "screen-font", sans-serif; }"""
_LOOK = """(boxes) => {
  const isSame = (rect, [x1, y1, x2, y2]) =>
    Math.abs(rect.left - x1) + Math.abs(rect.top - y1) + Math.abs(rect.right - x2) + Math.abs(rect.bottom - y2) < 6;
  const isUncovered = (element, [x1, y1, x2, y2]) =>
    [x1 + 3, (x1 + x2) / 2, x2 - 3].every((x) => {
      const top = document.elementFromPoint(x, (y1 + y2) / 2);
      return top !== null && element.contains(top);
    });
  const contents = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const rect = range.getBoundingClientRect();
    return [rect.left, rect.top, rect.right, rect.bottom];
  };
  const found = boxes.map((listed) => {
    let element = document.elementFromPoint((listed[0] + listed[2]) / 2, (listed[1] + listed[3]) / 2);
    for (let level = 0; element && level < 5; level++, element = element.parentElement) {
      const isShown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      if (!isShown || !isSame(element.getBoundingClientRect(), listed)) continue;
      const text = (element.innerText ?? "").replace(/\\s+/g, " ").trim();
      const box = /^H[1-6]$/.test(element.tagName) ? contents(element) : listed; // a heading fills its column
      return isUncovered(element, box) ? { text, box } : null;
    }
    return null;
  });
  const rows = document.body.innerText.split(/[\\n\\t]+/).map((row) => row.trim()).filter(Boolean);
  return { found, rows };
}"""
"""Text and box of the element at the middle of each box, None where another one covers it; and all rows of text."""


class SitePages:
    """Draws screens of the sites of a split.

    Args:
        split: of the sites.
        assets: folder of the training assets.

    Raises:
        DataError: a site is not installed.
    """

    def __init__(self, split: Split, assets: Path) -> None:
        self._pages = [(site.folder, site.pages(assets)) for site in SITES if site.split == split]

    def draw(self, rng: random.Random, face: Face, size: Size) -> Screen:
        """Draw one page of a site."""
        folder, pages = rng.choice(self._pages)
        page = rng.choice(pages)
        browser = shared_renderer().open(page, size)
        share = rng.choice((0.0, 0.0, rng.random()))
        browser.evaluate(
            _PREPARE, {"css": f"{font_face('screen-font', face)} {_CSS}", "share": share}
        )
        image = np.array(browser.screenshot())
        listed = [each for each in browser.elements() if each.role in _ROLES]
        seen = browser.evaluate(
            _LOOK, [[it.box.x1, it.box.y1, it.box.x2, it.box.y2] for it in listed]
        )
        browser.blocked.clear()
        return Screen(
            image=image,
            elements=tuple(_elements(listed, seen["found"], image)),
            texts=Counter(seen["rows"]),
            icons=None,
            glyphs=None,
            source={"template": f"{folder}/{page.name}", "style": folder, "font": face.id},
        )


def _elements(
    listed: list[ScreenElement], seen: list[dict[str, Any] | None], image: npt.NDArray[np.uint8]
) -> list[Element]:
    """Elements that are not covered and differ from a plain surface."""
    size = Size(image.shape[1], image.shape[0])
    found: dict[Any, Element] = {}
    for each, shown in zip(listed, seen, strict=True):
        box = None if shown is None else pixel_box(Box(*shown["box"]), size)
        if (
            shown is None
            or box is None
            or image[box[1] : box[3], box[0] : box[2]].std() < MIN_CONTRAST
        ):
            continue
        role, text = _ROLES[each.role], str(shown["text"])
        element = Element(
            role=role,
            box=box,
            text="" if role in _FIELDS else text,
            name=each.name if role in _FIELDS else "",
            value=each.value if role == "textbox" and each.value else None,
            is_whole=_is_inside(box, size) and _is_readable(role, text, each),
        )
        found.setdefault((role, box), element)
    return list(found.values())


def _is_inside(box: tuple[int, int, int, int], size: Size) -> bool:
    """Whether a box has a distance to the border, where it might be cut off."""
    return box[0] > 0 and box[1] > 0 and box[2] < size.width and box[3] < size.height


def _is_readable(role: str, text: str, listed: ScreenElement) -> bool:
    """Whether the element shows what it is called, and no letters of an icon font."""
    is_plain = all(not 0xE000 <= ord(char) <= 0xF8FF for char in text)
    return is_plain and (role in _FIELDS or bool(text) or bool(listed.name))
