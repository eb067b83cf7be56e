# SPDX-License-Identifier: Apache-2.0
"""The input of a request to `/v1/responses`: a text, or a list of items, as messages of a conversation.

| item | message |
|---|---|
| `message`, or no type but a role | one message |
| `function_call` | a call of the assistant's turn before it, or of a new one |
| `function_call_output` | a message of the tool; its call must be in the input |

Items of other types are errors: those of tools that this model has not, and references to items that are stored.

Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from finesight.conversation import Message, TextPart
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.remote.documents import OpenFile, with_pages
from finesight.text.messages import read_messages

_MESSAGE_LABELS = ("type", "id", "status", "phase")
_CALL_LABELS = ("type", "id", "status")
_PART_LABELS = {"output_text": ("logprobs", "annotations")}
"""Type of a part -> keys that say something about an earlier answer, which is not shown to the model again."""


def messages_of(given: Any, instructions: str | None, open_file: OpenFile) -> tuple[Message, ...]:
    """The messages of `instructions` and `input`.

    Args:
        given: the input: a text, or a list of items of plain JSON.
        instructions: text of a system message before all others; None adds none.
        open_file: opens files that are given by an address.

    Raises:
        ConfigError: an item is not known; names its number, counted from 0.
        MediaError: a file cannot be opened.
    """
    messages: list[Message] = []
    if instructions is not None:
        messages.append(Message("system", (TextPart(instructions),)))
    if isinstance(given, str):
        return (*messages, Message("user", (TextPart(given),)))
    if not isinstance(given, list) or not given:
        raise ConfigError(f"input is {shown(given)}", hint="give a text, or a list of items")
    calls: set[str] = set()
    for number, item in enumerate(given):
        try:
            _add(messages, calls, item, open_file)
        except ConfigError as error:
            where = error.message.removeprefix("message 0").removeprefix(", ").removeprefix(": ")
            raise ConfigError(f"input item {number}: {where}", hint=error.hint) from error
    return tuple(messages)


def _add(messages: list[Message], calls: set[str], item: Any, open_file: OpenFile) -> None:
    """Read one item into the messages; `calls` are the ids of the calls so far."""
    if not isinstance(item, Mapping):
        raise ConfigError(f"it is {shown(item)}", hint='it is an object with "type"')
    kind = item.get("type", "message" if "role" in item else None)
    if kind == "message":
        messages.append(_message(item, open_file))
    elif kind == "function_call":
        _add_call(messages, item)
        calls.add(item["call_id"])
    elif kind == "function_call_output":
        if item.get("call_id") not in calls:
            raise ConfigError(
                f"no function_call before it has the call_id {shown(item.get('call_id'))}",
                hint="send the call before its output: nothing is stored",
            )
        messages.append(_output(item, open_file))
    elif kind == "item_reference":
        raise ConfigError("item_reference names a stored item", hint="send it: nothing is stored")
    else:
        raise ConfigError(
            f"its type is {shown(kind)}",
            hint="known: message, function_call, function_call_output",
        )


def _message(item: Mapping[str, Any], open_file: OpenFile) -> Message:
    message = {name: value for name, value in item.items() if name not in _MESSAGE_LABELS}
    if isinstance(content := message.get("content"), list):
        message["content"] = [_part(part) for part in content]
    return _read(message, open_file)


def _part(part: Any) -> Any:
    """A part of a message without keys that label it."""
    if not isinstance(part, Mapping):
        return part
    if part.get("file_id") is not None:
        raise ConfigError("file_id names a stored file, but none is stored", hint="send the file")
    kind = part.get("type")
    labels = _PART_LABELS.get(kind, ()) if isinstance(kind, str) else ()
    return {name: value for name, value in part.items() if name not in (*labels, "file_id")}


def _add_call(messages: list[Message], item: Mapping[str, Any]) -> None:
    """Add a call to the turn of the assistant that it belongs to."""
    for name in ("call_id", "name", "arguments"):
        if not isinstance(item.get(name), str):
            raise ConfigError(f"{name} is {shown(item.get(name))}", hint="it is a string")
    call = {name: value for name, value in item.items() if name not in _CALL_LABELS}
    turn = _read({"role": "assistant", "tool_calls": [call]}, None)
    if messages and messages[-1].role == "assistant":
        last = messages.pop()
        turn = replace(last, tool_calls=(*last.tool_calls, *turn.tool_calls))
    messages.append(turn)


def _output(item: Mapping[str, Any], open_file: OpenFile) -> Message:
    unknown = [name for name in item if name not in (*_CALL_LABELS, "call_id", "output")]
    if unknown and item[unknown[0]] is not None:
        raise ConfigError(f"unknown key {shown(unknown[0])}", hint="known: call_id, output")
    content = item.get("output")
    if not isinstance(content, (str, list)):
        raise ConfigError(f"output is {shown(content)}", hint="give a text, or a list of parts")
    if isinstance(content, list):
        content = [_part(part) for part in content]
    return _read({"role": "tool", "content": content}, open_file)


def _read(message: Mapping[str, Any], open_file: OpenFile | None) -> Message:
    shown_as = [message] if open_file is None else with_pages([message], open_file)
    return read_messages(shown_as)[0]
