# SPDX-License-Identifier: Apache-2.0
"""AITZ, Android in the Zoo: the next step on a telephone, in five kinds of goals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import dist
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.tasks.grounding.places import numbers, size_of
from finesight.evals.tasks.screens import mobile, screen_questions
from finesight.evals.tasks.shared.columns import Row, picture, reader, same
from finesight.evals.tasks.shared.questions import Broken, Question
from finesight.screen.act import scrolled
from finesight.screen.tools import mobile_use

COLUMNS = {
    **same("episode_id", "step_id", "instruction", "result_action_type"),
    "image": ("image_full_path", "image_path"),
}
OPTIONAL = same("result_action_text", "result_touch_yx", "result_lift_yx", "ui_positions", "subset")
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


def questions(folder: Path) -> Iterator[Question | Broken]:
    """Reads one file per episode."""
    done: dict[str, list[mobile.Step]] = {}

    def make(row: Row, below: Path) -> Question:
        shown = picture(row["image"], below, below / "test", below.parent)
        size, episode = size_of(shown), str(row["episode_id"])
        screen = [size.width, size.height]
        step, history = step_of(row, screen), done.setdefault(episode, [])
        made = Question(
            id=f"{episode}/{row['step_id']}",
            text=row["instruction"],
            truth={
                "step": step,
                "screen": screen,
                "history": list(history),
                "elements": [
                    [x, y, x + width, y + height]
                    for y, x, height, width in _values(row.get("ui_positions")) or ()
                ],
            },
            oracle=mobile.in_words(step, *screen),
            media=(shown,),
            cluster=episode,
            tags={"kind": step["kind"], "subset": str(row.get("subset") or "all")},
        )
        history.append(step)
        return made

    files = ("test/*/*/*.json", "*/*/*.json", "*/*.json", "*.json")
    yield from reader(files, COLUMNS, make, optional=OPTIONAL)(folder)


TASKS = (
    Task(
        name="aitz",
        title="AITZ, Android in the Zoo",
        source="Android in the Zoo, arXiv 2403.02713",
        layout="test/{kind of goal}/{episode}/{episode}.json, lists of steps with episode_id, step_id, instruction,"
        " image_full_path, result_action_type, result_action_text, result_touch_yx, result_lift_yx, ui_positions (y, x,"
        " height, width in pixels); field names from general knowledge",
        prompts=(
            screen_questions.tool_prompt(
                "cookbook", screen_questions.COOKBOOK, questions, mobile.ask, mobile_use
            ),
            screen_questions.tool_prompt(
                "arguments",
                f"{screen_questions.COOKBOOK}, but a step is told as the arguments of its call alone",
                questions,
                mobile.ask_with_arguments,
                mobile_use,
            ),
        ),
        sampling=Sampling(max_new_tokens=512),
        extractors=(mobile.READ_STEP,),
        score=mobile.score,
        aggregate=mobile.aggregate,
        main="exact",
        published={
            "GPT-4o": 35.3,
            "Qwen2.5-VL-72B": 83.2,
            "Qwen2.5-VL-7B": 81.9,
            "Qwen2.5-VL-3B": 76.9,
        },
        notes=(
            "a click is right in the smallest element that holds the true point, or within 14 percent of the screen",
            "typed text must be equal",
        ),
    ),
)
