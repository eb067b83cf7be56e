# SPDX-License-Identifier: Apache-2.0
"""Compare a model's steps with those of a trace, on its recorded screens and without a live one.

Each step is asked for by itself, after the recorded earlier ones, so that one difference does not change what follows.
Two steps are equal if their actions are, and: their points lie in the same control, their texts and keys are the same,
and they scroll or swipe in the same direction. Points without a known control may differ by 14 % of the screen's width
and height, the limit of AndroidControl (Li et al., 2024).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import TypeAdapter

from finesight.apps.agent.records import AgentOptions, Step
from finesight.apps.agent.replay import act_of, read_trace
from finesight.apps.agent.turn import Asker, Turn
from finesight.errors import AppError, FinesightError
from finesight.geometry import Box, Point, Size
from finesight.responder import Responder
from finesight.screen.act import Act, scrolled
from finesight.screen.history import call_as_json

__all__ = ["ComparedStep", "Comparison", "compare", "difference", "goal_and_options"]

_REACH = 0.14
_OPTIONS = TypeAdapter(AgentOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStep:
    """A recorded step beside that of a model.

    Attributes:
        n: number of the recorded step.
        recorded: its act.
        proposed: the model's; None if its answer names none.
        is_same_kind: whether the actions are the same.
        is_same: whether the steps are equal.
        reason: what differs, or why nothing was compared.
        is_compared: False if the trace or the model had nothing to compare.
        reply: what the model wrote.
    """

    n: int
    recorded: Mapping[str, Any] | None
    proposed: Mapping[str, Any] | None = None
    is_same_kind: bool = False
    is_same: bool = False
    reason: str = ""
    is_compared: bool = True
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All steps of a trace beside those of a model."""

    steps: tuple[ComparedStep, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the shares of equal steps and equal actions among the compared ones."""
        compared = [step for step in self.steps if step.is_compared]
        total = len(compared)
        num_same = sum(step.is_same for step in compared)
        num_kinds = sum(step.is_same_kind for step in compared)
        return {
            "num_compared": total,
            "num_same": num_same,
            "num_same_kind": num_kinds,
            "same": num_same / total if total else None,
            "same_kind": num_kinds / total if total else None,
            "num_not_compared": len(self.steps) - total,
            "steps": [asdict(step) for step in self.steps],
        }


def compare(
    source: Path,
    responder: Responder,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    max_new_tokens: int | None = None,
    on_step: Callable[[ComparedStep], None] = lambda step: None,
) -> Comparison:
    """Ask a model for each step of a trace.

    Args:
        source: folder of the trace; it is not changed.
        responder: answers.
        min_pixels: least area of a screen for the model; None takes that of the trace.
        max_pixels: likewise the largest.
        max_new_tokens: likewise of an answer.
        on_step: called with each step.

    Raises:
        ConfigError: the folder holds no trace.
        AppError: the trace is damaged, or no step could be compared.
    """
    meta, steps = read_trace(source)
    goal, options = goal_and_options(source, meta)
    options = replace(
        options,
        min_pixels=min_pixels or options.min_pixels,
        max_pixels=max_pixels or options.max_pixels,
        max_new_tokens=max_new_tokens or options.max_new_tokens,
    )
    asker = Asker(responder, meta["tool"], options, source.resolve() / "screens")
    found = []
    for index, step in enumerate(steps):
        found.append(_compared(asker, goal, steps[:index], step))
        on_step(found[-1])
    if not any(step.is_compared for step in found):
        why = found[-1].reason if found else "it has no steps"
        raise AppError(f"no step of {source} could be compared: {why}")
    return Comparison(tuple(found))


def goal_and_options(source: Path, meta: Mapping[str, Any]) -> tuple[str, AgentOptions]:
    """The task and the settings of a trace; a task that the screen stated is in its result.

    Raises:
        AppError: they are not there.
    """
    try:
        options = _OPTIONS.validate_python(meta["options"])
        goal = meta["goal"] or json.loads((source / "result.json").read_bytes())["goal"]
        if not goal or meta["tool"] not in ("computer_use", "mobile_use"):
            raise ValueError(f"the task is {goal!r}, the tool {meta['tool']!r}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise AppError(
            f"the trace {source} has no task, tool or settings: {error!s:.200}"
        ) from error
    return str(goal), options


def _compared(asker: Asker, goal: str, before: Sequence[Step], step: Step) -> ComparedStep:
    if step.act is None or step.problem:
        why = f"it was not performed: {step.problem}"
        return ComparedStep(n=step.n, recorded=step.act, reason=why, is_compared=False)
    screen = asker.screens / f"{step.before}.png"
    try:
        with Image.open(screen) as picture:
            size = Size(*picture.size)
        done = [_for_model(each, asker) for each in before]
        turn = asker.next(goal, done, screen, step.remarks)
    except OSError as error:
        why = f"its screen cannot be read: {error}"
        return ComparedStep(n=step.n, recorded=step.act, reason=why, is_compared=False)
    except FinesightError as error:
        why = f"no answer came: {error.message}"
        return ComparedStep(n=step.n, recorded=step.act, reason=why, is_compared=False)
    return _beside(step, turn, size)


def _for_model(step: Step, asker: Asker) -> Step:
    """An earlier step with its coordinates for the size at which this model sees its screen."""
    path = asker.screens / f"{step.before}.png"
    if not step.call or step.act is None or not step.shown or "action" not in step.call:
        return step
    with Image.open(path) as picture:
        size = Size(*picture.size)
    seen = asker.resized.get(size)
    if seen is None or step.shown[0] == (seen.width, seen.height):
        return step
    scale = (size.width / seen.width, size.height / seen.height)
    return replace(step, call=call_as_json(asker.tool, act_of(step.act).arguments(scale)))


def _beside(step: Step, turn: Turn, size: Size) -> ComparedStep:
    assert step.act is not None
    reply = turn.replies[-1]
    if turn.act is None:
        return ComparedStep(n=step.n, recorded=step.act, reason=turn.problem, reply=reply)
    recorded = act_of(step.act)
    box = None if step.element is None else Box(*step.element["box"])
    why = difference(recorded, turn.act, box, size)
    return ComparedStep(
        n=step.n,
        recorded=step.act,
        proposed=turn.act.as_json(),
        is_same_kind=recorded.kind == turn.act.kind,
        is_same=not why,
        reason=why,
        reply=reply,
    )


def difference(recorded: Act, proposed: Act, box: Box | None, size: Size) -> str:
    """What differs between two steps, in words; empty if nothing does.

    Args:
        recorded: the step of the trace.
        proposed: the step of the model.
        box: of the control that the recorded step used: that of its last point.
        size: of the screen.
    """
    if recorded.kind != proposed.kind:
        return f"the action is {proposed.kind}, not {recorded.kind}"
    if recorded.kind == "swipe":
        ways = [_way(each) for each in (recorded, proposed)]
        return "" if ways[0] == ways[1] else f"it swipes {ways[1]}, not {ways[0]}"
    for name in ("text", "keys", "button", "status"):
        one, other = (_plain(getattr(each, name)) for each in (recorded, proposed))
        if one != other:
            return f"{name} is {other!r:.80}, not {one!r:.80}"
    if (recorded.pixels or 0) * (proposed.pixels or 0) < 0:
        return "it scrolls in the other direction"
    last = "point2" if recorded.point2 is not None else "point"
    for name in ("point", "point2"):
        one, other = getattr(recorded, name), getattr(proposed, name)
        if one is not None and not _is_same_place(one, other, box if name == last else None, size):
            return f"{name} is {_numbers(other)}, not at {_numbers(one)}"
    return ""


def _is_same_place(one: Point, other: Point | None, box: Box | None, size: Size) -> bool:
    if other is None:
        return False
    if box is not None and box.contains(one):
        return box.contains(other)
    return abs(one.x - other.x) <= _REACH * size.width and abs(one.y - other.y) <= _REACH * size.height  # fmt: skip


def _way(act: Act) -> str:
    if act.point is None or act.point2 is None:
        return "nowhere"
    return scrolled((act.point.x, act.point.y), (act.point2.x, act.point2.y))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(str(each).casefold() for each in value)
    return " ".join(value.split()) if isinstance(value, str) else value


def _numbers(point: Point | None) -> str:
    return "nowhere" if point is None else f"({point.x:.0f}, {point.y:.0f})"
