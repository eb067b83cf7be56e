# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders that are made once from other files and kept in the user's cache.

Each has a receipt with the sizes of its files: a folder without one, or with another size, is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from finesight import files
from finesight.errors import WeightsError

__all__ = ["cached_folder", "sha256_of", "write_receipt"]

_RECEIPT = "assembled.json"


def cached_folder(folder: Path, make: Callable[[], None]) -> Path:
    """The folder, made if it is missing or incomplete; one process at a time makes it.

    Args:
        folder: in a cache.
        make: writes the folder at once (`files.whole_folder`), with its receipt.

    Raises:
        WeightsError: the cache cannot be written.
    """
    if _is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        guard = files.lock(folder.with_name(f".{folder.name}.lock"), waits=True)
    except OSError as error:
        raise WeightsError(
            f"{folder} cannot be written: {error.strerror}",
            hint="make the cache folder writable, or set XDG_CACHE_HOME to another",
        ) from error
    with guard:
        if not _is_whole(folder):  # another process may have made it
            make()
    return folder


def write_receipt(draft: Path) -> None:
    """Write the receipt of a folder whose other files are complete."""
    sizes = {path.name: path.stat().st_size for path in draft.iterdir()}
    (draft / _RECEIPT).write_text(json.dumps(sizes), encoding="utf-8")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _RECEIPT).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False
