# SPDX-License-Identifier: Apache-2.0
"""Labels in a request: fields that clients send for other programs, and that change nothing here.

The chat template of Qwen2.5-VL writes roles, texts, media and calls of functions. It has no place for `name` and
`tool_call_id` of a message, so results of functions are told apart by their order alone. `cache_control` steers a cache
of another service.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from finesight.remote.chat_request import LABELS
from finesight.text.client_shapes import MESSAGE_LABELS, PART_LABELS
from finesight.text.message_fields import holds_nothing

_LISTS = ("messages", "input")
_OTHERS = ("phase", "tool_name")
"""Labels of the responses format and of Ollama."""
_CALLS = ("function_call", "function_call_output")
"""Items of the responses format, whose `id` and `status` are those of an earlier response."""


def labels_in(body: Any) -> tuple[str, ...]:
    """The labels of a request, such as `user` and `messages[].name`, each once.

    Args:
        body: plain JSON, not checked yet.
    """
    if not isinstance(body, Mapping):
        return ()
    found = dict.fromkeys(_present(body, LABELS))
    for name in _LISTS:
        for message in _objects(body.get(name)):
            where = f"{name}[]"
            is_call = message.get("type") in _CALLS
            known = ("id", "status") if is_call else (*MESSAGE_LABELS, *_OTHERS)
            found |= dict.fromkeys(f"{where}.{each}" for each in _present(message, known))
            for part in _objects(message.get("content")):
                labels = _present(part, PART_LABELS)
                found |= dict.fromkeys(f"{where}.content[].{each}" for each in labels)
    return tuple(found)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _present(fields: Mapping[str, Any], names: Collection[str]) -> list[str]:
    return [name for name in names if not holds_nothing(fields.get(name))]
