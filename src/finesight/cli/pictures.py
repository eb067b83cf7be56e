# SPDX-License-Identifier: Apache-2.0
"""What `--image` may name: a file, an address, a folder of pictures, or "-" for standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from finesight.errors import ConfigError, MediaTooLarge
from finesight.media.fetch import FetchPolicy

MOST_IN_FOLDER = 1000
"""Pictures taken from one folder; a larger one is refused, so that none is left out in silence."""

_SUFFIX = re.compile(
    r"\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|bmp|dib|avif|hei[cf]|jp2|j2k|p[pgbn]m|ico|qoi)",
    re.IGNORECASE,
)


def expand(images: Sequence[str]) -> list[list[str | bytes]]:
    """The pictures that each value of `--image` names, in order.

    Raises:
        ConfigError: standard input is named twice or is a terminal, or a folder holds no picture or too many.
        MediaTooLarge: more comes from standard input than is taken.
    """
    if images.count("-") > 1:
        raise ConfigError(
            f"standard input is one picture, but --image - is given {images.count('-')} times"
        )
    return [_expanded(image) for image in images]


def is_many(images: Sequence[str]) -> bool:
    """Whether a list of pictures is named, and not one: several values, or a folder."""
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
    except OSError:  # too long for a name, as data: addresses are
        return False


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError(
            "--image - reads a picture from standard input, which is "
            + ("closed" if sys.stdin is None else "a terminal"),
            hint="send it a file: finesight ask ... --image - < photo.png",
        )
    most = FetchPolicy().max_bytes  # as for a picture from the network
    data = sys.stdin.buffer.read(most + 1)
    if not data:
        raise ConfigError("--image - is given, and standard input is empty")
    if len(data) > most:
        raise MediaTooLarge(f"the picture from standard input has more than {most:,} bytes")
    return data


def _pictures_of(folder: Path) -> list[str]:
    """Pictures of a folder in natural order (2 before 10), without those in folders inside it."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    found = [e for e in entries if _SUFFIX.fullmatch(e.suffix) and e.is_file()]
    others = len(entries) - len(found)
    if not found:
        raise ConfigError(
            f"folder {folder} holds no picture, and {others} other entries",
            hint="pictures are known by their endings, such as .png or .jpg",
        )
    if len(found) > MOST_IN_FOLDER:
        raise ConfigError(
            f"folder {folder} holds {len(found):,} pictures; at most {MOST_IN_FOLDER:,} are taken",
            hint="split it into folders",
        )
    more = f"; {others} other entries are not taken" if others else ""
    sys.stderr.write(f"folder {folder}: pictures: {len(found)}{more}\n")
    return [str(path) for path in sorted(found, key=_natural)]


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Numbers in a name count by their value; texts and numbers alternate, so they never meet."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path.name
