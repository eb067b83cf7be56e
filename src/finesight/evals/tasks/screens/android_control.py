# SPDX-License-Identifier: Apache-2.0
"""AndroidControl: the next step on a telephone, given the goal alone (high) or the step in words as well (low).

The maintainers' own script is known from copies only, which agree. It tells a step as the arguments of its call, where
the cookbook tells the whole call, and shows a shorter tool. Both are here, as prompts with names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Task
from finesight.evals.tasks.grounding.places import numbers
from finesight.evals.tasks.screens import mobile
from finesight.evals.tasks.screens.screen_questions import COOKBOOK, ToolWording
from finesight.evals.tasks.shared.columns import Row, picture, record
from finesight.screen.tools import mobile_use, mobile_use_short

KINDS = {
    "input_text": "type",
    "open_app": "open",
    "navigate_home": "home",
    "navigate_back": "back",
    "keyboard_enter": "enter",
}


def step_of(action: Mapping[str, Any]) -> mobile.Step:
    """An action of the data set as a step.

    Raises:
        EvalError: its kind is unknown.
    """
    name = str(action["action_type"])
    kind = KINDS.get(name, name)
    if kind in mobile.GROUNDED:
        return {"kind": kind, "point": [float(action["x"]), float(action["y"])]}
    if kind == "scroll":
        return {"kind": kind, "direction": str(action["direction"])}
    if kind in ("type", "open"):
        return {"kind": kind, "text": str(action["app_name" if kind == "open" else "text"])}
    if kind not in ("home", "back", "enter", "wait"):
        raise EvalError(f"action {name!r} is unknown")
    return {"kind": kind}


def read_row(row: Row, folder: Path, *, is_low: bool) -> mobile.RecordedStep:
    """One step of an episode; the low level tells its instruction."""
    return mobile.RecordedStep(
        step=step_of(record(row["action"])),
        shown=picture(row["screenshot"], folder),
        episode=str(row["episode_id"]),
        number=str(row["step"]),
        goal=row["goal"],
        elements=[numbers(box, 4) for box in row.get("elements") or ()],
        instruction=str(row["step_instruction"]) if is_low else None,
    )


UI_S1 = ToolWording(
    "ui-s1",
    "X-PLUG/MobileAgent, UI-S1: the step in words, and earlier steps as they were given",
    mobile.ask_with_instructions,
    mobile_use,
)
WORDINGS = (
    ToolWording("cookbook", COOKBOOK, mobile.ask, mobile_use),
    ToolWording(
        "maintainers-script",
        "copies of the maintainers' script for AndroidControl (QwenLM/Qwen3-VL#904)",
        mobile.ask_with_arguments,
        mobile_use_short,
    ),
)


def high(benchmark: Benchmark) -> Task:
    """The goal alone is given."""
    read = mobile.steps(benchmark, partial(read_row, is_low=False))
    return mobile.task(benchmark, read, *WORDINGS)


def low(benchmark: Benchmark) -> Task:
    """The goal and the step in words are given."""
    read = mobile.steps(benchmark, partial(read_row, is_low=True))
    return mobile.task(benchmark, read, UI_S1, *WORDINGS)


TASKS: Mapping[str, Build] = {"android_control_high": high, "android_control_low": low}
