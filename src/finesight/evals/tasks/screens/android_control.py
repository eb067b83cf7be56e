# SPDX-License-Identifier: Apache-2.0
"""AndroidControl: the next step on a telephone, given the goal alone (high) or the step in words as well (low).

The maintainers' own script is known from copies only, which agree. It tells a step as the arguments of its call, where
the cookbook tells the whole call, and shows a shorter tool. Both are here, as prompts with names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Prompt, Task
from finesight.evals.tasks.grounding.places import numbers, size_of
from finesight.evals.tasks.screens import mobile, screen_questions
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.columns import Row, picture, reader, record, same
from finesight.evals.tasks.shared.questions import Broken, Question, Read
from finesight.screen.tools import mobile_use, mobile_use_short

COLUMNS = same("episode_id", "step", "goal", "step_instruction", "screenshot", "action")
OPTIONAL = same("elements")
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


def questions(*, is_low: bool) -> Read:
    """Reads steps in their order; steps of one episode follow each other."""

    def read(folder: Path) -> Iterator[Question | Broken]:
        done: dict[str, list[mobile.Step]] = {}
        told: dict[str, list[str]] = {}

        def make(row: Row, below: Path) -> Question:
            step, shown = step_of(record(row["action"])), picture(row["screenshot"], below)
            size, episode = size_of(shown), str(row["episode_id"])
            history = done.setdefault(episode, [])
            screen = [size.width, size.height]
            instructions = told.setdefault(episode, [])
            instructions.append(str(row["step_instruction"]))
            made = Question(
                id=f"{episode}/{row['step']}",
                text=row["goal"],
                truth={
                    "step": step,
                    "screen": screen,
                    "history": list(history),
                    "elements": [numbers(box, 4) for box in row.get("elements") or ()],
                    **({"instructions": list(instructions)} if is_low else {}),
                },
                oracle=mobile.in_words(step, *screen),
                media=(shown,),
                cluster=episode,
                tags={"kind": step["kind"]},
            )
            history.append(step)
            return made

        files = ("android_control*.jsonl", "test.jsonl", "test-*.parquet")
        yield from reader(files, COLUMNS, make, optional=OPTIONAL, pictures=("screenshot",))(folder)

    return read


def _prompts(read: Read, *, is_low: bool) -> tuple[Prompt, ...]:
    """Ways to tell the steps so far; the first is the default."""

    def told(
        name: str, source: str, ask: screen_questions.AskOnScreen, tool: screen_questions.Tool
    ) -> Prompt:
        return screen_questions.tool_prompt(name, source, read, ask, tool)

    ui_s1 = "X-PLUG/MobileAgent, UI-S1: the step in words, and earlier steps as they were given"
    script = "copies of the maintainers' script for AndroidControl (QwenLM/Qwen3-VL#904)"
    return (
        *((told("ui-s1", ui_s1, mobile.ask_with_instructions, mobile_use),) if is_low else ()),
        told("cookbook", screen_questions.COOKBOOK, mobile.ask, mobile_use),
        told("maintainers-script", script, mobile.ask_with_arguments, mobile_use_short),
    )


def _task(level: str, published: dict[str, float], note: str) -> Task:
    read = questions(is_low=level == "low")
    return Task(
        name=f"android_control_{level}",
        title=f"AndroidControl, {level} level",
        source="AndroidControl, arXiv 2406.03679",
        layout="android_control.jsonl, which `finesight eval convert` makes from the published TFRecords, one line per"
        " step in order: episode_id, step, goal, step_instruction, screenshot (a path), action (the published object),"
        " elements (boxes of the tree of accessibility, corners in pixels); file names from general knowledge",
        prompts=_prompts(read, is_low=level == "low"),
        sampling=Sampling(max_new_tokens=512),
        extractors=(mobile.READ_STEP,),
        score=mobile.score,
        aggregate=mobile.aggregate,
        main="exact",
        published=published,
        notes=(
            note,
            "the maintainers of Qwen2.5-VL gave a script as their evaluation; the prompt maintainers-script asks as it"
            " does",
            "a click is right in the smallest element that holds the true point, or within 14 percent of the screen"
            " where no element is known; typed text must be equal, an app's name but for case",
        ),
    )


HIGH = report_tables.row(report_tables.AGENT, "20.8 28.5 12.5 66.4 59.1 67.36")
LOW = report_tables.row(report_tables.AGENT, "19.4 60.2 19.4 84.4 59.2 93.7")
TASKS = (
    _task("high", HIGH | {"Qwen2.5-VL-7B": 60.1, "Qwen2.5-VL-3B": 63.7}, "the goal alone is given"),
    _task("low", LOW | {"Qwen2.5-VL-7B": 91.4, "Qwen2.5-VL-3B": 90.8}, "goal and step are given"),
)
