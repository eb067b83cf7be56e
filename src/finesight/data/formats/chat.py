# SPDX-License-Identifier: Apache-2.0
"""What the chat formats share: reading lists of messages, and putting media where their marks are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finesight.conversation import ImagePart, TextPart, VideoPart
from finesight.data.formats.draft import Piece, Turn
from finesight.data.formats.rows import RowRefused
from finesight.errors import ConfigError
from finesight.text.messages import read_messages

__all__ = ["CHAT", "SHAREGPT", "Tags", "place_media", "read_tools", "read_turns", "sources"]

_MARK = re.compile(r"\n?<(image|video)>\n?")
_WEIGHTS = ("loss", "loss_scale", "weight")
"""Keys of a message that switch its loss off: two of ms-swift, one of OpenAI's fine-tuning."""


@dataclass(frozen=True, slots=True)
class Tags:
    """Names in a list of messages.

    Attributes:
        role: key of the role.
        content: key of the content.
        roles: each name of a role, and the role; "call" is a turn of tool calls as JSON.
    """

    role: str
    content: str
    roles: Mapping[str, str]


_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "function_call": "call",
    "tool_call": "call",
    "observation": "tool",
    "tool": "tool",
    "tool_response": "tool",
}
CHAT = Tags("role", "content", _ROLES | {"developer": "system"})
SHAREGPT = Tags("from", "value", _ROLES)


