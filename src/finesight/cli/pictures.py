# SPDX-License-Identifier: Apache-2.0
"""Values of `--image`: a file, a URL, a folder of pictures, or "-" for standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from finesight.errors import ConfigError, MediaTooLarge
from finesight.media.fetch import FetchPolicy

MOST_IN_FOLDER = 1000
"""Largest number of pictures in one folder; a larger folder is refused rather than truncated."""

_SUFFIX = re.compile(
    r"\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|bmp|dib|avif|hei[cf]|jp2|j2k|p[pgbn]m|ico|qoi)",
    re.IGNORECASE,
)


def expand(images: Sequence[str]) -> list[list[str | bytes]]:
    """The pictures of each value of `--image`, in order.

    Raises:
        ConfigError: standard input is given twice or is a terminal, or a folder contains no picture or too many.
        MediaTooLarge: the picture from standard input is too large.
    """
    if images.count("-") > 1:
        raise ConfigError(
            f"standard input is a single picture, but --image - is given {images.count('-')} times"
        )
    return [_expanded(image) for image in images]


def is_many(images: Sequence[str]) -> bool:
    """Whether `--image` gives a list of pictures: several values, or a folder."""
    return len(images) > 1 or any(_is_folder(image) for image in images)


def _expanded(image: str) -> list[str | bytes]:
    if image == "-":
        return [_standard_input()]
    if _is_folder(image):
        return [*_pictures_of(Path(image))]
    return [image]


def _is_folder(image: str) -> bool:
    try:
        return bool(image) and Path(image).is_dir()
    except OSError:  # longer than a file name may be, such as a data: URL
        return False


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError(
            "--image - reads a picture from standard input, which is "
            + ("closed" if sys.stdin is None else "a terminal"),
            hint="redirect a file to it: finesight ask ... --image - < photo.png",
        )
    limit = FetchPolicy().max_bytes  # the limit for a download
    data = sys.stdin.buffer.read(limit + 1)
    if not data:
        raise ConfigError("--image - is given, but standard input is empty")
    if len(data) > limit:
        raise MediaTooLarge(f"the picture from standard input has more than {limit:,} bytes")
    return data


def _pictures_of(folder: Path) -> list[str]:
    """Pictures of a folder in natural order (2 before 10); subfolders are not searched."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    found = [e for e in entries if _SUFFIX.fullmatch(e.suffix) and e.is_file()]
    others = len(entries) - len(found)
    if not found:
        raise ConfigError(
            f"folder {folder} contains no picture, and {others} other entries",
            hint="pictures are recognised by their suffix, such as .png or .jpg",
        )
    if len(found) > MOST_IN_FOLDER:
        raise ConfigError(
            f"folder {folder} contains {len(found):,} pictures; the limit is {MOST_IN_FOLDER:,}",
            hint="split it into smaller folders",
        )
    more = f"; {others} other entries are ignored" if others else ""
    sys.stderr.write(f"folder {folder}: pictures: {len(found)}{more}\n")
    return [str(path) for path in sorted(found, key=_natural)]


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Sort key that orders digits in a name by value; texts and numbers alternate, so they are never compared."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path.name
