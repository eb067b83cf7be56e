# SPDX-License-Identifier: Apache-2.0
"""MiniWoB++ pages as an environment: seeded, without time limit, scored by their own code.

A page draws its problem with `Math.random` and gives its reward by `core.endEpisode`. Here its random numbers are
seeded, its time limit is raised beyond any episode, and the raw reward is read, without the reduction for time.

Source: Liu et al., "Reinforcement Learning on Web Interfaces using Workflow-Guided Exploration", ICLR 2018, and the
code of the pages themselves (PyPI `miniwob` 1.1.0): a raw reward above 0 is success.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.browser.browser import Browser
from finesight.elements import ScreenElement
from finesight.errors import EvalError, ScreenUnavailable
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act, ToolName
from finesight.screen.environment import Observation, Outcome
from finesight.screen.web import Mouse

ASSETS = Path(__file__).parents[2] / "assets" / "miniwob"
SOLUTIONS = ASSETS / "solutions.js"
VIEWPORT = Size(500, 320)
"""Size of the window; the layout of some pages depends on it."""
SHOWN = Size(160, 210)
"""The task area, in the upper left corner of every page."""

_FARTHEST_MILLISECONDS = 2**31 - 1
"""Maximum delay of a browser timer."""

_START = """([seed, limit]) => {
  core.EPISODE_MAX_TIME = limit;
  Math.seedrandom(seed);
  core.startEpisodeReal();
}"""
_FONT = """() => {
  const context = document.createElement("canvas").getContext("2d");
  context.font = "10px Arial";
  return context.measureText("Select Wave and click Submit.").width;
}"""
_IS_OVER = "() => WOB_DONE_GLOBAL"
_INSTRUCTION = "() => { const said = core.getUtterance(); return said.utterance ?? said; }"
_REWARD = (
    "() => ({done: WOB_DONE_GLOBAL, raw_reward: WOB_RAW_REWARD_GLOBAL, reason: WOB_REWARD_REASON})"
)
_PROBE = """(selector) => {
  const end = core.endEpisode, right = [];
  try {
    for (const candidate of document.querySelectorAll(selector)) {
      let paid = 0;
      core.endEpisode = (reward) => { paid = reward; };
      candidate.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, view: window}));
      if (paid > 0) right.push(candidate);
    }
  } finally {
    core.endEpisode = end;
  }
  return right.map((each) => {
    const box = each.getBoundingClientRect();
    return [box.left, box.top, box.right, box.bottom];
  });
}"""
"""Boxes of the elements whose click is rewarded; each is clicked while `core.endEpisode` is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One task.

    Attributes:
        name: of its file.
        family: click, look, select, form or drag.
        probe: CSS selector of clickable elements, on pages that one click decides and without other effects of a click;
            the rewarded elements are found by probing them.
        is_single: whether one click decides; without `probe`, the scripted solution gives its boxes.
    """

    name: str
    family: str
    probe: str = ""
    is_single: bool = False

    @property
    def has_target(self) -> bool:
        """Whether the element of the first click is known."""
        return bool(self.probe) or self.is_single


def read_pages(path: Path = ASSETS / "pages.toml") -> dict[str, Page]:
    """Pages by name, in the order of the file."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))["page"]
    return {each["name"]: Page(**each) for each in listed}


def pages_folder(folder: Path) -> Path:
    """The folder of the pages, searched in an unpacked wheel or its `html`.

    Raises:
        EvalError: there are no pages.
    """
    for below in ("miniwob", "html/miniwob", "miniwob/html/miniwob", "."):
        if any((folder / below).glob("click-*.html")):
            return folder / below
    raise EvalError(
        f"{folder} holds no pages of MiniWoB++",
        hint="unpack the wheel `miniwob` 1.1.0 and give its folder miniwob/html",
    )


