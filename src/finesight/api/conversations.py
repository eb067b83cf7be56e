# SPDX-License-Identifier: Apache-2.0
"""Conversations as users give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from finesight.conversation import Conversation, Message
from finesight.errors import ConfigError
from finesight.text.messages import conversation_from as read_conversation

__all__ = ["Messages", "as_conversation", "as_conversations"]

Messages: TypeAlias = Conversation | Sequence[Mapping[str, Any]]
"""A `Conversation`, or messages in the format of qwen-vl-utils or OpenAI."""


def as_conversation(messages: Messages) -> Conversation:
    """Messages of any accepted kind as a `Conversation`."""
    if isinstance(messages, Conversation):
        return messages
    return read_conversation(messages)


def as_conversations(conversations: Sequence[Messages]) -> list[Conversation]:
    """Several conversations, each of any accepted kind.

    Raises:
        ConfigError: it is a single conversation, or one of them is malformed.
    """
    entries = conversations if isinstance(conversations, (list, tuple)) else None
    if entries is None or any(isinstance(entry, (Mapping, Message)) for entry in entries):
        raise ConfigError(
            f"a list of conversations is needed, not a {_kind_given(conversations)}",
            hint="put a single conversation into a list, or use answer(conversation)",
        )
    return [as_conversation(entry) for entry in entries]


def _kind_given(conversations: object) -> str:
    is_list = isinstance(conversations, (list, tuple))
    return "list of messages" if is_list else type(conversations).__name__
