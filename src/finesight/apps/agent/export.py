# SPDX-License-Identifier: Apache-2.0
"""Traces as training data: a conversation for each step, in the chat format that `finesight data import` reads.

::

    DIR/rows.jsonl              {"messages": [...], "tools": [...]} for each step, as the model was asked
    DIR/screens/<sha256>.png    its screens

Answers are tool calls with coordinates in pixels of the stored screens, also in the history of earlier steps: the
importer places them in the pictures, so that training may use any pixel budget. The tool states the size at which the
screen was shown in the run; scrolled pixels count at that size.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from finesight import files
from finesight.apps.agent.compare import goal_and_options
from finesight.apps.agent.records import Step
from finesight.apps.agent.replay import act_of, read_trace
from finesight.apps.agent.turn import Asker
from finesight.conversation import Conversation, ImagePart, Message, Part, Reply, Sampling, TextPart
from finesight.errors import AppError
from finesight.geometry import Size
from finesight.parse.action import read_tool_calls
from finesight.screen.history import call_as_json, call_in_words
from finesight.screen.tools import EXTRAS
from finesight.text.messages import write_messages

__all__ = ["export_traces"]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a step teaches: its call in pixels of the screen, and the words around it."""

    name: str
    arguments: Mapping[str, Any]
    before: str = ""
    after: str = ""

    @property
    def call(self) -> str:
        """As JSON, for the history."""
        return call_as_json(self.name, self.arguments)

    @property
    def text(self) -> str:
        """As a model writes it."""
        return f"{self.before}{call_in_words(self.name, self.arguments)}{self.after}"

    def message(self) -> Message:
        """An assistant message; words after the call make it a text, as a message has its calls last."""
        if self.after.strip():
            return Message("assistant", (TextPart(self.text),))
        said = (TextPart(self.before.rstrip()),) if self.before.strip() else ()
        call = {"name": self.name, "arguments": dict(self.arguments)}
        return Message("assistant", said, (call,))


