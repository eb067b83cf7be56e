# SPDX-License-Identifier: Apache-2.0
"""Resolves a media source (path, bytes, file, address) to local data.

A source is a path, raw bytes, an open binary file, a `data:`, `file:`, `http:` or `https:` address.
Bytes and small downloads stay in memory; videos from the network go to a temporary file that lives as long as the
`LocalSource`. Only regular files are opened: a directory, a pipe or a device is refused before it
is read.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal
from urllib.parse import unquote, unquote_to_bytes

from PIL.Image import Image

from finesight.errors import DecodeError, FetchRefused, MediaError, UnsupportedMedia
from finesight.inputs import ArrayLike, read_if_open
from finesight.media.array import array_name
from finesight.media.fetch import FetchPolicy, address_name, fetch_bytes, fetch_into

if TYPE_CHECKING:
    from finesight.conversation import MediaSource

UNKNOWN_KIND = "file that starts with"
"""Beginning of `kind_of` for a file of an unknown kind."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_LONGEST_NAME = 160

# First bytes (with offsets) of kinds of file that are often confused.
_SIGNATURES: tuple[tuple[str, int, bytes], ...] = (
    ("JPEG picture", 0, b"\xff\xd8\xff"),
    ("PNG picture", 0, b"\x89PNG"),
    ("GIF picture", 0, b"GIF8"),
    ("WebP picture", 8, b"WEBP"),
    ("TIFF picture", 0, b"II*\0"),
    ("TIFF picture", 0, b"MM\0*"),
    ("TIFF picture", 0, b"II+\0"),
    ("TIFF picture", 0, b"MM\0+"),
    ("JPEG 2000 picture", 4, b"jP  "),
    ("QOI picture", 0, b"qoif"),
    ("Photoshop file", 0, b"8BPS"),
    ("BMP picture", 0, b"BM"),
    ("BMP picture", 0, b"\x28\0\0\0"),  # without its file header (DIB)
    ("ICO picture", 0, b"\0\0\1\0"),
    ("JPEG 2000 picture", 0, b"\xff\x4f\xff\x51"),
    *(
        ("PPM, PGM or PBM picture", 0, f"P{letter}{blank}".encode())
        for letter in "123456fy"
        for blank in " \t\r\n"
    ),
    ("HEIF picture", 4, b"ftyphei"),
    ("HEIF picture", 4, b"ftypmif1"),
    ("HEIF picture", 4, b"ftypmsf1"),
    ("AVIF picture", 4, b"ftypavif"),
    ("AVIF picture", 4, b"ftypavis"),
    ("SVG drawing", 0, b"<svg"),
    ("PDF document", 0, b"%PDF"),
    ("PostScript document", 0, b"%!PS"),
    ("MP4 video", 4, b"ftyp"),
    ("QuickTime video", 4, b"moov"),
    ("QuickTime video", 4, b"mdat"),
    ("FLV video", 0, b"FLV\x01"),
    ("MPEG video", 0, b"\0\0\1\xba"),
    ("Windows Media video", 0, b"\x30\x26\xb2\x75"),
    ("Matroska or WebM video", 0, b"\x1a\x45\xdf\xa3"),
    ("AVI video", 8, b"AVI "),
    ("MPEG transport stream video", 0, b"\x47\x40"),
    ("playlist", 0, b"#EXTM3U"),
    ("web page", 0, b"<!DOCTYPE"),
    ("web page", 0, b"<!doctype"),
    ("web page", 0, b"<html"),
    ("XML document", 0, b"<?xml"),
    ("ZIP archive", 0, b"PK\x03\x04"),
)


