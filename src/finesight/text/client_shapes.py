# SPDX-License-Identifier: Apache-2.0
"""Converts message histories of chat clients to the format that `finesight.text.messages` reads.

| client | what it writes |
|---|---|
| openai | `refusal`, `annotations`, `audio`, `function_call`; parts `input_text`, `output_text`, `input_image` |
| LangChain | `{"type": "human", "data": {...}}`, `additional_kwargs`, `response_metadata`; parts with `source_type` |
| LiteLLM | `reasoning_content`, `provider_specific_fields`, `images` |
| Anthropic | parts `tool_use`; pictures as `{"source": {"type": "base64", ...}}` |

Keys that only label a message are ignored. Keys with content that the chat format cannot express are ignored
if empty and an error otherwise.
Source: the published classes of openai-python, langchain-core and LiteLLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finesight.text.message_fields import Fields, Place, as_mapping, holds_nothing, known_names

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
"""Labels for other programs, and the source rate of a frame list, which the model does not see."""
MESSAGE_LABELS = (
    *PART_LABELS,
    *("status", "artifact", "response_metadata", "usage_metadata", "parsed", "chunk_position"),
)
NOT_SHOWN = (
    *("annotations", "audio", "images", "logprobs", "metadata", "extras", "example"),
    *("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"),
    *("provider_specific_fields", "invalid_tool_calls"),
)
"""Keys whose content the chat format cannot express."""


def message_fields(entry: Any, place: Place) -> Fields:
    """The fields of one message, with `role`, without wrappers of the client.

    Raises:
        ConfigError: the entry is neither a mapping nor a pydantic model, or its `type` is unknown.
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
    """Convert LangChain's `type` to a role; one that contradicts the role stays and is an unknown key."""
    kind, role = message.get("type"), message.get("role")
    if not isinstance(kind, str) or not isinstance(role, (str, type(None))):
        return
    if role is None:
        if kind not in TYPED_ROLES:
            raise place.error(f"type is {kind!r}", hint=known_names(str(kind), TYPED_ROLES))
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
    """The media source of a part without a key for its kind; None if there is none.

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
