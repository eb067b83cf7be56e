# SPDX-License-Identifier: Apache-2.0
"""Renders a conversation as a list of segments: text, control tokens, slots for pictures and videos.

The format is ChatML with the Nous tool format. Two things are decided only here: which tokens are
control tokens (they are given by name, never written into text), and which tokens are training
targets (the content of a target assistant turn, its `<|im_end|>` and the newline after it).

`<tool_call>` inside *user* or *tool* text stays text, so that it cannot forge a call. In
*system* and *assistant* text it is the control token, as in the published formats (tool prompts,
earlier answers). All other control tokens stay text in every role.

Source: chat templates of the published Qwen2.5-VL and Qwen2.5 tokenizers; parity:
tests/parity/test_integers.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.errors import ConfigError
from finesight.text import special_tokens as names

DEFAULT_SYSTEM = "You are a helpful assistant."
"""System message of the released template if a conversation has none."""


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A run of text; neighbouring runs are tokenized as one.

    Attributes:
        text: the characters.
        is_target: whether it is a training target.
    """

    text: str
    is_target: bool = False


@dataclass(frozen=True, slots=True)
class ControlToken:
    """One control token, by name."""

    name: str
    is_target: bool = False


@dataclass(frozen=True, slots=True)
class VisionSlot:
    """The slot of the `index`-th picture or video of a conversation, between its start and end tokens."""

    index: int
    kind: Literal["image", "video"]
    is_target: bool = False

    @property
    def pad_name(self) -> str:
        """The control token that is repeated once per visual token."""
        return names.IMAGE_PAD if self.kind == "image" else names.VIDEO_PAD


Segment = TextSegment | ControlToken | VisionSlot


def render(
    conversation: Conversation, *, add_generation_prompt: bool = True, add_vision_id: bool = False
) -> list[Segment]:
    """Write a conversation in the format the model was trained on.

    Args:
        conversation: messages and tools.
        add_generation_prompt: end with the opening of an assistant turn.
        add_vision_id: write "Picture 1: " and "Video 1: " before each picture and video.

    Returns:
        Segments in reading order.

    Raises:
        ConfigError: there is no message, or a message has parts its role cannot have.
    """
    messages = conversation.messages
    if not messages:
        raise ConfigError("the conversation has no messages", hint="give at least one user message")
    writer = _Writer(add_vision_id=add_vision_id)
    rest = messages[1:] if messages[0].role == "system" else messages
    system = messages[0] if messages[0].role == "system" else None
    segments = [*_system_turn(writer, system, conversation.tools)]
    for index, message in enumerate(rest):
        _check(message, index + len(messages) - len(rest))
        after = rest[index + 1].role if index + 1 < len(rest) else None
        before = rest[index - 1].role if index else None
        segments += _turn(writer, message, before, after)
    if add_generation_prompt:
        segments += [ControlToken(names.IM_START), TextSegment("assistant\n")]
    return segments


def dump_json(value: Any) -> str:
    """JSON the way the released templates write it: no sorting, no ASCII escapes."""
    return json.dumps(value, ensure_ascii=False)


class _Writer:
    """Counts pictures and videos across the messages of one conversation."""

    def __init__(self, *, add_vision_id: bool) -> None:
        self._add_vision_id = add_vision_id
        self._counts = {"image": 0, "video": 0}

    def content(self, message: Message) -> Iterator[Segment]:
        """Parts of one message in reading order."""
        for part in message.parts:
            if isinstance(part, TextPart):
                yield from _text(part.text, reads_calls=message.role in ("system", "assistant"))
                continue
            kind: Literal["image", "video"] = "image" if isinstance(part, ImagePart) else "video"
            index = sum(self._counts.values())
            self._counts[kind] += 1
            if self._add_vision_id:
                label = "Picture" if kind == "image" else "Video"
                yield TextSegment(f"{label} {self._counts[kind]}: ")
            yield ControlToken(names.VISION_START)
            yield VisionSlot(index, kind)
            yield ControlToken(names.VISION_END)


