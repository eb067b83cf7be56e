# SPDX-License-Identifier: Apache-2.0
"""One step on a screen, in screenshot pixels, and its conversion to arguments of a tool call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from finesight.geometry import Point
from finesight.parse.action import Action

ToolName = Literal["computer_use", "mobile_use"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One step on a screen; points are in screenshot pixels.

    Attributes:
        kind: the action's name in the tool.
        point: the point of the action; the start of a swipe.
        point2: the end of a swipe.
        text: the text to type, app to open, key event of a phone, or answer to a question.
        keys: keys to press together.
        pixels: scroll distance in screenshot pixels; up is positive.
        seconds: duration of a wait or a press.
        button: system button of a phone.
        status: "success" or "failure" of the whole task.
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
        """Convert a model's action to screenshot pixels.

        Args:
            action: with points in the model's coordinates.
            scale: screenshot pixels per unit of the model's coordinates, horizontally and vertically.
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
        """Arguments of the tool call for this step, with points as integers in the model's coordinates.

        Args:
            scale: screenshot pixels per unit of the model's coordinates, horizontally and vertically.
        """
        given: dict[str, Any] = {"action": self.kind}
        for name, point in (("coordinate", self.point), ("coordinate2", self.point2)):
            if point is not None:
                given[name] = [round(point.x / scale[0]), round(point.y / scale[1])]
        pixels = None if self.pixels is None else round(self.pixels / scale[1])
        rest = (
            ("text", self.text),
            ("keys", list(self.keys) or None),
            ("pixels", pixels),
            ("time", _without_zero(self.seconds)),
            ("button", self.button),
            ("status", self.status),
        )
        return given | {name: value for name, value in rest if value is not None}

    def as_json(self) -> dict[str, Any]:
        """JSON values; empty fields are left out."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: [value.x, value.y] if isinstance(value, Point) else _plain(value)
            for name, value in values.items()
            if value is not None and value != ()
        }


def scrolled(start: Sequence[float], end: Sequence[float]) -> str:
    """Scroll direction of a swipe: moving the finger up scrolls down."""
    across, down = end[0] - start[0], end[1] - start[1]
    if abs(across) > abs(down):
        return "left" if across > 0 else "right"
    return "up" if down > 0 else "down"


def _scaled(point: Point | None, scale: tuple[float, float]) -> Point | None:
    return None if point is None else Point(point.x * scale[0], point.y * scale[1])


def _without_zero(seconds: float | None) -> float | None:
    """Integral seconds as an int: models write 2, not 2.0."""
    return int(seconds) if seconds is not None and float(seconds).is_integer() else seconds


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
