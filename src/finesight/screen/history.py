# SPDX-License-Identifier: Apache-2.0
"""History of previous steps in the prompt, in the formats of the official templates.

Sources: cookbooks/mobile_agent.ipynb of Qwen2.5-VL ("cookbook"); QwenLM/Qwen3-VL#725 and #732 ("thinking"); UI-S1 of
X-PLUG/MobileAgent ("low"); QwenLM/Qwen3-VL#1651 ("window").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from finesight.conversation import ImagePart, Message, TextPart
from finesight.errors import ConfigError
from finesight.screen.act import Act
from finesight.text.chat_template import DEFAULT_SYSTEM, dump_json

Manner: TypeAlias = Literal["cookbook", "thinking", "low", "window"]
"""cookbook: whole calls of earlier steps, one screen; thinking: the model thinks aloud and sums up each step; low: also
the current step in words; window: the last rounds as turns with their screens, older ones as words."""
MANNERS: tuple[Manner, ...] = get_args(Manner)
WINDOW_ROUNDS = 4
"""Rounds that "window" shows with their screens, besides the current screen."""

POINT_REQUEST = (
    'Point to the element for "{text}" in the image, output its coordinates in JSON format.'
)
"""Asks for a point in JSON, without a tool; `{text}` names the element."""
_THINK = (
    "Before answering, explain your reasoning step-by-step in <thinking></thinking> tags, and insert them before the"
    " <tool_call></tool_call> XML tags."
)
_CONCLUDE = (
    "After answering, summarize your action in <conclusion></conclusion> tags, and insert them after the"
    " <tool_call></tool_call> XML tags."
)
_WINDOW = (
    "Please generate the next move according to the UI screenshot, instruction and previous actions.\n\n"
    "Instruction: {goal}\n\nPrevious actions:\n{done}"
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PastStep:
    """An earlier step of an episode.

    Attributes:
        call: its call as JSON, see `call_as_json`.
        words: what it did: the model's conclusion, else `act_in_words`.
        reply: what the model wrote.
        screen: what it saw.
        instruction: the step in words, if it was given one.
    """

    call: str
    words: str
    reply: str
    screen: ImagePart
    instruction: str | None = None


def turns(
    manner: Manner,
    goal: str,
    past: Sequence[PastStep],
    screen: ImagePart,
    *,
    instruction: str | None = None,
    remarks: Sequence[str] = (),
) -> tuple[Message, ...]:
    """All turns of a request for the next step.

    Args:
        manner: how earlier steps are written.
        goal: the task.
        past: earlier steps, in order.
        screen: what is shown now.
        instruction: the current step in words; "low" needs it.
        remarks: what else the model should know, after the screen; the official templates have none.

    Raises:
        ConfigError: the manner is "low", and there is no instruction.
    """
    now = (screen, TextPart("\n" + "\n".join(remarks))) if remarks else (screen,)
    system = Message("system", (TextPart(DEFAULT_SYSTEM),))
    if manner == "window":
        return (system, *_window(goal, past, now))
    if manner == "low" and instruction is None:
        raise ConfigError(
            "the manner `low` needs the current step in words", hint="give one instruction a step"
        )
    if manner == "thinking":
        text = progress(f"{goal}\n{_THINK}\n{_CONCLUDE}", [each.words for each in past])
    elif manner == "low":
        text = progress(
            goal, [each.instruction or each.words for each in past], instruction=instruction
        )
    else:
        text = progress(goal, [each.call for each in past])
    return (system, Message("user", (TextPart(text), *now)))


def _window(
    goal: str, past: Sequence[PastStep], now: tuple[ImagePart | TextPart, ...]
) -> list[Message]:
    """The last rounds as turns; the text with goal and older steps stands before the first screen."""
    older, recent = past[:-WINDOW_ROUNDS], past[-WINDOW_ROUNDS:]
    told = "\n".join(f"Step {number}: {each.words}" for number, each in enumerate(older, 1))
    text = TextPart(_WINDOW.format(goal=goal, done=told or "None"))
    found: list[Message] = []
    for each in recent:
        found.append(Message("user", (each.screen,)))
        found.append(Message("assistant", (TextPart(each.reply),)))
    found.append(Message("user", now))
    found[0] = Message("user", (text, *found[0].parts))
    return found


def act_in_words(act: Act) -> str:
    """A step in a few words, without coordinates, which later screens would make wrong."""
    name = act.kind.replace("_", " ")
    details = (
        f' "{act.text}"' if act.text is not None else "",
        f" {'+'.join(act.keys)}" if act.keys else "",
        f" {'up' if act.pixels > 0 else 'down'}" if act.pixels else "",
        f" {act.seconds:g} s" if act.seconds is not None else "",
        f" {act.button}" if act.button else "",
        f" {act.status}" if act.status else "",
    )
    return name + "".join(details)
