# SPDX-License-Identifier: Apache-2.0
"""Serialise a record: its media as files, the rest as JSON.

The JSON contains the messages in the format of qwen-vl-utils (`finesight.text.messages`), with the names of the
record's files as media: `{"type": "image", "image": "0.png"}`. Pixels are stored as PNG, bytes unchanged. Pictures are
decoded when a record is read, so that an error can name the record. Videos are not decoded, because the processor
chooses their frames.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ConfigDict, TypeAdapter, ValidationError

from finesight.conversation import Conversation, ImagePart, Message, Part, TextPart
from finesight.data.places import Place
from finesight.data.record import Augmentation, Glyph, Record, Truth
from finesight.errors import FinesightError, RecordInvalid
from finesight.media.image import load_image
from finesight.media.pdf import load_page
from finesight.text.messages import read_messages, write_messages

__all__ = ["as_png", "decode_record", "encode_record"]

_SUFFIXES = (
    (b"\x89PNG", 0, "png"),
    (b"\xff\xd8\xff", 0, "jpg"),
    (b"WEBP", 8, "webp"),
    (b"ftyp", 4, "mp4"),
    (b"\x1a\x45\xdf\xa3", 0, "webm"),
)
"""Magic bytes, their offset, and the file name extension; the extension of other files is "bin"."""


@dataclass(frozen=True, slots=True)
class _Body:
    """The JSON of a record; default values are not written."""

    __pydantic_config__ = ConfigDict(extra="forbid", defer_build=True)

    id: str
    messages: list[dict[str, Any]]
    meta: dict[str, Any]
    tools: list[dict[str, Any]] = field(default_factory=list)
    truth: tuple[Truth, ...] = ()
    any_order: bool = False
    allows: tuple[Augmentation, ...] = ()
    places: tuple[Place, ...] = ()
    rejected: list[dict[str, Any]] = field(default_factory=list)


_BODY = TypeAdapter(_Body)


def encode_record(record: Record) -> tuple[list[tuple[str, bytes]], bytes]:
    """Serialise a record.

    Returns:
        `(name, content)` of each file, with names such as `0.png`, and the JSON.

    Raises:
        RecordInvalid: a value of `meta` or of the tools cannot be written as JSON.
    """
    files: list[tuple[str, bytes]] = []
    body = _Body(
        id=record.id,
        messages=_named_messages(record.conversation.messages, files),
        meta=dict(record.meta),
        tools=[dict(tool) for tool in record.conversation.tools],
        truth=tuple(_rounded(truth) for truth in record.truth),
        any_order=record.any_order,
        allows=record.allows,
        places=record.places,
        rejected=_named_messages(record.rejected, files),
    )
    try:
        return files, _BODY.dump_json(body, exclude_defaults=True)
    except ValueError as error:  # its subclass is only in pydantic_core
        raise RecordInvalid(f"record {record.id!r} cannot be written as JSON: {error}") from error


def decode_record(files: Sequence[bytes], body: bytes) -> Record:
    """Inverse of `encode_record`; pictures are writable and own their memory.

    Args:
        files: contents in the order of `encode_record`.
        body: the JSON.

    Raises:
        RecordInvalid: a file does not decode, or a field is missing, unknown or of the wrong type.
    """
    try:
        stored = _BODY.validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordInvalid(
            f"record of {len(body)} JSON bytes does not decode: {where}: {first['msg']}"
        ) from error
    try:
        messages = tuple(_messages(stored.messages, files))
        rejected = tuple(_messages(stored.rejected, files))
    except (FinesightError, IndexError, ValueError) as error:
        reason = error.message if isinstance(error, FinesightError) else error
        raise RecordInvalid(f"record {stored.id!r}, media: {reason}") from error
    return Record(
        id=stored.id,
        conversation=Conversation(messages, tuple(stored.tools)),
        truth=stored.truth,
        any_order=stored.any_order,
        allows=stored.allows,
        meta=stored.meta,
        places=stored.places,
        rejected=rejected,
    )


def _named_messages(
    messages: Sequence[Message], files: list[tuple[str, bytes]]
) -> list[dict[str, Any]]:
    """Messages with file names in place of their media, whose contents are appended to `files`."""
    written = []
    for message in messages:
        named = replace(message, parts=tuple(_named(part, files) for part in message.parts))
        (entry,) = write_messages([named])
        if all(isinstance(part, TextPart) for part in message.parts) and len(message.parts) == 1:
            entry["content"] = entry["content"][0]["text"]
        if not message.is_target:
            entry["is_target"] = False
        written.append(entry)
    return written


def _named(part: Part, files: list[tuple[str, bytes]]) -> Part:
    if isinstance(part, TextPart):
        return part
    if isinstance(part.source, tuple):
        return replace(part, source=tuple(_add(source, files) for source in part.source))
    return replace(part, source=_add(part.source, files))


def _add(source: Any, files: list[tuple[str, bytes]]) -> str:
    content = source if isinstance(source, bytes) else as_png(source)
    found = (suffix for head, at, suffix in _SUFFIXES if content[at : at + len(head)] == head)
    files.append((f"{len(files)}.{next(found, 'bin')}", content))
    return files[-1][0]


def as_png(pixels: np.ndarray) -> bytes:
    """A picture, `uint8[H, W, 3]`, as a PNG file."""
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG", compress_level=2)
    return png.getvalue()


def _rounded(truth: Truth) -> Truth:
    """Character centres rounded to a tenth of a pixel."""
    if truth.glyphs is None:
        return truth
    glyphs = (Glyph(one.char, round(one.x, 1), round(one.y, 1), one.order) for one in truth.glyphs)
    return replace(truth, glyphs=tuple(glyphs))


def _messages(entries: Sequence[dict[str, Any]], files: Sequence[bytes]) -> Iterator[Message]:
    targets = [entry.pop("is_target", True) for entry in entries]
    for message, is_target in zip(read_messages(entries), targets, strict=True):
        if is_target and all(isinstance(part, TextPart) for part in message.parts):
            yield message  # the common case: nothing to replace
            continue
        parts = tuple(_filled(part, files) for part in message.parts)
        yield replace(message, parts=parts, is_target=is_target)


def _filled(part: Part, files: Sequence[bytes]) -> Part:
    """The part with its media in place of the file names."""
    if isinstance(part, TextPart):
        return part
    if isinstance(part, ImagePart):
        return replace(part, source=_pixels(part.source, files, page=part.page), page=None)
    if isinstance(part.source, tuple):
        return replace(part, source=tuple(_pixels(name, files) for name in part.source))
    return replace(part, source=_file(part.source, files))


def _file(name: Any, files: Sequence[bytes]) -> bytes:
    return files[int(str(name).partition(".")[0])]


def _pixels(name: Any, files: Sequence[bytes], *, page: int | None = None) -> np.ndarray:
    content = _file(name, files)
    return np.array(load_image(content) if page is None else load_page(content, page))
