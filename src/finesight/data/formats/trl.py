# SPDX-License-Identifier: Apache-2.0
"""The formats of TRL: `messages`, `prompt` with `completion`, and `prompt` with `chosen` and `rejected`.

Each is a text or a list of messages. Pictures are in the column `images` (or `image`); parts `{"type": "image"}` say
where they are, else they come first. Chosen and rejected conversations may contain the prompt themselves; a column
`prompt` or `messages` then repeats what they say.

Source: huggingface/trl, docs/source/dataset_formats.md.
"""

from __future__ import annotations

from typing import Any

from finesight.data.formats.chat import CHAT, place_media, read_tools, read_turns, sources
from finesight.data.formats.draft import Draft, Turn
from finesight.data.formats.rows import Row, RowRefused, known

__all__ = ["read_row"]


def read_row(row: Row) -> Draft:
    """The draft of a row.

    Raises:
        RowRefused: it cannot be read.
    """
    columns = known(row)
    turns, rejected = _turns(columns)
    images = [
        source for name in ("image", "images") for source in sources(columns.pop(name, None), name)
    ]
    videos = [
        source for name in ("video", "videos") for source in sources(columns.pop(name, None), name)
    ]
    if images or videos:
        place_media(turns, images, videos, is_marked=False)
    tools = read_tools(columns.pop("tools", None))
    meta = {"source_id": str(columns.pop("id"))} if "id" in columns else {}
    return Draft(turns=turns, rejected=rejected, tools=tools, meta=meta, ignored=list(columns))


def _turns(columns: dict[str, Any]) -> tuple[list[Turn], list[Turn]]:
    """The conversation, and the worse answer."""
    is_pair = columns.keys() >= {"chosen", "rejected"}
    if "messages" in columns and not is_pair:
        return read_turns(columns.pop("messages"), CHAT), []
    prompt = _side(columns, "prompt", "user") if "prompt" in columns else []
    if "chosen" not in columns:
        return [*prompt, *_side(columns, "completion", "assistant")], []
    if not is_pair:
        raise RowRefused("columns", "there is a chosen answer without a rejected one")
    chosen, rejected = (_side(columns, name, "assistant") for name in ("chosen", "rejected"))
    asked = max((n for n, turn in enumerate(chosen) if turn.role == "user"), default=-1) + 1
    if not asked:
        if not prompt and "messages" in columns:
            prompt = read_turns(columns.pop("messages"), CHAT)
        return [*prompt, *chosen], rejected
    if rejected[:asked] != chosen[:asked]:
        raise RowRefused("columns", "chosen and rejected answer different prompts")
    if prompt and _words(prompt[-1]) != _words(chosen[asked - 1]):
        raise RowRefused("columns", "prompt differs from the last question of chosen")
    return chosen, rejected[asked:]


def _words(turn: Turn) -> list[str]:
    """The words of a turn without its pictures."""
    text = " ".join(piece for piece in turn.pieces if isinstance(piece, str))
    return text.replace("<image>", " ").split()


def _side(columns: dict[str, Any], name: str, role: Any) -> list[Turn]:
    value = columns.pop(name, None)
    return [Turn(role, [value])] if isinstance(value, str) else read_turns(value, CHAT, name=name)
