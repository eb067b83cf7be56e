# SPDX-License-Identifier: Apache-2.0
"""The chat format of OpenAI, one conversation a line, and messages of qwen-vl-utils: media are parts of messages.

Preference pairs are `{"input": {"messages": ...}, "preferred_output": [...], "non_preferred_output": [...]}`.

Source: OpenAI's guides on vision and preference fine-tuning; `finesight.text.messages`.
"""

from __future__ import annotations

from finesight.data.formats.chat import CHAT, read_tools, read_turns
from finesight.data.formats.draft import Draft
from finesight.data.formats.rows import Row, known

__all__ = ["read_row"]


def read_row(row: Row) -> Draft:
    """The draft of a row.

    Raises:
        RowRefused: it cannot be read.
    """
    columns = known(row)
    asked = columns.pop("input", columns)
    if asked is not columns:
        asked = known(Row(row.place, asked))
    turns = read_turns(asked.pop("messages", None), CHAT)
    rejected = []
    if "preferred_output" in columns:
        turns += read_turns(columns.pop("preferred_output"), CHAT, name="preferred_output")
        worse = columns.pop("non_preferred_output", None)
        rejected = read_turns(worse, CHAT, name="non_preferred_output")
    tools = read_tools(asked.pop("tools", None))
    ignored = [*columns, *(asked if asked is not columns else ())]
    return Draft(turns=turns, rejected=rejected, tools=tools, ignored=ignored)
