# SPDX-License-Identifier: Apache-2.0
"""Next steps of recorded episodes on phones: AITZ (Android in the Zoo) and AndroidControl.

AndroidControl gives the goal alone (high level) or also the instruction of the step (low level). The maintainers'
script is known from copies only, which agree. It writes a step as the arguments of its call, where the cookbook writes
the whole call, and it has a shorter tool. Both are prompts of the benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import dist
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Item
from finesight.evals.tasks.grounding.places import numbers, size_of
from finesight.evals.tasks.screens import mobile
from finesight.evals.tasks.screens.clicks import COOKBOOK, ToolWording
from finesight.evals.tasks.screens.mobile import GROUNDED, Step
from finesight.evals.tasks.shared.build import build
from finesight.evals.tasks.shared.columns import Row, picture, read_rows, record
from finesight.evals.tasks.shared.questions import Question
from finesight.screen.act import scrolled
from finesight.screen.tools import mobile_use, mobile_use_short

AITZ_KINDS = {3: "type", 5: "back", 6: "home", 7: "enter", 10: "done", 11: "impossible"}
TOUCH = 4
TAP = 0.04
"""Longest movement of a tap, in fractions of the screen."""
CONTROL_KINDS = {
    "input_text": "type",
    "open_app": "open",
    "navigate_home": "home",
    "navigate_back": "back",
    "keyboard_enter": "enter",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStep:
    """One row of a recorded episode.

    Attributes:
        episode: id of the episode.
        number: of the step within the episode.
        goal: of the episode.
        step: the recorded action.
        shown: the screen before the action.
        elements: boxes on the screen, as corners in pixels.
        instruction: of the step; None where it is not shown.
        tags: to break scores down by, in addition to the kind of step.
    """

    episode: str
    number: str
    goal: str
    step: Step
    shown: ImagePart
    elements: Sequence[Sequence[float]]
    instruction: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def _read_steps(
    read: Callable[[Row, Path], RecordedStep], benchmark: Benchmark, folder: Path
) -> Iterator[Question | Item]:
    """Steps in the order of the rows, each with the previous steps of its episode."""
    done: dict[str, list[RecordedStep]] = {}

    def make(row: Row, below: Path) -> Question:
        found = read(row, below)
        history = done.setdefault(found.episode, [])
        asked = _question([*history, found])
        history.append(found)
        return asked

    return read_rows(benchmark, folder, make)


def _question(history: Sequence[RecordedStep]) -> Question:
    """A question for the last of these steps, given the steps before."""
    last, size = history[-1], size_of(history[-1].shown)
    instructions = [each.instruction for each in history if each.instruction is not None]
    return Question(
        id=f"{last.episode}/{last.number}",
        text=last.goal,
        truth={
            "step": last.step,
            "screen": [size.width, size.height],
            "history": [each.step for each in history[:-1]],
            "elements": list(last.elements),
            **({"instructions": instructions} if instructions else {}),
        },
        oracle=mobile.in_words(last.step, size.width, size.height),
        media=(last.shown,),
        cluster=last.episode,
        tags={"kind": last.step["kind"], **last.tags},
    )


def _values(cell: Any, count: int | None = None) -> Any:
    found = json.loads(cell) if isinstance(cell, str) else cell
    return found if count is None else numbers(found, count)


def _aitz_step(row: Row, screen: list[int]) -> Step:
    number = int(row["result_action_type"])
    if number == TOUCH:
        touch, lift = _values(row["result_touch_yx"], 2), _values(row["result_lift_yx"], 2)
        if dist(touch, lift) <= TAP:
            return {"kind": "click", "point": [touch[1] * screen[0], touch[0] * screen[1]]}
        return {"kind": "scroll", "direction": scrolled(touch[::-1], lift[::-1])}
    if number not in AITZ_KINDS:
        raise EvalError(f"action {number} is unknown")
    if AITZ_KINDS[number] == "type":
        return {"kind": "type", "text": str(row.get("result_action_text") or "")}
    return {"kind": AITZ_KINDS[number]}


def _read_aitz(row: Row, folder: Path) -> RecordedStep:
    shown = picture(row["image"], folder, folder / "test", folder.parent)
    size = size_of(shown)
    return RecordedStep(
        episode=str(row["episode_id"]),
        number=str(row["step_id"]),
        goal=row["instruction"],
        step=_aitz_step(row, [size.width, size.height]),
        shown=shown,
        elements=[
            [x, y, x + width, y + height]
            for y, x, height, width in _values(row.get("ui_positions")) or ()
        ],
        tags={"subset": str(row.get("subset") or "all")},
    )


def step_of(action: Mapping[str, Any]) -> Step:
    """An action of AndroidControl as a step.

    Raises:
        EvalError: its kind is unknown.
    """
    name = str(action["action_type"])
    kind = CONTROL_KINDS.get(name, name)
    if kind in GROUNDED:
        return {"kind": kind, "point": [float(action["x"]), float(action["y"])]}
    if kind == "scroll":
        return {"kind": kind, "direction": str(action["direction"])}
    if kind in ("type", "open"):
        return {"kind": kind, "text": str(action["app_name" if kind == "open" else "text"])}
    if kind not in ("home", "back", "enter", "wait"):
        raise EvalError(f"action {name!r} is unknown")
    return {"kind": kind}


def _read_android_control(row: Row, folder: Path, *, is_low: bool) -> RecordedStep:
    """One step of AndroidControl; the low level includes its instruction."""
    return RecordedStep(
        step=step_of(record(row["action"])),
        shown=picture(row["screenshot"], folder),
        episode=str(row["episode_id"]),
        number=str(row["step"]),
        goal=row["goal"],
        elements=[numbers(box, 4) for box in row.get("elements") or ()],
        instruction=str(row["step_instruction"]) if is_low else None,
    )


def steps(read: Callable[[Row, Path], RecordedStep], *ways: ToolWording) -> Build:
    """A benchmark of next steps with these prompts, the default first."""
    return build(
        partial(_read_steps, read),
        *ways,
        extractors=(mobile.READ_STEP,),
        score=mobile.score,
        aggregate=mobile.aggregate,
    )


CALLS = ToolWording("cookbook", COOKBOOK, mobile.ask, mobile_use)
ARGUMENTS = ToolWording(
    "arguments",
    f"{COOKBOOK}, but a step is told as the arguments of its call alone",
    mobile.ask_with_arguments,
    mobile_use,
)
SCRIPT = ToolWording(
    "maintainers-script",
    "copies of the maintainers' script for AndroidControl (QwenLM/Qwen3-VL#904)",
    mobile.ask_with_arguments,
    mobile_use_short,
)
UI_S1 = ToolWording(
    "ui-s1",
    "X-PLUG/MobileAgent, UI-S1: the step in words, and earlier steps as they were given",
    mobile.ask_with_instructions,
    mobile_use,
)
TASKS: Mapping[str, Build] = {
    "aitz": steps(_read_aitz, CALLS, ARGUMENTS),
    "android_control_high": steps(partial(_read_android_control, is_low=False), CALLS, SCRIPT),
    "android_control_low": steps(partial(_read_android_control, is_low=True), UI_S1, CALLS, SCRIPT),
}
