# SPDX-License-Identifier: Apache-2.0
"""Digests of requests: equal digests mean equal pixels, text and options.

Media are digested by content, not by path, so moving a copy changes nothing and changing a picture changes the digest.
Tools and tool calls are digested as text, because the order of their keys reaches the model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL.Image import Image

from finesight.conversation import Conversation, ImagePart, Sampling, TextPart, VideoPart
from finesight.media.source import localize, source_name
from finesight.text.chat_template import dump_json


def request_digest(conversation: Conversation, *, reads_media: bool = True) -> str:
    """Digest of a conversation: its words, its media and their options.

    Args:
        conversation: what is asked.
        reads_media: digest media by content; otherwise by name, for stored answers whose pictures may be absent.

    Raises:
        MediaError: a picture or video does not exist.
    """
    messages = [
        {
            "role": message.role,
            "parts": [_part(part, reads_media=reads_media) for part in message.parts],
            "tool_calls": [dump_json(dict(call)) for call in message.tool_calls],
        }
        for message in conversation.messages
    ]
    tools = [dump_json(dict(tool)) for tool in conversation.tools]
    return digest({"messages": messages, "tools": tools})


def sampling_values(sampling: Sampling) -> dict[str, Any]:
    """Sampling as plain JSON values."""
    values = asdict(sampling)
    values["stop"] = list(sampling.stop)
    neutral = Sampling()
    for name in _LATER_FIELDS:
        if values[name] == getattr(neutral, name):
            del values[name]
    return values


_LATER_FIELDS = (
    *("min_p", "presence_penalty", "frequency_penalty", "loop_retries"),
    *("json_schema", "regex", "choice", "grammar"),
)
"""Left out while they are not used, so that digests of runs from before they existed still hold."""


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 of plain JSON values, independent of key order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 over all files of a checkpoint folder: weights, configuration and vocabulary."""
    content = hashlib.sha256()
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        with path.open("rb") as file:
            content.update(
                f"{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
            )
    return content.hexdigest()


def _part(part: TextPart | ImagePart | VideoPart, *, reads_media: bool) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    options = {
        each.name: getattr(part, each.name) for each in fields(part) if each.name != "source"
    }
    given = {name: value for name, value in options.items() if value is not None}
    kind = "image" if isinstance(part, ImagePart) else "video"
    sources = part.source if isinstance(part.source, tuple) else (part.source,)
    name = _content if reads_media else source_name
    return {kind: [name(source) for source in sources], "options": given}


def _content(source: Any) -> str:
    """Digest of the bytes of one picture, video or document."""
    if isinstance(source, Image):
        return hashlib.sha256(f"{source.mode}{source.size}".encode() + source.tobytes()).hexdigest()
    if isinstance(source, str) and source.partition(":")[0].lower() in ("http", "https"):
        return source  # remote content is not fetched for a digest
    local = localize(source)
    if isinstance(local.data, bytes):
        return hashlib.sha256(local.data).hexdigest()
    facts = local.data.stat()
    return _file_content(local.data, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_content(path: Path, size: int, changed: int) -> str:
    """Digest of a file; size and modification time are part of the cache key, so a changed file is read again."""
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
