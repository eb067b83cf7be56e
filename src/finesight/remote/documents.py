# SPDX-License-Identifier: Apache-2.0
"""Files among the parts of a message: each page of a PDF becomes a picture.

| part | file |
|---|---|
| `{"type": "file", "file": {"file_data": ..., "filename": ...}}` | OpenAI, chat completions |
| `{"type": "input_file", "file_data": ... or "file_url": ...}` | OpenAI, responses |

`file_data` is a `data:` address or base64. `pages`, `min_pixels` and `max_pixels` beside it are additions. A picture
file becomes a picture, a text file a text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.media.image import num_pages as pages_of_picture
from finesight.media.pages import page_numbers
from finesight.media.pdf import num_pages
from finesight.media.source import UNKNOWN_KIND, kind_of, localize

OpenFile = Callable[[str], bytes | Path]
"""Gives the file at an address or a path, or refuses it with a `FinesightError`."""

_TYPES = ("file", "input_file")
_KNOWN = (
    "file_data",
    "file_url",
    "filename",
    "file_id",
    "pages",
    "min_pixels",
    "max_pixels",
    "detail",
)
_HEAD_BYTES = 32
_MOST_PAGES = 1000


def any_file(address: str) -> bytes | Path:
    """Open a file wherever it is: for callers that run on the user's own machine."""
    return localize(address, kind="document").data


def with_pages(messages: Any, open_file: OpenFile) -> Any:
    """Messages whose files are replaced by the pictures of their pages; anything else unchanged.

    Args:
        messages: plain JSON, as a client sent them.
        open_file: opens files that are given by an address.

    Raises:
        FinesightError: a file cannot be opened, or is neither a PDF, a picture nor a text.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)):
        return messages
    return [_with_pages(message, number, open_file) for number, message in enumerate(messages)]


def _with_pages(message: Any, number: int, open_file: OpenFile) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list) or not any(_is_file(part) for part in content):
        return message
    parts: list[Any] = []
    for index, part in enumerate(content):
        if not _is_file(part):
            parts.append(part)
            continue
        try:
            parts += _parts_of(part, open_file)
        except ConfigError as error:
            where = f"message {number}, part {index}: "
            raise ConfigError(where + error.message, hint=error.hint) from error
    return {**message, "content": parts}


def _is_file(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _TYPES


def _parts_of(part: Mapping[str, Any], open_file: OpenFile) -> list[dict[str, Any]]:
    fields = {name: value for name, value in part.items() if name != "type" and value is not None}
    inner = fields.pop("file", None)
    if isinstance(inner, Mapping):
        fields = {**{name: value for name, value in inner.items() if value is not None}, **fields}
    elif inner is not None:
        raise ConfigError(f"file is {shown(inner)}", hint="it is an object with file_data")
    if unknown := [name for name in fields if name not in _KNOWN]:
        raise ConfigError(f"unknown key {shown(unknown[0])}", hint=f"known: {', '.join(_KNOWN)}")
    if "file_id" in fields:
        raise ConfigError("file_id names a stored file, but none is stored", hint="give file_data")
    data = opened_file(fields, open_file)
    options: dict[str, Any] = {
        name: fields[name] for name in ("min_pixels", "max_pixels", "detail") if name in fields
    }
    said = str(fields.get("file_data", "")).startswith("data:application/pdf")
    name = fields.get("filename")
    is_pdf = said or (isinstance(name, str) and name.lower().endswith(".pdf"))
    return _shown(data, name, fields.get("pages"), options, is_pdf)


def opened_file(fields: Mapping[str, Any], open_file: OpenFile) -> bytes | Path:
    """The file of `file_data` or `file_url`.

    Args:
        fields: have one of the two.
        open_file: opens an address.

    Raises:
        ConfigError: not exactly one is given, or `file_data` is neither a `data:` address nor base64.
        MediaError: the address cannot be opened.
    """
    given = [name for name in ("file_data", "file_url") if name in fields]
    if len(given) != 1 or not isinstance(fields[given[0]], str):
        raise ConfigError(
            f"the file has {' and '.join(given) or 'no data'}",
            hint="give file_data, a data: address or base64, or file_url",
        )
    value: str = fields[given[0]]
    if given[0] == "file_url":
        return open_file(value)
    if value.startswith("data:"):
        return localize(value, kind="document").data
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"file_data is neither a data: address nor base64: {error}") from error


def _shown(
    data: bytes | Path, filename: Any, pages: Any, options: Mapping[str, Any], is_pdf: bool
) -> list[dict[str, Any]]:
    """The parts that show a file; `is_pdf` is what the client says of it, and then no text is shown."""
    local = localize(data, kind="document")
    kind = kind_of(local.head(_HEAD_BYTES))
    if kind == "PDF document":
        numbers = page_numbers(pages, num_pages(data))
        if len(numbers) > _MOST_PAGES:
            raise ConfigError(
                f"{len(numbers):,} pages; at most {_MOST_PAGES:,} are shown", hint='give "pages"'
            )
        return [{"type": "image", "image": data, "page": page, **options} for page in numbers]
    if "picture" in kind:
        if pages is None:
            return [{"type": "image", "image": data, **options}]
        numbers = page_numbers(pages, pages_of_picture(data))
        return [{"type": "image", "image": data, "page": page, **options} for page in numbers]
    text = _text_of(data) if kind == "text file" or kind.startswith(UNKNOWN_KIND) else None
    if text is None or is_pdf:
        raise ConfigError(
            f"the file {shown(filename or 'without a name')} is "
            + ("given as a PDF, but holds text" if text is not None else f"a {kind}"),
            hint="a PDF, a picture or a text in UTF-8 can be shown",
        )
    if pages is not None or options:
        raise ConfigError(f"{', '.join(('pages', *options))[:80]} given with a text file")
    return [{"type": "text", "text": text}]


def _text_of(data: bytes | Path) -> str | None:
    raw = data if isinstance(data, bytes) else data.read_bytes()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if all(letter.isprintable() or letter.isspace() for letter in text) else None
