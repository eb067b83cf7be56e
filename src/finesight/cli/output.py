# SPDX-License-Identifier: Apache-2.0
"""Print JSON results, and check before long work that output files can be written."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.errors import ConfigError


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object; characters that the output's encoding lacks become JSON escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    sys.stdout.write(text + "\n")


def check_report(path: Path) -> None:
    """Check that an HTML page can be written; another suffix is refused, as it could overwrite a picture or answers.

    Raises:
        ConfigError: the file name has no HTML suffix, or the file cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"{str(path)[:160]} is no HTML file name", hint="give a name that ends in .html"
        )
    check_writable(path, is_folder=False)


def check_writable(path: Path, *, is_folder: bool) -> None:
    """Check before long work that its result can be written; leaves nothing behind.

    Raises:
        ConfigError: the path is a file instead of a folder or the reverse, or it cannot be created or written.
    """
    try:
        if is_folder and path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file, but a folder is needed")
        if not is_folder and path.exists() and not path.is_file():
            kind = "folder" if path.is_dir() else "device"
            raise ConfigError(f"{path} is a {kind}, but a file is needed")
        whole = path.absolute()
        existing = next(each for each in (whole, *whole.parents) if each.is_dir())
        missing = whole.relative_to(existing).parts
        below = existing.joinpath(*missing[:1])
        if (is_folder or missing[1:]) and below != existing and below.is_symlink() | below.exists():
            kind = "file" if below.exists() else "dangling link"
            raise ConfigError(f"{path} cannot be written: {below} is a {kind}")
        # Permissions do not reveal /proc, a full disk or a name that is too long; only writing does.
        with tempfile.TemporaryDirectory(dir=existing, prefix=".") as scratch:
            Path(scratch, *missing).mkdir(parents=True, exist_ok=True)
            Path(scratch, "probe").write_bytes(b"\n")
    except OSError as error:
        raise ConfigError(f"{str(path)[:160]} cannot be written: {error.strerror}") from error


def readable_size(count: float) -> str:
    """A number of bytes with a unit."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def readable_duration(seconds: float) -> str:
    """A time with a unit."""
    if seconds < 0.095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
