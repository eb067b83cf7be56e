# SPDX-License-Identifier: Apache-2.0
r"""The format of Qwen2.5-VL's own fine-tuning code, which is that of LLaVA.

`{"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", ...}]}`;
`image` and `video` are a path or a list of paths, `data_path` a folder before them. A list of such rows (packed data)
is read as single rows.

Source: QwenLM/Qwen2.5-VL, qwen-vl-finetune/README.md.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from finesight.data.formats.chat import SHAREGPT, place_media, read_tools, read_turns, sources
from finesight.data.formats.draft import Draft, Turn
from finesight.data.formats.rows import Row, known, text_field
from finesight.media.source import scheme_of

__all__ = ["read_row"]


def read_row(row: Row) -> Draft:
    """The draft of a row.

    Raises:
        RowRefused: it cannot be read.
    """
    columns = known(row)
    folder = text_field(columns, "data_path")
    turns = read_turns(columns.pop("conversations", None), SHAREGPT, name="conversations")
    images, videos = (
        [
            _inside(folder, source)
            for name in names
            for source in sources(columns.pop(name, None), name)
        ]
        for names in (("image", "images"), ("video", "videos"))
    )
    place_media(turns, images, videos, is_marked=True)
    if system := text_field(columns, "system"):
        turns.insert(0, Turn("system", [system]))
    tools = read_tools(columns.pop("tools", None))
    meta = {"source_id": str(columns.pop("id"))} if "id" in columns else {}
    return Draft(turns=turns, tools=tools, meta=meta, ignored=list(columns))


def _inside(folder: str, source: Any) -> Any:
    is_path = isinstance(source, str) and not scheme_of(source)
    return str(PurePath(folder) / source) if folder and is_path else source
