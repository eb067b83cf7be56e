# SPDX-License-Identifier: Apache-2.0
"""What an environment is: a screen that is set up for a task, looked at, acted on, and asked how it went.

Web pages, virtual computers and telephones all fit it, and `finesight.evals.live.play` drives them with one loop.

    config -> reset -> (observe -> act) ... -> evaluate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL.Image import Image

from finesight.geometry import Box
from finesight.screen.act import Act, ToolName


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is to be seen.

    Attributes:
        screenshot: of the whole screen.
        instruction: the task in words.
        is_over: whether the environment ended the episode by itself.
        targets: boxes of which one has to be clicked first, in pixels of the screenshot; empty where that is not known.
    """

    screenshot: Image
    instruction: str
    is_over: bool = False
    targets: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an episode went.

    Attributes:
        score: 0 for failure, 1 for success, between them where a task has parts.
        facts: what the environment says besides, in plain JSON values.
    """

    score: float
    facts: Mapping[str, Any] = field(default_factory=dict)


class Environment(Protocol):
    """A screen with tasks.

    Every method raises a `FinesightError` where the environment itself fails; the episode then has no score.
    """

    @property
    def tool(self) -> ToolName:
        """The tool that its actions belong to."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What decides its scores besides the task: versions, sizes; kept with the settings of a run."""

    def reset(self, config: Mapping[str, Any]) -> Observation:
        """Set the screen up for a task and show it."""

    def observe(self) -> Observation:
        """Show the screen as it is now."""

    def act(self, act: Act) -> None:
        """Carry out one step; also told of `terminate`, which changes nothing on the screen.

        Raises:
            ActionRefused: it is not possible, such as a click outside the screen; the episode goes on.
        """

    def evaluate(self) -> Outcome:
        """Score the episode as its benchmark does."""

    def close(self) -> None:
        """Give back whatever it holds."""