class _Silent:
    """Only requests are made, none is answered."""

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Not used."""
        raise AssertionError("an export asks nobody")


def export_traces(
    sources: Sequence[Path], folder: Path, *, all_steps: bool = False
) -> tuple[int, Counter[str]]:
    """Write the steps of traces as training data.

    Args:
        sources: folders of traces.
        folder: created; an earlier `rows.jsonl` in it is replaced.
        all_steps: also steps of runs that were not verified as done, and steps that changed nothing.

    Returns:
        The number of rows, and how many steps were left out for which reason.

    Raises:
        ConfigError: a folder holds no trace.
        AppError: a trace is damaged, or nothing is left to write.
    """
    left_out: Counter[str] = Counter()
    taught = [pair for source in sources for pair in _taught(source, left_out, all_steps=all_steps)]
    if not taught:
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise AppError(f"no step can be exported: {why or 'there are none'}")
    (folder / "screens").mkdir(parents=True, exist_ok=True)
    screens = {str(part.source): _relative(part) for asked, _ in taught for part in asked.media()}
    for screen, name in screens.items():
        try:
            shutil.copyfile(screen, folder / name)
        except OSError as error:
            raise AppError(f"the screen {screen} of a trace cannot be copied: {error}") from error
    rows = [_row(asked, answer) for asked, answer in taught]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    files.write_bytes(folder / "rows.jsonl", lines.encode(), error=AppError)
    return len(rows), left_out


def _taught(
    source: Path, left_out: Counter[str], *, all_steps: bool
) -> Iterator[tuple[Conversation, _Answer]]:
    """The question and the answer of each step that is exported; the others are counted."""
    meta, steps = read_trace(source)
    goal, options = goal_and_options(source, meta)
    asker = Asker(_Silent(), meta["tool"], options, source.resolve() / "screens")
    is_verified = _is_verified(source)
    answers: list[_Answer | None] = []
    for index, step in enumerate(steps):
        size = _size(asker.screens / f"{step.before}.png")
        answer = None if size is None else _answer(step, asker, size)
        reason = "without its screen" if size is None else _reason(step)
        if not all_steps:
            reason = reason or _doubt(step, is_verified=is_verified)
        if answer is not None and not reason:
            done = [_with(*pair) for pair in zip(steps[:index], answers, strict=True)]
            screen = asker.screens / f"{step.before}.png"
            yield asker.request(goal, done, screen, step.remarks), answer
        if reason:
            left_out[reason] += 1
        answers.append(answer)


def _reason(step: Step) -> str:
    """Why a step teaches nothing; empty if it does."""
    if step.act is None:
        return "without a readable answer"
    return "not performed" if step.problem else ""


def _doubt(step: Step, *, is_verified: bool) -> str:
    """Why a step may be wrong; empty if it is not doubted."""
    assert step.act is not None
    if not is_verified:
        return "of runs that were not verified as done"
    if step.act.get("status") == "failure":
        return "giving up a task that was done"
    is_idle = step.effect is not None and step.effect["verdict"] == "unchanged"
    return "that changed nothing" if is_idle and step.act["kind"] != "wait" else ""


def _is_verified(source: Path) -> bool:
    """Whether the run ended, and was verified as done."""
    try:
        result = json.loads((source / "result.json").read_bytes())
        return result["verified"]["value"] is True
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AppError(f"the result of the trace {source} is damaged: {error!s:.200}") from error


def _answer(step: Step, asker: Asker, size: Size) -> _Answer | None:
    """The call of a step that was performed, and the words around it; also notes at what size the screen was shown."""
    if step.act is None:
        return None
    if step.shown:
        asker.resized[size] = Size(*step.shown[0])
    recorded: dict[str, Any] = json.loads(step.call or "{}")
    if recorded.get("name") in EXTRAS:
        return _Answer(recorded["name"], recorded["arguments"], *_around(step, recorded))
    act = act_of(step.act)
    shown = asker.resized.get(size, size)
    arguments = act.arguments((1.0, 1.0))
    if "pixels" in arguments:
        arguments["pixels"] = act.arguments((1.0, size.height / shown.height))["pixels"]
    return _Answer(asker.tool, arguments, *_around(step, recorded))


def _around(step: Step, recorded: Mapping[str, Any]) -> tuple[str, str]:
    """What the model wrote before and after this call; nothing if the step is another one, given by the approver."""
    for reply in step.replies:
        found = read_tool_calls(reply).calls
        if found and _is_same(found[0].arguments, recorded.get("arguments", {})):
            start, end = found[0].span
            return reply[:start], reply[end:]
    return "", ""


def _is_same(said: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Whether a call is the recorded one: its action and texts; numbers were rounded."""
    names = ("action", "text", "keys", "button", "status")
    return all(said.get(name) == recorded.get(name) for name in names)


def _with(step: Step, answer: _Answer | None) -> Step:
    """An earlier step as the history of a row shows it: with coordinates in pixels of the screen."""
    if answer is None:
        return step
    return replace(step, call=answer.call, replies=(answer.text,))


def _row(asked: Conversation, answer: _Answer) -> dict[str, Any]:
    messages = [
        replace(message, parts=tuple(_moved(part) for part in message.parts))
        for message in (*asked.messages, answer.message())
    ]
    written = write_messages(messages)
    for entry in written[:-1]:
        if entry["role"] == "assistant":
            entry["weight"] = 0  # it has a row of its own
    return {"messages": written, "tools": [dict(tool) for tool in asked.tools]}


def _moved(part: Part) -> Part:
    return ImagePart(source=_relative(part)) if isinstance(part, ImagePart) else part


def _relative(part: Part) -> str:
    assert isinstance(part, ImagePart)
    return f"screens/{Path(str(part.source)).name}"


def _size(path: Path) -> Size | None:
    """Size of a picture; None if it is missing or broken."""
    try:
        with Image.open(path) as picture:
            return Size(*picture.size)
    except OSError:
        return None