_CALL_TOKENS = re.compile(f"({re.escape(names.TOOL_CALL)}|{re.escape(names.TOOL_CALL_END)})")


def _text(text: str, *, reads_calls: bool) -> Iterator[Segment]:
    """A text, with `<tool_call>` and its end as control tokens where the role may write them."""
    pieces = _CALL_TOKENS.split(text) if reads_calls else [text]
    for place, piece in enumerate(pieces):
        if place % 2:
            yield ControlToken(piece)
        elif piece:
            yield TextSegment(piece)


def _system_turn(
    writer: _Writer, message: Message | None, tools: Sequence[Mapping[str, Any]]
) -> Iterator[Segment]:
    yield ControlToken(names.IM_START)
    yield TextSegment("system\n")
    if message is None:
        yield TextSegment(DEFAULT_SYSTEM)
    else:
        _check(message, 0)
        yield from writer.content(message)
    if tools:
        yield from _text(_tool_prompt(tools), reads_calls=True)
    yield ControlToken(names.IM_END)
    yield TextSegment("\n")


def _tool_prompt(tools: Sequence[Mapping[str, Any]]) -> str:
    """The part of the system message that lists the tools and says how to call them."""
    form = '{"name": <function-name>, "arguments": <args-json-object>}'
    signatures = "\n".join(dump_json(tool) for tool in tools)
    return (
        "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n"
        f"<tools>\n{signatures}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within "
        f"{names.TOOL_CALL}{names.TOOL_CALL_END} XML tags:\n"
        f"{names.TOOL_CALL}\n{form}\n{names.TOOL_CALL_END}"
    )


def _turn(
    writer: _Writer, message: Message, before: str | None, after: str | None
) -> Iterator[Segment]:
    """One turn; neighbouring tool results share one user turn."""
    if message.role == "tool":
        if before != "tool":
            yield from (ControlToken(names.IM_START), TextSegment("user"))
        yield TextSegment("\n<tool_response>\n")
        yield from writer.content(message)
        yield TextSegment("\n</tool_response>")
        if after != "tool":
            yield from (ControlToken(names.IM_END), TextSegment("\n"))
        return
    learned = message.role == "assistant" and message.is_target
    yield ControlToken(names.IM_START)
    yield TextSegment(f"{message.role}\n")
    content = [*writer.content(message)]
    body = (*content, *_calls(message, follows_content=bool(content)))
    for segment in (*body, ControlToken(names.IM_END), TextSegment("\n")):
        yield replace(segment, is_target=True) if learned and not _is_media(segment) else segment


def _is_media(segment: Segment) -> bool:
    """Whether the segment belongs to a picture or video, which nobody learns to write."""
    if isinstance(segment, ControlToken):
        return segment.name in (names.VISION_START, names.VISION_END)
    return isinstance(segment, VisionSlot)


def _calls(message: Message, *, follows_content: bool) -> Iterator[Segment]:
    """Tool calls of an assistant turn, each on lines of its own."""
    for place, call in enumerate(message.tool_calls):
        if place or follows_content:
            yield TextSegment("\n")
        yield ControlToken(names.TOOL_CALL)
        arguments = dump_json(call["arguments"])
        yield TextSegment(f'\n{{"name": "{call["name"]}", "arguments": {arguments}}}\n')
        yield ControlToken(names.TOOL_CALL_END)


def _check(message: Message, index: int) -> None:
    if message.tool_calls and message.role != "assistant":
        raise ConfigError(
            f"message {index} has role {message.role!r} and tool_calls",
            hint="only assistant messages call tools",
        )
    for place, call in enumerate(message.tool_calls):
        if not isinstance(call.get("name"), str) or not isinstance(call.get("arguments"), Mapping):
            raise ConfigError(
                f"message {index}, tool call {place} has keys {sorted(call)}",
                hint='a call is {"name": text, "arguments": object}',
            )
