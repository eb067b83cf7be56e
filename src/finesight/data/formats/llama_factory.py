# SPDX-License-Identifier: Apache-2.0
"""The formats of LLaMA-Factory: sharegpt and alpaca, with the names of columns and tags from `dataset_info.json`.

The description of a file is the entry of `dataset_info.json`, in the same folder, that names it. Without one, the
default names hold.

Source: hiyouga/LLaMA-Factory, data/README.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from finesight.data.formats.chat import (
    CHAT,
    SHAREGPT,
    Tags,
    place_media,
    read_tools,
    read_turns,
    sources,
)
from finesight.data.formats.draft import Draft, Turn
from finesight.data.formats.rows import Row, RowRefused, known, text_field
from finesight.errors import ConfigError
from finesight.inputs import shown

__all__ = ["INFO_FILE", "DatasetInfo", "info_of", "read_row"]

INFO_FILE = "dataset_info.json"
_COLUMNS = {
    **{name: name for name in ("system", "tools", "images", "videos", "audios", "history")},
    **{name: name for name in ("messages", "chosen", "rejected", "kto_tag")},
    "prompt": "instruction",
    "query": "input",
    "response": "output",
}
_TAGS = ("user", "assistant", "observation", "function", "system")
_ROLES_OF_TAGS = ("user", "assistant", "tool", "call", "system")


@dataclass(frozen=True)
class DatasetInfo:
    """How LLaMA-Factory reads a file.

    Attributes:
        is_alpaca: alpaca instead of sharegpt.
        is_ranking: whether rows have a better and a worse answer.
        columns: its name of a column -> that of the file.
        tags: names in lists of messages; None: those of the row's own style.
    """

    is_alpaca: bool = False
    is_ranking: bool = False
    columns: dict[str, str] = field(default_factory=lambda: dict(_COLUMNS))
    tags: Tags | None = None


def info_of(path: Path) -> DatasetInfo | None:
    """The description of a file; None without an entry that names it.

    Raises:
        ConfigError: `dataset_info.json` cannot be read.
    """
    info = path.parent / INFO_FILE
    if not info.is_file() or info == path:
        return None
    try:
        entries = json.loads(info.read_text(encoding="utf-8-sig"))
        found = [
            entry
            for entry in entries.values()
            if (path.parent / str(entry.get("file_name", ""))) in (path, path.parent / path.name)
        ]
        return _info(found[0]) if found else None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{info} cannot be read: {error}", hint="correct it, or force another --format"
        ) from error


def _info(entry: dict[str, Any]) -> DatasetInfo:
    is_alpaca = entry.get("formatting", "alpaca") == "alpaca"
    given = entry.get("tags")
    tags = None
    if given or not is_alpaca:
        given = given or {}
        names = {
            "user": "human",
            "assistant": "gpt",
            "observation": "observation",
            "function": "function_call",
            "system": "system",
        }
        roles = {
            str(given.get(f"{name}_tag", names[name])): role
            for name, role in zip(_TAGS, _ROLES_OF_TAGS, strict=True)
        }
        tags = Tags(given.get("role_tag", "from"), given.get("content_tag", "value"), roles)
    columns = _COLUMNS | ({} if is_alpaca else {"messages": "conversations"})
    return DatasetInfo(
        is_alpaca, bool(entry.get("ranking")), columns | dict(entry.get("columns") or {}), tags
    )


def read_row(row: Row, info: DatasetInfo | None = None) -> Draft:
    """The draft of a row.

    Args:
        row: of a file.
        info: its description; the default names without one.

    Raises:
        RowRefused: it cannot be read.
    """
    columns = known(row)
    info = info or _default(columns)
    take = partial(_take, columns, info)
    if take("kto_tag") is False:
        raise RowRefused("columns", "its kto_tag is false: the answer is not to be learned")
    if take("audios"):
        raise RowRefused("columns", "audios cannot be used", hint="leave these rows out")
    turns, rejected = _alpaca(take, info) if info.is_alpaca else _sharegpt(take, info, columns)
    images, videos = sources(take("images"), "images"), sources(take("videos"), "videos")
    place_media(turns, images, videos, is_marked=True)
    if system := text_field(columns, info.columns["system"]):
        turns.insert(0, Turn("system", [system]))
    tools = read_tools(take("tools"))
    return Draft(turns=turns, rejected=rejected, tools=tools, ignored=list(columns))


def _default(columns: dict[str, Any]) -> DatasetInfo:
    is_alpaca = bool(columns.keys() & {"instruction", "query"})
    names = dict(_COLUMNS) | ({"messages": "conversations"} if "conversations" in columns else {})
    if "query" in columns:  # ms-swift's names of the columns of alpaca
        names |= {"prompt": "query", "query": "input", "response": "response"}
    return DatasetInfo(is_alpaca, "rejected" in columns, names)


def _take(columns: dict[str, Any], info: DatasetInfo, name: str) -> Any:
    return columns.pop(info.columns[name], None)


def _sharegpt(
    take: Any, info: DatasetInfo, columns: dict[str, Any]
) -> tuple[list[Turn], list[Turn]]:
    name = info.columns["messages"]
    entries = columns.get(name)
    turns = read_turns(take("messages"), info.tags or _style(entries), name=name)
    if not info.is_ranking:
        return turns, []
    answers = [
        read_turns([answer], info.tags or _style([answer]), name=key)
        for key in ("chosen", "rejected")
        for answer in [take(key)]
    ]
    return [*turns, *answers[0]], answers[1]


def _style(entries: Any) -> Tags:
    first = entries[0] if isinstance(entries, list) and entries else None
    return SHAREGPT if isinstance(first, dict) and "from" in first else CHAT


def _alpaca(take: Any, info: DatasetInfo) -> tuple[list[Turn], list[Turn]]:
    question = "\n".join(filter(None, (_text(take, "prompt"), _text(take, "query"))))
    turns: list[Turn] = []
    history = take("history") or []
    if not isinstance(history, list):
        raise RowRefused("columns", f"history is {shown(history)}, expected a list of pairs")
    for pair in history:
        if not isinstance(pair, list) or [type(text) for text in pair] != [str, str]:
            raise RowRefused("columns", f"history has {shown(pair)}, expected pairs of texts")
        turns += [Turn("user", [pair[0]]), Turn("assistant", [pair[1]])]
    better, worse = ("chosen", "rejected") if info.is_ranking else ("response", "")
    turns += [Turn("user", [question]), Turn("assistant", [_text(take, better)])]
    return turns, [Turn("assistant", [_text(take, worse)])] if worse else []


def _text(take: Any, name: str) -> str:
    value = take(name)
    if not isinstance(value, (str, type(None))):
        raise RowRefused("columns", f"{name} is a {type(value).__name__}, expected a text")
    return value or ""
