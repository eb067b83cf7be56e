# SPDX-License-Identifier: Apache-2.0
"""Results on standard output, and whether files can be written before the long work begins."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.errors import ConfigError


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output; escapes of JSON for characters that the output cannot hold."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    sys.stdout.write(text + "\n")


def check_report(path: Path) -> None:
    """Find out whether an HTML page can be kept there; another ending would replace a picture or a run's answers.

    Raises:
        ConfigError: the name is not that of an HTML file, or the place cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"{str(path)[:160]} is no name of an HTML page", hint="give a name that ends in .html"
        )
    check_writable(path, is_folder=False)


def check_writable(path: Path, *, is_folder: bool) -> None:
    """Find out before the long work whether its result can be kept; leaves nothing behind.

    Raises:
        ConfigError: the place is of another kind, cannot be made, or is not ours to write to.
    """
    try:
        if is_folder and path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file, a folder is needed")
        if not is_folder and path.exists() and not path.is_file():
            kind = "folder" if path.is_dir() else "device"
            raise ConfigError(f"{path} is a {kind}, a file is needed")
        whole = path.absolute()
        existing = next(each for each in (whole, *whole.parents) if each.is_dir())
        missing = whole.relative_to(existing).parts
        below = existing.joinpath(*missing[:1])
        if (is_folder or missing[1:]) and below != existing and below.is_symlink() | below.exists():
            kind = "file" if below.exists() else "link to nowhere"
            raise ConfigError(f"{path} cannot be written: {below} is a {kind}")
        # Permissions say nothing of /proc, of a full disk or of a name that is too long: only writing does.
        with tempfile.TemporaryDirectory(dir=existing, prefix=".") as scratch:
            Path(scratch, *missing).mkdir(parents=True, exist_ok=True)
            Path(scratch, "probe").write_bytes(b"\n")
    except OSError as error:
        raise ConfigError(f"{str(path)[:160]} cannot be written: {error.strerror}") from error
