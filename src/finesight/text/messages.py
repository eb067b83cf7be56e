# SPDX-License-Identifier: Apache-2.0
"""Converts message dictionaries to `Conversation`, and back.

Two dialects are read, also mixed: that of qwen-vl-utils (`{"type": "video", "video": ..., "fps":
1}`) and that of the OpenAI chat format as vLLM and DashScope extend it (`{"type": "image_url",
"image_url": {"url": ...}, "max_pixels": ...}`). `finesight.text.client_shapes` handles the formats of chat clients.

Nothing is ignored silently. An unknown key, type or role is an error with its
position and the nearest known names; the few keys without effect are listed in
`finesight.text.client_shapes`.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel

from finesight.conversation import Conversation, ImagePart, Message, Part, Role, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.text.client_shapes import (
    MESSAGE_LABELS,
    NOT_SHOWN,
    PART_LABELS,
    ROLES,
    is_call,
    media_source,
    message_fields,
)
from finesight.text.message_fields import Fields, Place
from finesight.text.tool_calls import as_json, read_calls

MessageLike = Mapping[str, Any] | Message | BaseModel

_KINDS = {
    "text": "text",
    "image": "image",
    "image_url": "image",
    "video": "video",
    "video_url": "video",
}
_TYPES = _KINDS | {
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "input_image": "image",
}

_MARKERS: Mapping[str, type[Part]] = {"<image>": ImagePart, "<video>": VideoPart}
"""Media placeholders in texts of LLaVA, ShareGPT and the training code of Qwen2.5-VL."""

_FRAME_LIST_ADDRESS = "data:video/jpeg;base64,"
"""vLLM's address of a frame list: JPEG files in base64, joined by commas."""


def conversation_from(
    messages: Sequence[MessageLike], tools: Sequence[Mapping[str, Any]] = ()
) -> Conversation:
    """Read messages and tools.

    Args:
        messages: dictionaries of either dialect, messages of a client that are pydantic models,
            or `Message` records.
        tools: OpenAI tool signatures, `{"type": "function", "function": {"name": ...}}`.

    Warns:
        UserWarning: a text contains the placeholders `<image>` or `<video>`.

    Raises:
        ConfigError: something is not known; names message, part, key and the nearest names.
    """
    for index, tool in enumerate(tools):
        function = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ConfigError(
                f"tool {index} has no function name: {tool!s:.120}",
                hint='a tool is {"type": "function", "function": {"name": ..., "parameters": ...}}',
            )
    try:
        plain_tools = tuple(as_json(tool) for tool in tools)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"a tool is no JSON: {error}") from error
    read = read_messages(messages)
    for number, message in enumerate(read):
        _warn_of_markers(message, number)
    return Conversation(messages=read, tools=plain_tools)


def _warn_of_markers(message: Message, number: int) -> None:
    """Warn about media placeholders of other models' data sets in a text: here they are plain text."""
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    for marker, kind in _MARKERS.items():
        count = sum(isinstance(part, kind) for part in message.parts)
        if count and text.count(marker) == count:
            warnings.warn(
                f"message {number} holds {marker} as often as it has such parts ({count}): the marker is plain text to"
                " this model, and media stand where their parts stand, before a question; leave the marker out",
                stacklevel=3,  # where `conversation_from` was called
            )


def read_messages(messages: Sequence[MessageLike]) -> tuple[Message, ...]:
    """Read messages; see `conversation_from`."""
    given: object = messages
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise ConfigError(f"messages are a {type(given).__name__}", hint="give a list of messages")
    return tuple(
        message if isinstance(message, Message) else _read_message(message, Place(index))
        for index, message in enumerate(messages)
    )


def _read_message(message: Mapping[str, Any] | BaseModel, place: Place) -> Message:
    fields = message_fields(message, place)
    role = fields.choice("role", ROLES)
    parts, said = _read_content(fields.take("content"), place)
    if refusal := fields.text("refusal"):
        parts = (*parts, TextPart(refusal))
    tool_calls = read_calls(fields, said, role, place)
    fields.finish(without_effect=MESSAGE_LABELS, not_shown=NOT_SHOWN)
    return Message(role=cast(Role, role), parts=parts, tool_calls=tool_calls)


def _read_content(content: Any, place: Place) -> tuple[tuple[Part, ...], list[Any]]:
    """The parts of a message, and tool calls that some clients write among them."""
    if content is None:
        return (), []
    if isinstance(content, str):
        return (TextPart(content),) if content else (), []
    if not isinstance(content, Sequence) or isinstance(content, bytes):
        raise place.error(
            f"content is a {type(content).__name__}", hint="it is a text or a list of parts"
        )
    parts: list[Part] = []
    said: list[Any] = []
    for index, entry in enumerate(content):
        part = entry.model_dump() if isinstance(entry, BaseModel) else entry
        if is_call(part):
            said.append(part)
        elif said:
            raise place.part(index).error(
                "the part follows a tool call", hint="tool calls come after all other parts"
            )
        else:
            parts.append(read_part(part, place.part(index)))
    return tuple(parts), said


def read_part(part: Any, place: Place = Place(0)) -> Part:  # noqa: B008  # frozen
    """Read one part of a message's content.

    Raises:
        ConfigError: something is not known; names the place, the key and the nearest names.
    """
    if isinstance(part, (TextPart, ImagePart, VideoPart)):
        return part
    if isinstance(part, str):
        return TextPart(part)
    fields = Fields(part, place)
    kind = _kind(fields, place)
    if kind in ("text", "refusal"):
        text = fields.take(kind)
        if not isinstance(text, str):
            raise place.error(f"{kind} is a {type(text).__name__}", hint="it is a string")
        fields.finish(without_effect=PART_LABELS, not_shown=NOT_SHOWN)
        return TextPart(text)
    source = _source(fields, kind, place)
    read = _read_image(source, fields, place) if kind == "image" else _read_video(source, fields)
    fields.finish(without_effect=PART_LABELS, not_shown=NOT_SHOWN)
    try:
        read.check()
    except ConfigError as error:
        raise place.error(error.message, hint=error.hint) from error
    return read


