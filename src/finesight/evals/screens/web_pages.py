# SPDX-License-Identifier: Apache-2.0
"""Pages of two office programs as screens: elements with their accessible names, checked to be on top."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from finesight.browser.browser import Browser
from finesight.browser.elements import PageElement
from finesight.errors import EvalError
from finesight.evals.screens.record import Screen, Target
from finesight.geometry import Box, Size

VIEWPORT = Size(1280, 800)
PAGE_SECONDS = 120.0
"""Longest time that one look at a page may take: pages are recorded once, and not on idle machines alone."""
PER_PAGE = 5
"""Elements of one page at most."""
WAIT_SECONDS = 0.5
"""For fonts and for parts that fold out when a page opens."""

SITES: Mapping[str, str] = {"sb_admin_2": ".", "gentelella": "dist"}
"""Folder below the real data -> what its addresses that begin with a slash begin at."""
PAGES: Mapping[str, str] = {"sb_admin_2": "*.html", "gentelella": "production/*.html"}

ASKED = {
    **dict.fromkeys(("button", "link", "menuitem", "tab"), 'Click on "{}".'),
    **dict.fromkeys(("checkbox", "radio", "switch"), 'Tick "{}".'),
    **dict.fromkeys(("textbox", "searchbox", "combobox"), 'Click into the field "{}".'),
}
"""Role -> instruction."""

_LONGEST_NAME, _SMALLEST_SIDE = 48, 12
_GLYPHS = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
"""Icons of fonts, which stand in names as private letters."""
_REACHED = """([x, y]) => {
  const hit = document.elementFromPoint(x, y);
  const part = hit && (hit.closest("a, button, input, select, textarea, label, [role]") || hit);
  if (!part) return null;
  const box = part.getBoundingClientRect();
  const labels = [...(part.labels || [])].map((label) => label.innerText);
  const words = [part.getAttribute("aria-label"), part.innerText, part.placeholder, part.title, part.value, ...labels];
  return {box: [box.left, box.top, box.right, box.bottom], words: words.filter(Boolean)};
}"""
"""Box and words of the part that a click at a place would reach."""


def screens(real: Sequence[Path]) -> Iterator[Screen]:
    """Every page of the sites that are there, with up to `PER_PAGE` of its elements, the same ones every time.

    Args:
        real: folders of real data.

    Raises:
        EvalError: none of the sites is there.
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
    """The folder of each site that is there.

    Raises:
        EvalError: none of them is.
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
    """A copy of a page whose addresses below the site's root lead to files; without those, the page itself.

    A browser refuses files to what says `crossorigin`: that word is left out.
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
    """Elements of an open page that can be meant by their name alone.

    Args:
        browser: with the page.
        seed: draws which elements are taken where there are too many.
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


def _is_fit(element: PageElement) -> bool:
    """Named shortly, large enough, and not at the edge, where something may be cut off."""
    box, name = element.box, _plain(element.name)
    is_large = min(box.width, box.height) >= _SMALLEST_SIDE
    is_whole = box.x2 < VIEWPORT.width and box.y2 < VIEWPORT.height
    return 1 < len(name) <= _LONGEST_NAME and is_large and is_whole


def is_on_top(browser: Browser, name: str, box: Box) -> bool:
    """Whether a click on the middle of a box reaches a part of that name: it is not folded away, nothing lies above it.

    Args:
        browser: with the page.
        name: of the element.
        box: of the element.
    """
    middle = box.center
    reached = browser.evaluate(_REACHED, [middle.x, middle.y])
    if reached is None or not _is_near(Box(*reached["box"]), box):
        return False
    said = [_plain(words) for words in reached["words"]]
    return any(words and (name in words or words in name) for words in said)


def _is_near(reached: Box, box: Box) -> bool:
    """One holds the other's middle: a field reaches as far as its label, a link may be larger than its name."""
    return box.contains(reached.center) or (
        reached.contains(box.center) and reached.area < 4 * max(box.area, 1)
    )
