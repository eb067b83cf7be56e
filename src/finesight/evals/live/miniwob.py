# SPDX-License-Identifier: Apache-2.0
"""MiniWoB++ pages as an environment: seeded, without a clock, scored by their own code.

A page draws its problem from `Math.random` and pays by `core.endEpisode`. Here its random numbers are seeded, its time
limit is put so far away that time decides nothing, and what it paid is read before it is reduced for the time taken.

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
from finesight.errors import EvalError, ScreenUnavailable
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act, ToolName
from finesight.screen.environment import Observation, Outcome
from finesight.screen.web import Mouse

ASSETS = Path(__file__).parents[2] / "assets" / "miniwob"
SOLUTIONS = ASSETS / "solutions.js"
VIEWPORT = Size(500, 320)
"""Of the window: some pages place their parts by its width."""
SHOWN = Size(160, 210)
"""The task's part of every page, in its upper left corner; counters stand beside it."""

_FARTHEST_MILLISECONDS = 2**31 - 1
"""A browser's timers know nothing longer."""

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
"""Boxes of those elements whose click pays: each is clicked while the page's paying is held back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One task.

    Attributes:
        name: of its file.
        family: click, look, select, form or drag.
        probe: CSS selector of what can be clicked, on pages that one click decides and that a click changes in
            nothing else: there the right element is found by asking the page.
        is_single: whether one click decides; without `probe`, the page's solution says which.
    """

    name: str
    family: str
    probe: str = ""
    is_single: bool = False

    @property
    def has_target(self) -> bool:
        """Whether it is known which element must be clicked first."""
        return bool(self.probe) or self.is_single


def read_pages(path: Path = ASSETS / "pages.toml") -> dict[str, Page]:
    """Pages by name, in the order of the file."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))["page"]
    return {each["name"]: Page(**each) for each in listed}


def pages_folder(folder: Path) -> Path:
    """The folder of the pages in an unpacked wheel, its `html`, or that folder itself.

    Raises:
        EvalError: there is none.
    """
    for below in ("miniwob", "html/miniwob", "miniwob/html/miniwob", "."):
        if any((folder / below).glob("click-*.html")):
            return folder / below
    raise EvalError(
        f"{folder} holds no pages of MiniWoB++",
        hint="unpack the wheel `miniwob` 1.1.0 and give its folder miniwob/html",
    )


class MiniWob:
    """Pages in a browser, which is started when it is first needed and again if it breaks.

    Args:
        folder: as in `pages_folder`.
        scale: pixels of a screenshot per pixel of the page.
        pages: what is known of each page; None takes ours.
        solutions: file of scripted solutions; None takes ours.
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
        """Browser, scale, a digest of the pages' common code, and how wide their font runs here.

        The pages ask for Arial and take what the machine has in its place.
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
            EvalError: the page is not known.
            ScreenUnavailable: it does not load.
        """
        name, seed = str(config["page"]), int(config["seed"])
        if name not in self._pages:
            raise EvalError(f"page {name!r} is none of {', '.join(self._pages)}")
        browser = self._open()
        # away from the page's parts: what the mouse rests on must not depend on the episode before
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
        """Carry out a step of `computer_use`."""
        if self._mouse is None:
            raise ScreenUnavailable("no task is set up: reset comes first")
        self._mouse.carry_out(act)

    def evaluate(self) -> Outcome:
        """1 where the page paid more than nothing; its raw reward and its reason are among the facts."""
        found = self._playing().evaluate(_REWARD)
        paid = bool(found["done"]) and found["raw_reward"] > 0
        return Outcome(score=float(paid), facts=found)

    def solution(self) -> Act:
        """The next step of someone who reads the page's source.

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
            raise EvalError(f"page {page.name}: no element is found whose click it pays")
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
        """The browser with an episode in it: one that broke must not go on as an empty page."""
        if self._browser is None or not self._browser.is_open or self._page is None:
            raise ScreenUnavailable("no task is set up: reset comes first")
        return self._browser

    def _open(self) -> Browser:
        if self._browser is None or not self._browser.is_open:
            self._browser = Browser(VIEWPORT, scale=self._scale)
        return self._browser