class MiniWob:
    """Pages in a browser, which is started when needed and restarted after a crash.

    Args:
        folder: as in `pages_folder`.
        scale: pixels of a screenshot per pixel of the page.
        pages: by name; None takes those of `pages.toml`.
        solutions: file of scripted solutions; None takes `solutions.js`.
    """

    tool: ToolName = "computer_use"

    def __init__(
        self,
        folder: Path,
        *,
        scale: float = 2.0,
        pages: Mapping[str, Page] | None = None,
        solutions: Path | None = None,
    ) -> None:
        self._folder = pages_folder(folder)
        self._scale = scale
        self._screen = Size(round(SHOWN.width * scale), round(SHOWN.height * scale))
        self._pages = read_pages() if pages is None else pages
        self._solutions = (solutions or SOLUTIONS).read_text(encoding="utf-8")
        self._browser: Browser | None = None
        self._mouse: Mouse | None = None
        self._page: Page | None = None
        self._right: tuple[Box, ...] = ()

    @property
    def screen(self) -> Size:
        """Size of a screenshot."""
        return self._screen

    @property
    def facts(self) -> Mapping[str, Any]:
        """Browser version, scale, digest of the pages' common code, and the width of a text in their font.

        The pages use Arial or its replacement on this machine.
        """
        core = sorted(self._folder.parent.glob("core/core*"))
        shared = hashlib.sha256(b"".join(each.read_bytes() for each in core)).hexdigest()
        browser = self._open()
        return {
            "environment": "miniwob",
            "browser": browser.version,
            "scale": self._scale,
            "core": shared,
            "font_width": browser.evaluate(_FONT),
        }

    def reset(self, config: Mapping[str, Any]) -> Observation:
        """Open a page and draw its problem from a seed.

        Args:
            config: `page`, and `seed`, an integer.

        Raises:
            EvalError: the page is unknown.
            ScreenUnavailable: it does not load.
        """
        name, seed = str(config["page"]), int(config["seed"])
        if name not in self._pages:
            raise EvalError(f"unknown page {name!r}; there are {', '.join(self._pages)}")
        browser = self._open()
        # the position of the mouse must not depend on the previous episode
        browser.move(Point(browser.size.width - 1, browser.size.height - 1))
        browser.open(self._folder / f"{name}.html")
        browser.evaluate(_START, [f"finesight {name} {seed}", _FARTHEST_MILLISECONDS])
        browser.evaluate(self._solutions)
        self._mouse, self._page = Mouse(browser, self._screen), self._pages[name]
        self._right = self._targets(browser, self._page)
        return self._observed(self._right)

    def observe(self) -> Observation:
        """The page as it is now."""
        return self._observed(())

    def act(self, act: Act) -> None:
        """Execute an action of `computer_use`."""
        if self._mouse is None:
            raise ScreenUnavailable("no task is set up: reset comes first")
        self._mouse.carry_out(act)

    def evaluate(self) -> Outcome:
        """1 if the raw reward is positive, otherwise 0; facts hold the raw reward and its reason."""
        found = self._playing().evaluate(_REWARD)
        is_rewarded = bool(found["done"]) and found["raw_reward"] > 0
        return Outcome(score=float(is_rewarded), facts=found)

    def elements(self) -> list[ScreenElement]:
        """Elements in the task area."""
        shown = self._playing().elements()
        return [each for each in shown if _is_inside(each.box.center, self._screen)]

    def element_at(self, point: Point) -> ScreenElement | None:
        """The control at a point."""
        return self._playing().control_at(point)

    def focused(self) -> ScreenElement | None:
        """The control with the focus."""
        return self._playing().focused()

    def solution(self) -> Act:
        """The next action of the scripted solution.

        Raises:
            EvalError: this page has no scripted solution.
        """
        if self._right:
            return Act(kind="left_click", point=self._right[0].center)
        found = self._solved()
        if "at" in found:
            x, y = (number * self._scale for number in found["at"])
            return Act(kind=found["kind"], point=Point(x, y))
        return Act(kind=found["kind"], text=found.get("text"), keys=tuple(found.get("keys", ())))

    def close(self) -> None:
        """End the browser."""
        if self._browser is not None:
            self._browser.close()
            self._browser = None

    def _solved(self) -> dict[str, Any]:
        page = "" if self._page is None else self._page.name
        found = self._playing().evaluate("(page) => finesightSolve(page)", page)
        if not isinstance(found, dict):
            raise EvalError(f"page {page!r} has no scripted solution")
        return found

    def _targets(self, browser: Browser, page: Page) -> tuple[Box, ...]:
        if not page.has_target:
            return ()
        found = browser.evaluate(_PROBE, page.probe) if page.probe else self._solved()["boxes"]
        if not found:
            raise EvalError(f"page {page.name}: no element is found whose click is rewarded")
        return tuple(Box(*(side * self._scale for side in box)) for box in found)

    def _observed(self, targets: tuple[Box, ...]) -> Observation:
        browser = self._playing()
        return Observation(
            screenshot=browser.screenshot().crop((0, 0, self._screen.width, self._screen.height)),
            instruction=str(browser.evaluate(_INSTRUCTION)),
            is_over=bool(browser.evaluate(_IS_OVER)),
            targets=targets,
        )

    def _playing(self) -> Browser:
        """The browser with the current episode; a crashed browser is an error."""
        if self._browser is None or not self._browser.is_open or self._page is None:
            raise ScreenUnavailable("no task is set up: reset comes first")
        return self._browser

    def _open(self) -> Browser:
        if self._browser is None or not self._browser.is_open:
            self._browser = Browser(VIEWPORT, scale=self._scale)
        return self._browser


def _is_inside(point: Point, size: Size) -> bool:
    return point.x < size.width and point.y < size.height