def read_turns(entries: Any, tags: Tags, *, name: str = "messages") -> list[Turn]:
    """Turns of a list of messages.

    Args:
        entries: dictionaries; contents are texts or lists of parts.
        tags: names of their keys and roles.
        name: of the column, for errors.

    Raises:
        RowRefused: the list cannot be read.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise RowRefused(
            "columns", f"{name} is a {type(entries).__name__}, expected a list of messages"
        )
    turns: list[Turn] = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Mapping):
            raise RowRefused(
                "columns",
                f"{name}, message {number} is a {type(entry).__name__}, expected an object",
            )
        turn = _turn(
            {key: value for key, value in entry.items() if value is not None}, tags, number
        )
        is_call = turn.role == "assistant" and turn.tool_calls and not turn.pieces
        if is_call and turns and turns[-1].role == "assistant":  # further calls of one turn
            turns[-1].tool_calls += turn.tool_calls
        else:
            turns.append(turn)
    return turns


def _turn(entry: dict[str, Any], tags: Tags, number: int) -> Turn:
    name = entry.pop(tags.role, None)
    role = tags.roles.get(name) if isinstance(name, str) else None
    if role is None:
        known = ", ".join(sorted(tags.roles))
        raise RowRefused(
            "roles", f"message {number} has {tags.role} {name!r:.40}", hint=f"known are {known}"
        )
    content = entry.pop(tags.content, None)
    is_set = [key for key in _WEIGHTS if entry.get(key)]
    is_target = _is_target(entry, number)
    if role == "call":
        entry, content, role = {"tool_calls": _calls(content, number)}, "", "assistant"
    content = _with_marks(content) if isinstance(content, list) else content
    try:
        (message,) = read_messages([{**entry, "role": role, "content": content}])
    except ConfigError as error:
        what = error.message.removeprefix("message 0").removeprefix(": ").removeprefix(", ")
        raise RowRefused("columns", f"message {number}: {what}", hint=error.hint) from error
    pieces: list[Piece] = [
        part.text if isinstance(part, TextPart) else part for part in message.parts
    ]
    ignored = f"{is_set[0]} of {role}" if is_set and role != "assistant" else ""
    return Turn(message.role, pieces, message.tool_calls, is_target, ignored)


def _is_target(entry: dict[str, Any], number: int) -> bool:
    is_target = True
    for key in _WEIGHTS:
        value = entry.pop(key, 1)
        if value not in (0, 1):
            raise RowRefused(
                "columns", f"message {number} has {key} {value!r:.40}, expected 0 or 1"
            )
        is_target = is_target and bool(value)
    return is_target


def _calls(content: Any, number: int) -> Any:
    """Tool calls of a turn of calls: a JSON object or list, or the text of one."""
    try:
        found = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError) as error:
        raise RowRefused("columns", f"the call in message {number} is no JSON: {error}") from error
    return found if isinstance(found, list) else [found]


def _with_marks(content: list[Any]) -> list[Any]:
    """Parts such as `{"type": "image"}`, whose picture is in a column of the row, as marks."""
    changed = []
    for part in content:
        filled = (
            {key: value for key, value in part.items() if value is not None}
            if isinstance(part, Mapping)
            else part
        )
        is_mark = filled in ({"type": "image"}, {"type": "video"})
        changed.append({"type": "text", "text": f"<{filled['type']}>"} if is_mark else part)
    return changed


def sources(value: Any, name: str) -> list[Any]:
    """Media of a column: a path, address or structure of bytes, or a list of them.

    Raises:
        RowRefused: one of them is something else.
    """
    found: list[Any] = []
    for entry in value if isinstance(value, list) else [] if value is None else [value]:
        if isinstance(entry, Mapping):  # as the library datasets stores pictures
            entry = entry.get("bytes") or entry.get("path")
        if isinstance(entry, list) and entry and name.startswith("video"):
            found.append(tuple(sources(entry, "frames")))
        elif isinstance(entry, (str, bytes)) and entry:
            found.append(entry)
        else:
            raise RowRefused(
                "columns",
                f"{name} has a {type(entry).__name__}, expected paths, addresses or bytes",
            )
    return found


def place_media(
    turns: Sequence[Turn], images: Sequence[Any], videos: Sequence[Any], *, is_marked: bool
) -> None:
    """Put media in place of the marks `<image>` and `<video>` of user and tool turns.

    A line break next to a mark is removed: a prompt has none between a picture and its question.

    Args:
        turns: changed in place.
        images: sources of the pictures, in order of the marks.
        videos: likewise.
        is_marked: whether each picture needs a mark; else media without any marks come first.

    Raises:
        RowRefused: there are more or fewer marks than media.
    """
    asked = [turn for turn in turns if turn.role in ("user", "tool")]
    texts = [piece for turn in asked for piece in turn.pieces if isinstance(piece, str)]
    found = [mark for text in texts for mark in _MARK.findall(text)]
    parts: list[Piece] = [
        *(ImagePart(source=source) for source in images),
        *(VideoPart(source=source) for source in videos),
    ]
    if not found and not is_marked and asked:
        asked[0].pieces[:0] = parts
        return
    for name, given in (("image", images), ("video", videos)):
        if (number := found.count(name)) != len(given):
            raise RowRefused(
                "marks",
                f"the turns of the user have {number} x <{name}>, but the row has {len(given)} x {name}",
                hint=f"write one mark <{name}> for each {name}, in order",
            )
    left = {"image": iter(parts[: len(images)]), "video": iter(parts[len(images) :])}
    for turn in asked:
        turn.pieces = [
            new
            for piece in turn.pieces
            for new in (_expanded(piece, left) if isinstance(piece, str) else [piece])
        ]


def _expanded(text: str, left: Mapping[str, Iterator[Piece]]) -> Iterator[Piece]:
    for index, piece in enumerate(_MARK.split(text)):
        if index % 2:
            yield next(left[piece])
        elif piece:
            yield piece


def read_tools(value: Any) -> list[Mapping[str, Any]]:
    """Function signatures: a list, or the text of one.

    Raises:
        RowRefused: they cannot be read.
    """
    try:
        tools = json.loads(value) if isinstance(value, str) and value.strip() else value or []
        entries = tools if isinstance(tools, list) else [tools]
        read = [json.loads(entry) if isinstance(entry, str) else entry for entry in entries]
    except (ValueError, RecursionError) as error:
        raise RowRefused("columns", f"tools are no JSON: {error}") from error
    for number, tool in enumerate(read, 1):
        inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
            raise RowRefused("columns", f"tool {number} has no function name")
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in read]