def _kind(fields: Fields, place: Place) -> str:
    """The kind of a part: its `type`, or its only media or text key."""
    if fields.has("type"):
        return fields.choice("type", _TYPES)
    present = {kind for key, kind in _KINDS.items() if fields.has(key)}
    if len(present) != 1:
        raise place.error("the part has no type", hint=f"add one of: {', '.join(_KINDS)}")
    return present.pop()


def _source(fields: Fields, kind: str, place: Place) -> Any:
    """The media source; options inside `{"url": ...}` are merged with those of the part."""
    keys = [key for key in (kind, f"{kind}_url") if fields.has(key)]
    if not keys and (value := media_source(fields, kind, place)) is not None:
        return value
    if len(keys) != 1:
        raise place.error(
            f"the {kind} part has {len(keys)} of the keys {kind} and {kind}_url",
            hint="give exactly one",
        )
    value = fields.take(keys[0])
    if isinstance(value, Mapping):
        fields.merge(value, inside=keys[0])
        value = fields.take("url")
    if value is None or (isinstance(value, (str, bytes, list, tuple)) and not value):
        raise place.error(f"{keys[0]} is empty", hint="give a path, an address or a picture")
    return value


def _read_image(source: Any, fields: Fields, place: Place) -> ImagePart:
    if isinstance(source, (list, tuple)):
        raise place.error(
            "image is a list", hint="one part per picture; a list of frames is a video"
        )
    detail = None
    if fields.has("detail"):
        detail = fields.choice("detail", {name: name for name in ("auto", "low", "high")})
    return ImagePart(
        source=source,
        page=fields.integer("page"),
        min_pixels=fields.integer("min_pixels"),
        max_pixels=fields.integer("max_pixels"),
        resized_height=fields.integer("resized_height"),
        resized_width=fields.integer("resized_width"),
        detail="low" if detail == "low" else None,
    )


def _read_video(source: Any, fields: Fields) -> VideoPart:
    if isinstance(source, str) and source.startswith(_FRAME_LIST_ADDRESS):
        source = _frames_of_address(source, fields)
    if isinstance(source, np.ndarray) and source.ndim == 4:
        source = list(source)
    return VideoPart(
        source=tuple(source) if isinstance(source, list) else source,
        fps=_read_fps(fields),
        nframes=fields.integer("nframes"),
        min_frames=fields.integer("min_frames"),
        max_frames=fields.integer("max_frames"),
        start_seconds=fields.number("video_start"),
        end_seconds=fields.number("video_end"),
        timestamps=fields.numbers("timestamps"),
        sample_fps=fields.number("sample_fps"),
        min_pixels=fields.integer("min_pixels"),
        max_pixels=fields.integer("max_pixels"),
        total_pixels=fields.integer("total_pixels"),
        resized_height=fields.integer("resized_height"),
        resized_width=fields.integer("resized_width"),
    )


def _read_fps(fields: Fields) -> float | Literal["auto"] | None:
    value = fields.take("fps")
    if isinstance(value, str) and value == "auto":
        return "auto"
    return fields.as_number("fps", value)


def _frames_of_address(address: str, fields: Fields) -> tuple[bytes, ...]:
    try:
        return tuple(
            base64.b64decode(frame, validate=True)
            for frame in address.removeprefix(_FRAME_LIST_ADDRESS).split(",")
        )
    except ValueError as error:  # of letters beyond ASCII it is a plain one
        raise fields.error(
            f"the frames of {_FRAME_LIST_ADDRESS}... are no base64: {error}"
        ) from error


_IMAGE_KEYS = ("page", "min_pixels", "max_pixels", "resized_height", "resized_width", "detail")
_VIDEO_KEYS = {
    "fps": "fps",
    "nframes": "nframes",
    "min_frames": "min_frames",
    "max_frames": "max_frames",
    "start_seconds": "video_start",
    "end_seconds": "video_end",
    "sample_fps": "sample_fps",
    "min_pixels": "min_pixels",
    "max_pixels": "max_pixels",
    "total_pixels": "total_pixels",
    "resized_height": "resized_height",
    "resized_width": "resized_width",
}


def write_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Write messages in the dialect of qwen-vl-utils; `read_messages` restores them.

    Sources are not changed. `is_target` is not written.
    """
    written: list[dict[str, Any]] = []
    for message in messages:
        entry: dict[str, Any] = {
            "role": message.role,
            "content": [_write_part(part) for part in message.parts],
        }
        if message.tool_calls:
            entry["tool_calls"] = [
                {"type": "function", "function": dict(call)} for call in message.tool_calls
            ]
        written.append(entry)
    return written


def _write_part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        options = {key: getattr(part, key) for key in _IMAGE_KEYS}
        entry: dict[str, Any] = {"type": "image", "image": part.source}
    else:
        options = {key: getattr(part, name) for name, key in _VIDEO_KEYS.items()}
        source = list(part.source) if isinstance(part.source, tuple) else part.source
        times = None if part.timestamps is None else list(part.timestamps)
        entry = {"type": "video", "video": source}
        options["timestamps"] = times
    return entry | {key: value for key, value in options.items() if value is not None}
