# SPDX-License-Identifier: Apache-2.0
"""The steps done so far, as the official templates write them into the prompt.

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
    """A task and what was done for it so far, as the cookbook for telephones puts it; the screen follows at once.

    Args:
        goal: what is to be done.
        steps: earlier steps in order; the cookbook tells each as its whole call, see `call_as_json`.
        instruction: the present step in words, where a benchmark gives it (UI-S1 of X-PLUG/MobileAgent).
    """
    told = "".join(f"Step {number}: {step}; " for number, step in enumerate(steps, 1))
    now = "" if instruction is None else f"\nCurrent step query: {instruction}"
    done = "You have done the following operation on the current device"
    return f"The user query:  {goal}{now}\nTask progress ({done}): {told}"


def call_as_json(name: str, arguments: Mapping[str, Any]) -> str:
    """The name of a tool and the arguments of its call, in the JSON of the released templates."""
    return dump_json({"name": name, "arguments": dict(arguments)})


def call_in_words(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as models write it."""
    return f"<tool_call>\n{call_as_json(name, arguments)}\n</tool_call>"
