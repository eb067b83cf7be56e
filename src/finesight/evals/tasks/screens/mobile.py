# SPDX-License-Identifier: Apache-2.0
"""Steps on phones: one format for the actions of data sets and models, prompts, and the score.

A step is a JSON object with `kind` (click, long_press, scroll, type, open, home, back, enter, wait, done, impossible),
and depending on it `point` in pixels of the original, the `direction` to scroll to, or `text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import dist
from typing import Any

from finesight.errors import ParseError
from finesight.evals.core.task import Answered, Extractor, Scored
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.tasks.shared.aggregates import average, mean, part
from finesight.evals.tasks.shared.questions import Piece, Question
from finesight.geometry import Size
from finesight.parse.action import Action, read_action, read_tool_calls
from finesight.screen.act import scrolled
from finesight.screen.history import call_as_json, call_in_words, progress
from finesight.text.chat_template import dump_json

Step = dict[str, Any]
NEAR = 0.14
"""Largest distance of a correct click without a known element, in fractions of the screen."""
_BUTTONS = {"Home": "home", "Back": "back", "Enter": "enter", "Menu": "menu"}
_SWIPES = {"up": (0.5, 0.3, 0.5, 0.7), "down": (0.5, 0.7, 0.5, 0.3)}
_SWIPES |= {"left": (0.3, 0.5, 0.7, 0.5), "right": (0.7, 0.5, 0.3, 0.5)}
"""Direction to scroll to -> start and end of the swipe, in fractions of the screen."""
GROUNDED = ("click", "long_press")


def _read_step(answered: Answered) -> Step | None:
    """The first call of `mobile_use` as a step; None if there is none or it is invalid."""
    calls = read_tool_calls(answered.text).calls
    if not calls or not answered.frames:
        return None
    try:
        return _as_step(read_action(calls[0]), answered.frames[0].scales())
    except ParseError:
        return None


def _as_step(action: Action, scale: tuple[float, float]) -> Step | None:
    ends = [
        [point.x * scale[0], point.y * scale[1]]
        for point in (action.point_resized, action.point2_resized)
        if point is not None
    ]
    if action.kind in GROUNDED and ends:
        return {"kind": action.kind, "point": ends[0]}
    if action.kind == "swipe" and len(ends) == 2:
        return {"kind": "scroll", "direction": scrolled(*ends)}
    if action.kind in ("type", "open"):
        return {"kind": action.kind, "text": action.text or ""}
    if action.kind == "system_button":
        return {"kind": _BUTTONS.get(action.button or "", "none")}
    if action.kind == "terminate":
        return {"kind": "done" if action.status == "success" else "impossible"}
    return {"kind": action.kind}


READ_STEP = Extractor("mobile-use-step", "4", _read_step, is_placed=True)


def in_words(step: Step, width: float, height: float) -> str:
    """A step as a call of `mobile_use` on a screen of this size."""
    return call_in_words("mobile_use", arguments(step, width, height))


def arguments(step: Step, width: float, height: float) -> dict[str, Any]:
    """Arguments of the call of a step; points are in pixels of the screen."""
    kind = step["kind"]
    if kind == "click":
        return {"action": "click", "coordinate": step["point"]}
    if kind == "long_press":
        return {"action": "long_press", "coordinate": step["point"], "time": 2}
    if kind == "scroll":
        x1, y1, x2, y2 = _SWIPES[step["direction"]]
        start, end = [x1 * width, y1 * height], [x2 * width, y2 * height]
        return {"action": "swipe", "coordinate": start, "coordinate2": end}
    if kind in ("type", "open"):
        return {"action": kind, "text": step["text"]}
    if kind in ("done", "impossible"):
        return {"action": "terminate", "status": "success" if kind == "done" else "failure"}
    if kind == "wait":
        return {"action": "wait", "time": 2}
    return {"action": "system_button", "button": kind.capitalize()}


def ask(asked: Question, size: Size) -> list[Piece]:
    """Goal and previous steps, then the current screen; earlier screens are not shown.

    A step is written as its whole call, with points in pixels of the resized screen. The last of the truth's
    `instructions`, if any, is that of the current step.
    """
    return _asked(asked, [call_as_json("mobile_use", each) for each in _done(asked, size)])


def ask_with_arguments(asked: Question, size: Size) -> list[Piece]:
    """As `ask`, but a step is written as the arguments of its call."""
    return _asked(asked, [dump_json(each) for each in _done(asked, size)])


def ask_with_instructions(asked: Question, size: Size) -> list[Piece]:
    """As `ask`, but a step is written as its instruction."""
    del size
    return _asked(asked, asked.truth["instructions"][:-1])


def _asked(asked: Question, steps: Sequence[str]) -> list[Piece]:
    instructions = asked.truth.get("instructions")
    now = instructions[-1] if instructions else None
    return [progress(asked.text, steps, instruction=now), *asked.media]


def _done(asked: Question, size: Size) -> list[dict[str, Any]]:
    """Arguments of the previous calls on the resized screen."""
    width, height = asked.truth["screen"]
    scale = (size.width / width, size.height / height)
    return [_resized(step, scale, size) for step in asked.truth["history"]]


def _resized(step: Step, scale: tuple[float, float], size: Size) -> dict[str, Any]:
    """Arguments of a step with points in whole pixels of the resized screen."""
    if "point" in step:
        step = {**step, "point": [step["point"][0] * scale[0], step["point"][1] * scale[1]]}
    return {
        name: [round(number) for number in value] if isinstance(value, list) else value
        for name, value in arguments(step, size.width, size.height).items()
    }


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Whether the kind of the step is correct, and whether the whole step is."""
    step: Mapping[str, Any] = truth["step"]
    same_kind = isinstance(parsed, Mapping) and parsed.get("kind") == step["kind"]
    return {"type": float(same_kind), "exact": float(same_kind and _same(parsed, truth))}


def _same(pred: Mapping[str, Any], truth: Mapping[str, Any]) -> bool:
    step: Mapping[str, Any] = truth["step"]
    if step["kind"] in GROUNDED:
        return reaches(pred["point"], step["point"], truth["elements"], truth["screen"])
    if step["kind"] == "open":
        return str(pred["text"]).strip().lower() == str(step["text"]).strip().lower()
    return all(pred.get(key) == step.get(key) for key in ("text", "direction"))


def reaches(
    pred: Sequence[float],
    gold: Sequence[float],
    elements: Sequence[Sequence[float]],
    screen: Sequence[float],
) -> bool:
    """Whether `pred` is in the smallest element around `gold`, or within `NEAR` if there is no such element."""
    around = [box for box in elements if point_in_box(gold, box)]
    if around:
        smallest = min(around, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        return point_in_box(pred, smallest)
    shares = [[point[0] / screen[0], point[1] / screen[1]] for point in (pred, gold)]
    return dist(*shares) <= NEAR


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Exact steps, correct kinds, and exact steps among those with a point."""
    placed = [one for one in scored if one.item.tags["kind"] in GROUNDED]
    return {
        **average("exact", name="exact", by=("kind",))(scored),
        **average("type", name="type")(scored),
        "grounding": mean(part(one, "exact") for one in placed),
    }
