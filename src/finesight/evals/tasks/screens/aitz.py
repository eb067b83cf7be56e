# SPDX-License-Identifier: Apache-2.0
"""AITZ, Android in the Zoo: the next step on a telephone, in five kinds of goals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import dist
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Task
from finesight.evals.tasks.grounding.places import numbers, size_of
from finesight.evals.tasks.screens import mobile
from finesight.evals.tasks.screens.screen_questions import COOKBOOK, ToolWording
from finesight.evals.tasks.shared.columns import Row, picture
from finesight.screen.act import scrolled
from finesight.screen.tools import mobile_use

KINDS = {3: "type", 5: "back", 6: "home", 7: "enter", 10: "done", 11: "impossible"}
TOUCH = 4
TAP = 0.04
"""A finger that moves less than this share of the screen taps."""


def _values(cell: Any, count: int | None = None) -> Any:
    found = json.loads(cell) if isinstance(cell, str) else cell
    return found if count is None else numbers(found, count)


def step_of(row: Row, screen: list[int]) -> mobile.Step:
    """The action of a row as a step.

    Raises:
        EvalError: its kind is unknown.
    """
    number = int(row["result_action_type"])
    if number == TOUCH:
        touch, lift = _values(row["result_touch_yx"], 2), _values(row["result_lift_yx"], 2)
        if dist(touch, lift) <= TAP:
            return {"kind": "click", "point": [touch[1] * screen[0], touch[0] * screen[1]]}
        return {"kind": "scroll", "direction": scrolled(touch[::-1], lift[::-1])}
    if number not in KINDS:
        raise EvalError(f"action {number} is unknown")
    if KINDS[number] == "type":
        return {"kind": "type", "text": str(row.get("result_action_text") or "")}
    return {"kind": KINDS[number]}


def read_row(row: Row, folder: Path) -> mobile.RecordedStep:
    """One step of an episode."""
    shown = picture(row["image"], folder, folder / "test", folder.parent)
    size = size_of(shown)
    return mobile.RecordedStep(
        episode=str(row["episode_id"]),
        number=str(row["step_id"]),
        goal=row["instruction"],
        step=step_of(row, [size.width, size.height]),
        shown=shown,
        elements=[
            [x, y, x + width, y + height]
            for y, x, height, width in _values(row.get("ui_positions")) or ()
        ],
        tags={"subset": str(row.get("subset") or "all")},
    )


def build(benchmark: Benchmark) -> Task:
    """Earlier steps are told as whole calls or as their arguments."""
    told = f"{COOKBOOK}, but a step is told as the arguments of its call alone"
    return mobile.task(
        benchmark,
        mobile.steps(benchmark, read_row),
        ToolWording("cookbook", COOKBOOK, mobile.ask, mobile_use),
        ToolWording("arguments", told, mobile.ask_with_arguments, mobile_use),
    )


TASKS: Mapping[str, Build] = {"aitz": build}
