# SPDX-License-Identifier: Apache-2.0
"""Protocol of environments: a screen that is reset for a task, observed, acted on and evaluated.

Web pages, virtual computers and phones implement it; `finesight.evals.live.play` drives them with one loop.

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
    """State of the screen.

    Attributes:
        screenshot: of the whole screen.
        instruction: the task in words.
        is_over: whether the environment has ended the episode.
        targets: boxes in screenshot pixels, one of which has to be clicked first; empty if unknown.
    """

    screenshot: Image
    instruction: str
    is_over: bool = False
    targets: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of an episode.

    Attributes:
        score: from 0 (failure) to 1 (success); between them for partial success.
        facts: other information of the environment, as JSON values.
    """

    score: float
    facts: Mapping[str, Any] = field(default_factory=dict)


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
