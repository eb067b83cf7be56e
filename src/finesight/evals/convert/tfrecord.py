# SPDX-License-Identifier: Apache-2.0
"""Records of TFRecord files, each with its checksums, without TensorFlow.

A file is a row of frames: length as uint64, checksum of these eight bytes, the record, checksum of the record; all
little-endian. A checksum is CRC-32C, turned and shifted so that a checksum of data that holds checksums stays a good
one. Both are always looked at: a file that was cut off or changed on its way is an error, never a shorter data set.

Source: TensorFlow's description of the format, "TFRecord and tf.train.Example".
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from finesight.errors import EvalError
from finesight.evals.metrics.extras import required

LONGEST_RECORD = 2**31
"""Bytes; no message of protocol buffers is longer."""
_HEAD, _CHECKSUM = struct.Struct("<QI"), struct.Struct("<I")
_GZIP = b"\x1f\x8b"


class _Readable(Protocol):
    """What plain and compressed files have in common."""

    def read(self, size: int, /) -> bytes: ...


def records(path: Path) -> Iterator[tuple[str, bytes]]:
    """Where each record stands, for messages, and its bytes.

    Args:
        path: a file, as it is or compressed by gzip; which one is seen by its first bytes.

    Raises:
        EvalError: the file cannot be read, ends in the middle of a record, or a checksum is wrong; names file and
            record.
    """
    try:
        with path.open("rb") as plain:
            is_packed = plain.read(len(_GZIP)) == _GZIP
        with gzip.open(path, "rb") if is_packed else path.open("rb") as file:
            number = 1
            while (content := _record(file, f"{path}, record {number}")) is not None:
                yield f"{path}, record {number}", content
                number += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EvalError(
            f"{path} is cut off or no whole gzip file: {error}", hint="copy the file again"
        ) from error
    except OSError as error:
        raise EvalError(f"{path} cannot be read: {error.strerror or error}") from error


def masked_checksum(content: bytes) -> int:
    """CRC-32C as TFRecord files hold it.

    Raises:
        EvalError: google-crc32c is not installed.
    """
    with required("google-crc32c", "reading TFRecord files"):
        import google_crc32c
    plain = int(google_crc32c.value(content))
    return ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _record(file: _Readable, where: str) -> bytes | None:
    """The next record; None at the end of the file."""
    head = file.read(_HEAD.size)
    if not head:
        return None
    _require(head, _HEAD.size, f"{where}, its length")
    length, checksum = _HEAD.unpack(head)
    _compare(head[:8], checksum, f"{where}, its length")
    if length > LONGEST_RECORD:
        raise EvalError(
            f"{where} says it has {length:,} bytes, more than {LONGEST_RECORD:,}",
            hint="is this a TFRecord file?",
        )
    content = file.read(length)
    _require(content, length, where)
    tail = file.read(_CHECKSUM.size)
    _require(tail, _CHECKSUM.size, f"{where}, its checksum")
    _compare(content, _CHECKSUM.unpack(tail)[0], where)
    return content


def _require(content: bytes, length: int, where: str) -> None:
    if len(content) < length:
        raise EvalError(
            f"{where}: the file ends after {len(content):,} of {length:,} bytes",
            hint="copy the file again",
        )


def _compare(content: bytes, wanted: int, where: str) -> None:
    found = masked_checksum(content)
    if found != wanted:
        raise EvalError(
            f"{where}: the checksum is {found:08x}, the file says {wanted:08x}",
            hint="the file was changed on its way, or is no TFRecord file; copy it again",
        )
