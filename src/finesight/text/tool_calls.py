# SPDX-License-Identifier: Apache-2.0
"""Converts tool calls of chat clients to `{"name", "arguments"}`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finesight.text.message_fields import Fields, Place, as_mapping, holds_nothing

Call = Mapping[str, Any]

_KEYS = ("tool_calls", "additional_kwargs.tool_calls", "tool_call_chunks")
_SINGLE_KEYS = ("function_call", "additional_kwargs.function_call")
_LABELS = ("id", "index", "call_id", "cache_control", "parsed_arguments")
_TYPES = {name: name for name in ("function", "tool_call", "tool_call_chunk", "tool_use")}
_ARGUMENT_KEYS = ("arguments", "args", "input")
"""OpenAI's, LangChain's and Anthropic's."""


def read_calls(fields: Fields, said: Sequence[Any], role: str, place: Place) -> tuple[Call, ...]:
    """All calls of a message, from any of its keys.

    Args:
        fields: of the message.
        said: calls among the parts of its content.
        role: of the message.
        place: of the message.

    Raises:
        ConfigError: a call cannot be read, another role than assistant calls a tool, or two keys
            hold different calls.
    """
    lists = [said]
    for key in _KEYS:
        calls = fields.take(key)
        if holds_nothing(calls):
            continue
        if not isinstance(calls, Sequence) or isinstance(calls, str):
            raise place.error(f"{key} is a {type(calls).__name__}", hint="it is a list")
        lists.append(calls)
    lists += [[call] for key in _SINGLE_KEYS if not holds_nothing(call := fields.take(key))]
    lists = [calls for calls in lists if calls]
    if lists and role != "assistant":
        raise place.error(
            f"role {role!r} has tool_calls", hint="only assistant messages call tools"
        )
    read = [tuple(_read(call, at, place) for at, call in enumerate(calls)) for calls in lists]
    if any(calls != read[0] for calls in read):
        raise place.error(
            f"the message has {len(read)} lists of tool calls, and they differ",
            hint="keep the one in tool_calls",
        )
    return read[0] if read else ()


def _read(call: Any, index: int, place: Place) -> Call:
    """One call; OpenAI writes the arguments as a JSON string, some clients encode it twice."""
    at = place.call(index)
    fields = Fields(call, at)
    if fields.has("type"):
        fields.choice("type", _TYPES)
    if fields.has("function"):
        inner = as_mapping(fields.take("function"), at)
        fields.merge(inner, inside="function")
    name = fields.take("name")
    if not isinstance(name, str):
        raise place.error(f"tool call {index} has no name: {call!s:.120}")
    given = [key for key in _ARGUMENT_KEYS if fields.has(key)]
    if len(given) > 1:
        raise at.error(f"the call has both {given[0]} and {given[1]}", hint="give one of them")
    arguments = _decoded(fields.take(given[0]), at) if given else {}
    fields.finish(without_effect=_LABELS, not_shown=("provider_specific_fields", "extras"))
    if not isinstance(arguments, Mapping):
        raise at.error(
            f"its arguments are a {type(arguments).__name__}",
            hint="they are an object of named values",
        )
    return {"name": name, "arguments": arguments}


def _decoded(arguments: Any, place: Place) -> Any:
    """Arguments as plain JSON values; null, an empty string and an empty list mean none."""
    try:
        while isinstance(arguments, str):
            arguments = json.loads(arguments, parse_constant=_refuse) if arguments.strip() else {}
        arguments = as_json(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise place.error(f"its arguments are not JSON: {error}") from error
    return {} if arguments is None or arguments == [] else arguments


def as_json(value: Any) -> Any:
    """A value in plain JSON types; scalars and arrays of numpy become Python numbers.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be written as JSON.
    """
    return json.loads(json.dumps(value, allow_nan=False, default=_plain))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _plain(value: Any) -> Any:
    """A numpy scalar or array as Python numbers."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"they contain a {type(value).__name__}")