def source_name(source: object) -> str:
    """Name of a source in messages and records: a path, an address, or its kind."""
    if isinstance(source, Image):
        return f"picture in memory ({source.width} x {source.height})"
    if isinstance(source, LocalSource):
        return source.name
    if isinstance(source, ArrayLike):
        return array_name(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return f"bytes ({len(source):,})"
    if isinstance(source, tuple | list):
        return f"list of {len(source)} frames"
    if isinstance(source, os.PathLike):
        return _shortened(str(source))
    if not isinstance(source, str):
        return type(source).__name__
    scheme = scheme_of(source)
    if scheme == "data":
        return f"data address ({source[5:].partition(',')[0][:60] or 'no type'})"
    if scheme in ("http", "https"):
        return address_name(source)
    return _shortened(source)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."


def kind_of(head: bytes) -> str:
    """Kind of a file by its first bytes, for messages; the bytes themselves if unknown."""
    for kind, offset, signature in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return kind
    if len(head) >= 8 and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return "text file"
    return f"{UNKNOWN_KIND} {head[:8].hex(' ')}"


def how_to_give(kind: str) -> str:
    """Hint for a file given as the wrong kind of media; empty if its kind is unknown."""
    if kind == "PDF document":
        return "give it as a PDF: pdf= in Python, --pdf on the command line"
    if "video" in kind:
        return "give it as a video: videos= in Python, --video on the command line"
    if "picture" in kind:
        return "give it as a picture: images= in Python, --image on the command line"
    return ""


@dataclass(frozen=True)
class LocalSource:
    """A local source that can be opened repeatedly.

    Attributes:
        name: for messages.
        data: a path, or the bytes themselves.
    """

    name: str
    data: Path | bytes

    def open(self) -> BinaryIO:
        """A fresh handle at the start.

        Raises:
            MediaError: the file cannot be read any more.
        """
        if isinstance(self.data, bytes):
            return io.BytesIO(self.data)
        try:
            return self.data.open("rb")
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def head(self, num_bytes: int = 32) -> bytes:
        """The first bytes."""
        with self.open() as stream:
            return stream.read(num_bytes)


def at_hand(
    source: MediaSource | LocalSource, *, policy: FetchPolicy | None = None
) -> MediaSource | LocalSource:
    """A source that can be opened repeatedly and is fetched once; pixels in memory are unchanged.

    Errors as in `localize`.
    """
    return source if isinstance(source, (Image, ArrayLike)) else localize(source, policy=policy)


def localize(
    source: MediaSource | LocalSource,
    *,
    policy: FetchPolicy | None = None,
    kind: Literal["picture", "document", "video"] = "picture",
) -> LocalSource:
    """Find, fetch or unpack a source.

    Args:
        source: a path, bytes, an open binary file, or a `data:`, `file:`, `http:` or `https:`
            address; a `LocalSource` is returned unchanged.
        policy: limits for addresses; the default one if not given.
        kind: expected kind of media; videos have their own limits and are stored on disk.

    Raises:
        FetchRefused: a directory, a device, a private address.
        UnsupportedMedia: an address of another scheme, or an object that is not a source.
        DecodeError: an empty file, or an invalid `data:` address.
        MediaError: the file is missing or not readable.
    """
    if isinstance(source, LocalSource):
        return source
    limits = policy or FetchPolicy()
    source = read_if_open(source)
    name = source_name(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _not_empty(LocalSource(name, bytes(source)))
    if isinstance(source, os.PathLike):
        return _from_path(Path(source), name)
    if not isinstance(source, str):
        raise _no_source(source, kind)
    scheme = scheme_of(source)
    if scheme == "data":
        return _not_empty(LocalSource(name, _read_data_address(source, name)))
    if scheme in ("http", "https"):
        return _not_empty(_from_web(source, name, limits, kind))
    if scheme == "file":
        return _from_path(_path_of_address(source), name)
    if scheme and source[len(scheme) :].startswith("://"):
        raise UnsupportedMedia(
            f"{name} has the scheme {scheme}, which is not one of data, file, http, https",
            hint="download the file and give its path",
        )
    return _from_path(Path(source), name)


def _no_source(source: object, kind: str) -> UnsupportedMedia:
    """The error for something that cannot be opened as a file."""
    if isinstance(source, ArrayLike):
        hint = "a video is uint8[frames, height, width, 3]; one picture goes to images="
        if kind != "video":
            hint = "pixels are a picture and go to images="
        what = "PDF" if kind == "document" else kind
        return UnsupportedMedia(f"an {array_name(source)} is no {what}", hint=hint)
    return UnsupportedMedia(
        f"a {type(source).__name__} is no {kind} source",
        hint="give a path, bytes, an open file, or a data:, file:, http: or https: address",
    )


def resolved(source: MediaSource, folder: Path) -> MediaSource:
    """A relative path as a path in a folder; addresses and other sources unchanged."""
    if isinstance(source, str) and not scheme_of(source):
        return str(folder / source)
    return folder / source if isinstance(source, Path) else source


def scheme_of(source: str) -> str:
    """Scheme of an address in lower case; empty for a path (one letter is a Windows drive)."""
    found = _SCHEME.match(source)
    return found.group(1).lower() if found else ""


def path_of(source: str) -> Path | None:
    """Path of a file on this machine; None for addresses of other schemes."""
    scheme = scheme_of(source)
    if scheme == "file":
        return _path_of_address(source)
    return None if scheme and source[len(scheme) :].startswith("://") else Path(source)


def _from_path(path: Path, name: str) -> LocalSource:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unreadable(name, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise FetchRefused(f"{name} is a directory", hint="give the file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise FetchRefused(f"{name} is not a regular file", hint="copy it to a file first")
    return _not_empty(LocalSource(name, path))


def _unreadable(name: str, error: Exception) -> MediaError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return MediaError(f"{name} cannot be opened: {reason}", hint="check the path and its rights")


def _not_empty(source: LocalSource) -> LocalSource:
    if not source.head(1):
        raise DecodeError(f"{source.name} is empty (0 bytes)", hint="was it saved completely?")
    return source


def _path_of_address(address: str) -> Path:
    """Path of a `file:` address: unchanged if such a file exists, else with escapes decoded.

    qwen-vl-utils opens the text after `file://` unchanged, so `%20` may be part of a
    name.
    """
    rest = address[len("file:") :]
    if rest.startswith("//"):
        rest = rest[2:].removeprefix("localhost") if rest[2:11] == "localhost" else rest[2:]
    literal = Path(rest)
    return literal if os.path.lexists(literal) else Path(unquote(rest))


def _read_data_address(address: str, name: str) -> bytes:
    """Bytes of a `data:` address (RFC 2397), with or without base64."""
    header, comma, body = address[len("data:") :].partition(",")
    if not comma:
        raise DecodeError(f"{name} has no comma between its type and its data")
    if not header.lower().replace(" ", "").endswith(";base64"):
        return unquote_to_bytes(body)
    packed = re.sub(r"\s", "", unquote(body) if "%" in body else body).rstrip("=")
    packed = packed.translate(str.maketrans("-_", "+/"))  # the alphabet for addresses
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"{name} is not valid base64: {error}") from error


def _from_web(url: str, name: str, limits: FetchPolicy, kind: str) -> LocalSource:
    if kind != "video":
        data = fetch_bytes(url, limits)
        return LocalSource(name, data)
    handle, path = tempfile.mkstemp(prefix="finesight-")
    source = LocalSource(name, Path(path))
    weakref.finalize(source, Path(path).unlink)  # deleted with its owner, or when the process ends
    with open(handle, "wb") as file:  # noqa: PTH123  # an open handle, not a path
        fetch_into(url, file, limits, limits.max_video_bytes, limits.video_timeout_seconds)
    return source
