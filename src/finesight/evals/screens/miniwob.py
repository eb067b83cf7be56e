# SPDX-License-Identifier: Apache-2.0
"""First screens of MiniWoB++ tasks that one click solves; the gold box is found by the task's own reward.

Every element is clicked in a fresh episode of the same seed. The smallest rewarded element is the gold box. An episode
with several disjoint rewarded elements is left out, because one box cannot describe it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from finesight.browser.browser import Browser
from finesight.errors import EvalError
from finesight.evals.screens.record import Screen, Target
from finesight.geometry import Box, Size, iou

VIEWPORT, SCALE = Size(160, 210), 3.0
"""Size of a task's page, and its enlargement for legible text."""
TASKS = (
    *("click-button", "click-dialog", "click-dialog-2", "click-link", "click-shape"),
    *("click-tab", "click-test", "click-test-2", "click-widget", "count-shape", "count-sides"),
    *("focus-text", "focus-text-2", "grid-coordinate", "identify-shape", "unicode-test"),
)
SEEDS = (0, 1, 2)
"""Episodes of each task."""
_MOST_PARTS = 40
_START = """(seed) => {
  Math.seedrandom(seed);
  core.startEpisodeReal();
  return document.querySelector("#query").textContent;
}"""
_PARTS = """() => [...document.querySelectorAll("#area *, .ui-dialog *")].map((part) => {
  const box = part.getBoundingClientRect();
  return [box.left, box.top, box.right, box.bottom];
})"""
_REWARD = "() => WOB_DONE_GLOBAL ? WOB_RAW_REWARD_GLOBAL : 0"


def screens(real: Sequence[Path]) -> Iterator[Screen]:
    """Up to three episodes of each task.

    Args:
        real: folders of real data.

    Raises:
        EvalError: MiniWoB++ is missing.
        ScreenUnavailable: there is no browser, or a page does not load.
    """
    folder = find_pages(real)
    with Browser(VIEWPORT, scale=SCALE) as browser:
        for name in TASKS:
            for seed in SEEDS:
                screen = episode(browser, folder / "miniwob" / f"{name}.html", seed)
                if screen is not None:
                    yield screen


def find_pages(real: Sequence[Path]) -> Path:
    """The folder of MiniWoB++ in folders of real data.

    Raises:
        EvalError: it is missing.
    """
    folder = next((root / "miniwob" for root in real if (root / "miniwob").is_dir()), None)
    if folder is None:
        raise EvalError(
            f"{', '.join(map(str, real))} has no miniwob",
            hint="python scripts/fetch_real_data.py DIR miniwob",
        )
    return folder


def episode(browser: Browser, page: Path, seed: int) -> Screen | None:
    """One episode with its gold box; None if no click is rewarded, or clicks on disjoint elements are."""
    browser.open(page)
    instruction = " ".join(str(browser.evaluate(_START, seed)).split())
    picture = browser.screenshot()
    parts = sorted({_box(each) for each in browser.evaluate(_PARTS)}, key=_area)
    parts = [part for part in parts if _is_clickable(part)][:_MOST_PARTS]
    rewarded = [part for part in parts if _is_rewarded(browser, part, seed)]
    if not rewarded or any(iou(rewarded[0], other) == 0 for other in rewarded):
        return None
    target = Target(instruction=instruction, box=rewarded[0], kind="text")
    return Screen(name=f"{page.stem}-{seed}", source="miniwob", picture=picture, targets=(target,))


def _is_rewarded(browser: Browser, part: Box, seed: int) -> bool:
    browser.evaluate(_START, seed)
    browser.click(part.center)
    return float(browser.evaluate(_REWARD)) > 0


def _box(corners: Sequence[float]) -> Box:
    return Box(*(SCALE * value for value in corners))


def _area(box: Box) -> tuple[float, float, float]:
    return box.area, box.y1, box.x1


def _is_clickable(box: Box) -> bool:
    """Whether an element is large enough and its centre is on the screen."""
    middle, least = box.center, 4 * SCALE
    is_inside = 0 <= middle.x < VIEWPORT.width * SCALE and 0 <= middle.y < VIEWPORT.height * SCALE
    return min(box.width, box.height) >= least and is_inside
