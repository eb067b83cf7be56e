# SPDX-License-Identifier: Apache-2.0
"""Reads webdataset tars: files of one sample have one name up to the first dot, `00017.jpg` and `00017.json`.

A `json` member is the row. If it names no media, its media are those of the sample. Without it, a `txt` member is the
caption of the sample.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finesight.data.formats.rows import Row, RowRefused
from finesight.media.source import kind_of

__all__ = ["read_tar"]

LARGEST_MEMBER = 2**31
"""Largest file of a sample, in bytes."""
_TEXTS = ("txt", "text", "caption")
_MEDIA_COLUMNS = ("image", "images", "video", "videos")


def read_tar(path: Path) -> Iterator[Row]:
    """Rows of a tar, also of a compressed one; links and folders inside it are passed over."""
    members: dict[str, bytes] = {}
    before: str | None = None
    number = 1
    try:
        with tarfile.open(path, "r|*") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, slash, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                key = f"{folder}{slash}{stem}"
                if key != before and members:
                    yield _row(path, number, members)
                    number += 1
                    members = {}
                before = key
                members[ending.lower()] = _content(tar, member)
        if members:
            yield _row(path, number, members)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        message = f"the tar is damaged from here on: {error}"
        yield Row(f"{path.name}, row {number}", refused=RowRefused("unreadable", message))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > LARGEST_MEMBER:
        raise ValueError(f"{member.name} has {member.size:,} bytes, at most {LARGEST_MEMBER:,}")
    file = tar.extractfile(member)
    content = file.read() if file else b""
    if len(content) != member.size:
        raise ValueError(f"{member.name} ends after {len(content):,} of {member.size:,} bytes")
    return content


def _row(path: Path, number: int, members: dict[str, bytes]) -> Row:
    place = f"{path.name}, row {number}"
    value: dict[str, Any] = {}
    try:
        if "json" in members:
            found = json.loads(members["json"])
            value = found if isinstance(found, dict) else {"conversations": found}
        for name in _TEXTS:
            if name in members:
                value.setdefault("caption", members[name].decode())
    except (ValueError, RecursionError) as error:
        message = f"its json or txt cannot be read: {error}"
        return Row(place, refused=RowRefused("unreadable", message))
    if not any(value.get(column) for column in _MEDIA_COLUMNS):
        kinds = {name: kind_of(content[:32]) for name, content in members.items()}
        for column, word in (("images", "picture"), ("videos", "video")):
            if names := [name for name, kind in kinds.items() if kind.endswith(word)]:
                value[column] = names
    return Row(place, value, files=members)
