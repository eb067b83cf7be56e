# SPDX-License-Identifier: Apache-2.0
"""Screens of two web dashboards: elements with their accessible names, checked to be clickable."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from finesight.browser.browser import Browser
from finesight.elements import ScreenElement
from finesight.errors import EvalError
from finesight.evals.screens.record import Screen, Target
from finesight.geometry import Box, Size

VIEWPORT = Size(1280, 800)
PAGE_SECONDS = 120.0
"""Timeout of one browser operation; generous, because pages are recorded once and machines may be busy."""
PER_PAGE = 5
"""Maximum number of elements per page."""
WAIT_SECONDS = 0.5
"""Time for fonts and opening animations."""

SITES: Mapping[str, str] = {"sb_admin_2": ".", "gentelella": "dist"}
"""Folder below the real data -> root of its absolute addresses."""
PAGES: Mapping[str, str] = {"sb_admin_2": "*.html", "gentelella": "production/*.html"}

ASKED = {
    **dict.fromkeys(("button", "link", "menuitem", "tab"), 'Click on "{}".'),
    **dict.fromkeys(("checkbox", "radio", "switch"), 'Tick "{}".'),
    **dict.fromkeys(("textbox", "searchbox", "combobox"), 'Click into the field "{}".'),
}
"""Role -> instruction."""

_LONGEST_NAME, _SMALLEST_SIDE = 48, 12
_GLYPHS = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
"""Icons of fonts: characters of private use areas in names."""
_REACHED = """([x, y]) => {
  const hit = document.elementFromPoint(x, y);
  const part = hit && (hit.closest("a, button, input, select, textarea, label, [role]") || hit);
  if (!part) return null;
  const box = part.getBoundingClientRect();
  const labels = [...(part.labels || [])].map((label) => label.innerText);
  const words = [part.getAttribute("aria-label"), part.innerText, part.placeholder, part.title, part.value, ...labels];
  return {box: [box.left, box.top, box.right, box.bottom], words: words.filter(Boolean)};
}"""
"""Box and texts of the element that a click at a point reaches."""


def screens(real: Sequence[Path]) -> Iterator[Screen]:
    """Every page of the available sites, with up to `PER_PAGE` elements, chosen with a fixed seed.

    Args:
        real: folders of real data.

    Raises:
        EvalError: no site is available.
        ScreenUnavailable: there is no browser, or a page does not load.
    """
    found = find_sites(real)
    with (
        Browser(VIEWPORT, timeout_seconds=PAGE_SECONDS) as browser,
        tempfile.TemporaryDirectory() as scratch,
    ):
        for name, folder in found.items():
            site = (folder / SITES[name]).resolve()
            for page in sorted(site.glob(PAGES[name])):
                browser.open(_openable(page, site, Path(scratch)))
                browser.wait(WAIT_SECONDS)
                targets = targets_of(browser, f"{name}/{page.stem}")
                if targets:
                    yield Screen(
                        name=f"{name}-{page.stem}",
                        source=name,
                        picture=browser.screenshot(),
                        targets=targets,
                    )


def find_sites(real: Sequence[Path]) -> dict[str, Path]:
    """The folder of each available site.

    Raises:
        EvalError: there is none.
    """
    places = ((name, root / name) for name in SITES for root in reversed(real))
    found = {name: folder for name, folder in places if folder.is_dir()}
    if not found:
        raise EvalError(
            f"{', '.join(map(str, real))} holds none of {', '.join(SITES)}",
            hint=f"python scripts/fetch_real_data.py DIR {' '.join(SITES)}",
        )
    return found


def _openable(page: Path, site: Path, scratch: Path) -> Path:
    """A copy of a page with absolute addresses rewritten to files; the page itself if it has none.

    `crossorigin` is removed, because browsers do not load files with it.
    """
    text = page.read_text(encoding="utf-8", errors="replace")
    if not re.search(r'(?:href|src)="/[^/]', text):
        return page
    text = re.sub(r'((?:href|src)=")/(?!/)', rf"\g<1>{site.as_uri()}/", text)
    text = re.sub(r'\scrossorigin(?:="[^"]*")?', "", text)
    copy = scratch / page.name
    copy.write_text(text, encoding="utf-8")
    return copy


def targets_of(browser: Browser, seed: str) -> tuple[Target, ...]:
    """Elements of an open page with unique names.

    Args:
        browser: with the page.
        seed: of the choice among too many elements.
    """
    elements = browser.elements()
    names = [_plain(each.name) for each in elements if each.role in ASKED]
    once = [
        each
        for each in elements
        if each.role in ASKED and names.count(_plain(each.name)) == 1 and _is_fit(each)
    ]
    random.Random(seed).shuffle(once)
    texts = {_plain(each.name): each.box for each in elements if each.role == "StaticText"}
    found: list[Target] = []
    for each in once:
        if len(found) == PER_PAGE:
            break
        name = _plain(each.name)
        if is_on_top(browser, name, each.box):
            words = texts.get(name)
            is_text = words is not None and each.box.contains(words.center)
            found.append(
                Target(
                    instruction=ASKED[each.role].format(name),
                    box=each.box,
                    kind="text" if is_text else "icon",
                )
            )
    return tuple(found)


def _plain(name: str) -> str:
    return " ".join(_GLYPHS.sub("", name).split())


def _is_fit(element: ScreenElement) -> bool:
    """Whether an element has a short name, is large enough and does not touch the edge of the screen."""
    box, name = element.box, _plain(element.name)
    is_large = min(box.width, box.height) >= _SMALLEST_SIDE
    is_whole = box.x2 < VIEWPORT.width and box.y2 < VIEWPORT.height
    return 1 < len(name) <= _LONGEST_NAME and is_large and is_whole


def is_on_top(browser: Browser, name: str, box: Box) -> bool:
    """Whether a click on the centre of a box reaches an element of that name, so it is visible and not covered.

    Args:
        browser: with the page.
        name: of the element.
        box: of the element.
    """
    middle = box.center
    reached = browser.evaluate(_REACHED, [middle.x, middle.y])
    if reached is None or not _is_near(Box(*reached["box"]), box):
        return False
    texts = [_plain(text) for text in reached["words"]]
    return any(text and (name in text or text in name) for text in texts)


def _is_near(reached: Box, box: Box) -> bool:
    """Whether one box contains the centre of the other; fields include labels, and links may exceed their names."""
    return box.contains(reached.center) or (
        reached.contains(box.center) and reached.area < 4 * max(box.area, 1)
    )
