# SPDX-License-Identifier: Apache-2.0
"""Histories as clients write them, brought to the one form that `finesight.text.messages` reads.

| client | what it writes |
|---|---|
| openai | `refusal`, `annotations`, `audio`, `function_call`; parts `input_text`, `output_text`, `input_image` |
| LangChain | `{"type": "human", "data": {...}}`, `additional_kwargs`, `response_metadata`; parts with `source_type` |
| LiteLLM | `reasoning_content`, `provider_specific_fields`, `images` |
| Anthropic | parts `tool_use`; pictures as `{"source": {"type": "base64", ...}}` |

Keys that only label a message are passed over. Keys that a model cannot be shown are passed over
where they hold nothing, and are an error where they hold something.
Source: the published classes of openai-python, langchain-core and LiteLLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finesight.text.message_fields import Fields, Place, as_mapping, holds_nothing, nearest

ROLES = {name: name for name in ("system", "user", "assistant", "tool")} | {
    "developer": "system",
    "human": "user",
    "ai": "assistant",
    "function": "tool",
}
TYPED_ROLES = {
    **{name: ROLES[name] for name in ("human", "ai", "system", "tool", "function")},
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
    "FunctionMessageChunk": "tool",
}
"""LangChain's `type` of a message -> role."""

PART_LABELS = ("name", "tool_call_id", "uuid", "raw_fps", "id", "index", "cache_control")
"""Labels for others, and the source rate of a frame list, which the model never sees."""
MESSAGE_LABELS = (
    *PART_LABELS,
    *("status", "artifact", "response_metadata", "usage_metadata", "parsed", "chunk_position"),
)
NOT_SHOWN = (
    *("annotations", "audio", "images", "logprobs", "metadata", "extras", "example"),
    *("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"),
    *("provider_specific_fields", "invalid_tool_calls"),
)
"""Keys for what the chat format has no place for."""


def message_fields(entry: Any, place: Place) -> Fields:
    """The fields of one message, with `role` and without the wrappings of its client.

    Raises:
        ConfigError: the entry is no mapping and no pydantic model, or its `type` is not known.
    """
    message = dict(as_mapping(entry, place))
    if set(message) == {"type", "data"}:
        message = {**as_mapping(message["data"], place), "type": message["type"]}
    _take_type(message, place)
    extra = message.pop("additional_kwargs", None)
    for key, value in ({} if holds_nothing(extra) else as_mapping(extra, place)).items():
        if holds_nothing(message.get(key)):
            message[key] = value
        elif not holds_nothing(value) and not _are_same(message[key], value):
            message[f"additional_kwargs.{key}"] = value
    return Fields(message, place)


def _are_same(first: Any, second: Any) -> bool:
    return isinstance(first, str) and isinstance(second, str) and first == second


def _take_type(message: dict[str, Any], place: Place) -> None:
    """Turn LangChain's `type` into a role; one that contradicts the role stays, as an unknown key."""
    kind, role = message.get("type"), message.get("role")
    if not isinstance(kind, str) or not isinstance(role, (str, type(None))):
        return
    if role is None:
        if kind not in TYPED_ROLES:
            options = nearest(str(kind), TYPED_ROLES)
            raise place.error(f"type is {kind!r}", hint=f"nearest: {', '.join(options)}")
        role = message["role"] = TYPED_ROLES[kind]
    if kind in ("message", "chat") or (
        kind in TYPED_ROLES and TYPED_ROLES[kind] == ROLES.get(role)
    ):
        del message["type"]


def is_call(part: Any) -> bool:
    """Whether a part of a message's content is a tool call."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    return isinstance(kind, str) and kind in ("tool_use", "tool_call")


def media_source(fields: Fields, kind: str, place: Place) -> Any:
    """The media of a part that does not name it by its kind; None if there is none either.

    `{"source_type": "base64", "data": ...}`, `{"base64": ...}`, `{"url": ...}`, and
    `{"source": {"type": "base64", "data": ...}}`; base64 becomes a `data:` address.
    """
    if fields.has("source"):
        inner = as_mapping(fields.take("source"), place)
        fields.merge({**inner, "source_type": inner.get("type")}, inside="source", less=("type",))
    if fields.has("source_type"):
        fields.choice("source_type", {name: name for name in ("url", "base64")})
    mime_type = fields.text("mime_type") or fields.text("media_type")
    for key in ("data", "base64"):
        if (data := fields.text(key)) is not None:
            return f"data:{mime_type or f'{kind}/*'};base64,{data}"
    return fields.take("url")
