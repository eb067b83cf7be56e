# SPDX-License-Identifier: Apache-2.0
"""Protocols of screens, which are observed and acted on, and of environments, which set tasks and score them.

`Screen` is what an agent works on: a web page, a desktop, a phone. `Environment` is what a benchmark plays.

    Screen:       observe -> (act -> observe) ...
    Environment:  config -> reset -> (observe -> act) ... -> evaluate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL.Image import Image

from finesight.elements import ScreenElement
from finesight.geometry import Box, Point
from finesight.screen.act import Act, ToolName


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """State of the screen.

    Attributes:
        screenshot: of the whole screen.
        instruction: the task in words; empty if the screen itself sets none.
        is_over: whether the environment has ended the episode.
        targets: boxes in screenshot pixels, one of which has to be clicked first; empty if unknown.
        place: URL of the page, title of the active window, or package and activity of the app.
        notices: what happened since the last observation and is not in the picture, such as a dialog that was
            dismissed; written by this program, with quoted text of the screen.
    """

    screenshot: Image
    instruction: str = ""
    is_over: bool = False
    targets: tuple[Box, ...] = ()
    place: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of an episode.

    Attributes:
        score: from 0 (failure) to 1 (success); between them for partial success.
        facts: other information of the environment, as JSON values.
    """

    score: float
    facts: Mapping[str, Any] = field(default_factory=dict)


class Screen(Protocol):
    """A screen that an agent works on.

    The elements are for checks by code: how risky a step is, and what it changed. A screen without an accessibility
    tree lists none. Every method raises `ScreenUnavailable` if the screen is gone.
    """

    @property
    def tool(self) -> ToolName:
        """The tool that defines its actions."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Versions, sizes and other facts, as JSON values; stored with a trace."""

    def observe(self) -> Observation:
        """Observe the screen once it has settled, see `finesight.screen.effect.settled`."""

    def act(self, act: Act) -> None:
        """Perform one step; `terminate` does nothing.

        Raises:
            ActionRefused: the step is not possible, such as a click outside the screen; the episode continues.
        """

    def elements(self) -> list[ScreenElement]:
        """Visible elements in the order of the tree; empty if the screen has no accessibility tree."""

    def element_at(self, point: Point) -> ScreenElement | None:
        """The control at a point, with all its traits; None if there is none or it is not known."""

    def focused(self) -> ScreenElement | None:
        """The control that gets the keys; None if there is none or it is not known."""

    def close(self) -> None:
        """Release all resources."""


class Environment(Protocol):
    """A screen with tasks.

    Every method raises a `FinesightError` if the environment fails; the episode then has no score.
    """

    @property
    def tool(self) -> ToolName:
        """The tool that defines its actions."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Versions, sizes and other facts that affect scores; stored with the settings of a run."""

    def reset(self, config: Mapping[str, Any]) -> Observation:
        """Set up the screen for a task and observe it."""

    def observe(self) -> Observation:
        """Observe the current screen."""

    def act(self, act: Act) -> None:
        """Perform one step; also called with `terminate`, which does not change the screen.

        Raises:
            ActionRefused: the step is not possible, such as a click outside the screen; the episode continues.
        """

    def evaluate(self) -> Outcome:
        """Score the episode by the rules of its benchmark."""

    def close(self) -> None:
        """Release all resources."""
