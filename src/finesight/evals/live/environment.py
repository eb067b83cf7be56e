# SPDX-License-Identifier: Apache-2.0
"""What an environment is: a screen that is set up for a task, looked at, acted on, and asked how it went.

Web pages, virtual computers and telephones all fit it, and `finesight.evals.live.play` drives them with one loop.

    config -> reset -> (observe -> act) ... -> evaluate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

from PIL.Image import Image

from finesight.geometry import Box, Point
from finesight.parse.action import Action

ToolName = Literal["computer_use", "mobile_use"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One step on a screen; places are in pixels of the screenshot.

    Attributes:
        kind: what to do, in the words of the tool.
        point: where.
        point2: where a swipe ends.
        text: what to type, the app to open, the key event of a telephone, or the answer to a question.
        keys: keys to press together.
        pixels: how far to scroll; up is positive.
        seconds: how long to wait or to press.
        button: of a telephone's system.
        status: "success" or "failure", of the task as a whole.
    """

    kind: str
    point: Point | None = None
    point2: Point | None = None
    text: str | None = None
    keys: tuple[str, ...] = ()
    pixels: float | None = None
    seconds: float | None = None
    button: str | None = None
    status: str | None = None

    @classmethod
    def placed(cls, action: Action, scale: tuple[float, float]) -> Act:
        """What a model said, brought to the screenshot.

        Args:
            action: with places in the numbers that the model uses.
            scale: pixels of the screenshot per such number, across and down.
        """
        return cls(
            kind=action.kind,
            point=_scaled(action.point_resized, scale),
            point2=_scaled(action.point2_resized, scale),
            text=action.text,
            keys=action.keys,
            pixels=None if action.pixels is None else action.pixels * scale[1],
            seconds=action.seconds,
            button=action.button,
            status=action.status,
        )

    def arguments(self, scale: tuple[float, float]) -> dict[str, Any]:
        """Arguments of the tool's call for this step, with places in whole numbers as the model uses them.

        Args:
            scale: pixels of the screenshot per number of the model, across and down.
        """
        said: dict[str, Any] = {"action": self.kind}
        for name, point in (("coordinate", self.point), ("coordinate2", self.point2)):
            if point is not None:
                said[name] = [round(point.x / scale[0]), round(point.y / scale[1])]
        pixels = None if self.pixels is None else round(self.pixels / scale[1])
        rest = (
            ("text", self.text),
            ("keys", list(self.keys) or None),
            ("pixels", pixels),
            ("time", _without_zero(self.seconds)),
            ("button", self.button),
            ("status", self.status),
        )
        return said | {name: value for name, value in rest if value is not None}

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not there is left out."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: [value.x, value.y] if isinstance(value, Point) else _plain(value)
            for name, value in values.items()
            if value is not None and value != ()
        }


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


def _scaled(point: Point | None, scale: tuple[float, float]) -> Point | None:
    return None if point is None else Point(point.x * scale[0], point.y * scale[1])


def _without_zero(seconds: float | None) -> float | None:
    """A whole number of seconds as an integer: models say 2, and not 2.0."""
    return int(seconds) if seconds is not None and float(seconds).is_integer() else seconds


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
