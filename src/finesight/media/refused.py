# SPDX-License-Identifier: Apache-2.0
"""Errors for pictures that cannot be read: another kind of file, an unknown format, or broken data.

Intact files must not be called broken. For a TIFF,
the directory is compared with the length of the file. For other formats
the reason given by Pillow decides.
"""

from __future__ import annotations

import importlib
import os
import re
import struct
import zlib
from typing import BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from finesight.errors import DecodeError, UnsupportedMedia
from finesight.media.source import how_to_give, kind_of

# Raised by Pillow's decoders on broken bytes; undocumented, but observed.
BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, AttributeError),
    *(EOFError, OverflowError, struct.error, zlib.error, RuntimeError, AssertionError),
)
_NOT_KNOWN = re.compile(
    "unsupported|not supported|cannot handle|unknown|not available|unable to determine",
    re.IGNORECASE,
)
_SAVE_AGAIN = "open it in a viewer and save it again"
_CONVERT = "convert it to PNG or JPEG with 8 bits per channel"


def header_refused(
    name: str, stream: BinaryIO, reason: Exception | None
) -> DecodeError | UnsupportedMedia:
    """The error for a file that no format reads.

    Args:
        name: of the file.
        stream: the file.
        reason: message of the first format that accepted the file.
    """
    stream.seek(0)
    head = stream.read(32)
    kind = kind_of(head)
    if kind == "TIFF picture" and (found := _whole_tiff(stream)):
        return UnsupportedMedia(
            f"{name} is a TIFF picture of a kind not read: {found}", hint=_CONVERT
        )
    if reason is not None and _NOT_KNOWN.search(str(reason)) and kind != "TIFF picture":
        what = kind if "picture" in kind else "picture"
        return UnsupportedMedia(f"{name} is a {what} of a kind not read: {reason}", hint=_CONVERT)
    if "picture" in kind and "HEIF" not in kind:
        said = f": {reason}" if reason and str(reason) else ""
        return DecodeError(
            f"{name} is a broken {kind}, its header cannot be read{said}", hint=_SAVE_AGAIN
        )
    if kind.startswith("file") or not head:
        return DecodeError(f"{name} is no picture but a {kind}")
    return UnsupportedMedia(
        f"{name} is no picture but a {kind}", hint=how_to_give(kind) or "convert it to PNG or JPEG"
    )


def pixels_refused(name: str, what: str, reason: Exception) -> DecodeError | UnsupportedMedia:
    """The error for a picture whose header is read and whose pixels are not."""
    if _NOT_KNOWN.search(str(reason)):
        return UnsupportedMedia(
            f"{name} is a {what} picture of a kind not read: {reason}", hint=_CONVERT
        )
    return DecodeError(
        f"{name} is a truncated or broken {what} picture: {reason}", hint=_SAVE_AGAIN
    )


def prepare_heif(name: str) -> None:
    """Register HEIF with Pillow, if its package is installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise UnsupportedMedia(
            f"{name} is a HEIF picture, and the package pillow-heif is not installed",
            hint="pip install pillow-heif, or convert the picture to JPEG",
        ) from error


_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_SAMPLE_FORMAT = 339
_EXTENTS = ((273, 279), (324, 325))  # offsets and lengths of strips, of tiles


def _whole_tiff(stream: BinaryIO) -> str:
    """Description of a TIFF if all data of its directory is in the file; else empty."""
    try:
        stream.seek(0)
        header = stream.read(8)
        if header[2:4] in (b"+\0", b"\0+"):  # BigTIFF
            header += stream.read(8)
        tags = ImageFileDirectory_v2(header)
        stream.seek(tags.next)
        tags.load(stream)
        size = stream.seek(0, os.SEEK_END)
        sides = (tags[_WIDTH], tags[_HEIGHT])
        ends = [
            offset + length
            for offsets, lengths in _EXTENTS
            if offsets in tags and lengths in tags
            for offset, length in zip(tags[offsets], tags[lengths], strict=True)
        ]
    except BROKEN:
        return ""
    if not ends or max(ends) > size or min(sides) < 1:
        return ""
    return (
        f"bits per sample {tags.get(_BITS, 1)}, samples per pixel {tags.get(_SAMPLES, 1)}, "
        f"sample format {tags.get(_SAMPLE_FORMAT, 1)}, photometric {tags.get(_PHOTOMETRIC)}, "
        f"compression {tags.get(_COMPRESSION, 1)}"
    )
