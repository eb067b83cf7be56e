# SPDX-License-Identifier: Apache-2.0
"""One step on a screen, in pixels of the screenshot, and its form as arguments of a tool call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from finesight.geometry import Point
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


def scrolled(start: Sequence[float], end: Sequence[float]) -> str:
    """Where a swipe scrolls to: a finger that goes up shows what is further down."""
    across, down = end[0] - start[0], end[1] - start[1]
    if abs(across) > abs(down):
        return "left" if across > 0 else "right"
    return "up" if down > 0 else "down"


def _scaled(point: Point | None, scale: tuple[float, float]) -> Point | None:
    return None if point is None else Point(point.x * scale[0], point.y * scale[1])


def _without_zero(seconds: float | None) -> float | None:
    """A whole number of seconds as an integer: models say 2, and not 2.0."""
    return int(seconds) if seconds is not None and float(seconds).is_integer() else seconds


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
