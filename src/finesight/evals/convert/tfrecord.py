# SPDX-License-Identifier: Apache-2.0
"""Read records of TFRecord files and verify their checksums, without TensorFlow.

A file is a sequence of frames: length as uint64, checksum of these eight bytes, the record, checksum of the record; all
little-endian. A checksum is a masked CRC-32C (rotated, plus a constant). Both are always verified: a truncated or
corrupted file is an error.

Source: TensorFlow's description of the format, "TFRecord and tf.train.Example".
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from finesight.errors import EvalError
from finesight.evals.metrics.extras import required

LONGEST_RECORD = 2**31
"""Bytes; no message of protocol buffers is longer."""
_HEAD, _CHECKSUM = struct.Struct("<QI"), struct.Struct("<I")
_GZIP = b"\x1f\x8b"


def records(path: Path) -> Iterator[tuple[str, bytes]]:
    """Location (for messages) and bytes of each record.

    Args:
        path: a file, plain or compressed by gzip, which is detected from its first bytes.

    Raises:
        EvalError: the file cannot be read, is truncated, or a checksum is wrong; names file and record.
    """
    try:
        with path.open("rb") as plain:
            is_compressed = plain.read(len(_GZIP)) == _GZIP
        with gzip.open(path, "rb") if is_compressed else path.open("rb") as file:
            number = 1
            while (content := _record(file, f"{path}, record {number}")) is not None:
                yield f"{path}, record {number}", content
                number += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EvalError(
            f"{path} is truncated or not a gzip file: {error}", hint="copy the file again"
        ) from error
    except OSError as error:
        raise EvalError(f"{path} cannot be read: {error.strerror or error}") from error


def masked_checksum(content: bytes) -> int:
    """The masked CRC-32C of TFRecord files.

    Raises:
        EvalError: google-crc32c is not installed.
    """
    with required("google-crc32c", "reading TFRecord files"):
        import google_crc32c
    plain = int(google_crc32c.value(content))
    return ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _record(file: io.BufferedIOBase, where: str) -> bytes | None:
    """The next record; None at the end of the file."""
    head = file.read(_HEAD.size)
    if not head:
        return None
    _require(head, _HEAD.size, f"{where}, its length")
    length, checksum = _HEAD.unpack(head)
    _compare(head[:8], checksum, f"{where}, its length")
    if length > LONGEST_RECORD:
        raise EvalError(
            f"{where} has a length of {length:,} bytes, more than {LONGEST_RECORD:,}",
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
            hint="the file is corrupted or not a TFRecord file; copy it again",
        )
