# SPDX-License-Identifier: Apache-2.0
"""History of previous steps in the prompt, in the format of the official templates.

Source: cookbooks/mobile_agent.ipynb of Qwen2.5-VL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from finesight.text.chat_template import dump_json

POINT_REQUEST = (
    'Point to the element for "{text}" in the image, output its coordinates in JSON format.'
)
"""Asks for a point in JSON, without a tool; `{text}` names the element."""


def progress(goal: str, steps: Iterable[str], *, instruction: str | None = None) -> str:
    """The task and its previous steps, worded as in the cookbook for phones; the screenshot follows directly.

    Args:
        goal: the task.
        steps: previous steps in order; the cookbook writes each as its whole call, see `call_as_json`.
        instruction: the current step in words, if the benchmark gives it (UI-S1 of X-PLUG/MobileAgent).
    """
    done = "".join(f"Step {number}: {step}; " for number, step in enumerate(steps, 1))
    now = "" if instruction is None else f"\nCurrent step query: {instruction}"
    title = "You have done the following operation on the current device"
    return f"The user query:  {goal}{now}\nTask progress ({title}): {done}"


def call_as_json(name: str, arguments: Mapping[str, Any]) -> str:
    """Tool name and arguments of a call, in the JSON of the released templates."""
    return dump_json({"name": name, "arguments": dict(arguments)})


def call_in_words(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call as models write it."""
    return f"<tool_call>\n{call_as_json(name, arguments)}\n</tool_call>"
