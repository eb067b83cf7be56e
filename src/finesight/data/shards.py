# SPDX-License-Identifier: Apache-2.0
"""Shards: webdataset-style tar files, each with an index, read sequentially or at random.

`NAME-00003.tar` contains the media of some thousand records (`<id>.0.png`, ...), each followed by its `<id>.json`. Any
tar or webdataset reader can read it. `NAME-00003.index.json` contains the byte range of every file, and the size and
SHA-256 of the tar. The index is written last, by rename, so a shard with an index is complete. After a kill, a build
makes the shards without an index. A truncated tar is detected when it is opened.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from finesight.data.record import Record
from finesight.data.stored import decode_record, encode_record
from finesight.errors import DataError, ShardCorrupt
from finesight.files import whole_file, write_text

__all__ = ["ShardReader", "ShardSet", "index_path", "is_complete", "write_shard"]

FORMAT = 2
"""2: a record is a conversation. 1: a record was one picture with pairs of questions and answers."""


def index_path(shard: Path) -> Path:
    """Path of the index of a shard."""
    return shard.with_suffix(".index.json")


def is_complete(shard: Path) -> bool:
    """Whether the shard and its index exist."""
    return shard.is_file() and index_path(shard).is_file()


def write_shard(shard: Path, records: Iterable[Record]) -> int:
    """Write records to a shard; on an error, no shard is written.

    Args:
        shard: path of the tar, ending in `.tar`.
        records: checked before they are written.

    Returns:
        Number of records written.

    Raises:
        RecordInvalid: a record breaks the schema.
        DataError: the shard cannot be written, as on a full disk.
    """
    rows: list[list[int]] = []
    with whole_file(shard, error=DataError, parents=True) as partial:
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            for record in records:
                record.check()
                files, body = encode_record(record)
                row = [_add(tar, f"{record.id}.{name}", content) for name, content in files]
                row.append(_add(tar, f"{record.id}.json", body))
                rows.append([number for place in row for number in place])
        index = {
            "format": FORMAT,
            "num_records": len(rows),
            "bytes": partial.stat().st_size,
            "sha256": _sha256(partial),
            "parts": rows,
        }
    listed = json.dumps(index, separators=(",", ":"))
    write_text(index_path(shard), listed, error=DataError)
    return len(rows)


class ShardReader:
    """One shard: `len`, random access, iteration, and a full check.

    Opening reads the index and compares the size; reading a record reads only its own bytes. The file is opened on
    first use and read at given offsets, so a reader can be pickled for worker processes and needs no file position.

    Args:
        shard: path of the tar.

    Raises:
        ShardCorrupt: the index is missing or does not match the tar.
        DataError: the shard was written by a version with another format.
    """

    def __init__(self, shard: Path) -> None:
        self._descriptor: int | None = None
        self.path = shard
        try:
            index = json.loads(index_path(shard).read_text(encoding="utf-8"))
            _check_format(shard, index["format"])
            self._parts: list[list[int]] = index["parts"]
            self._bytes = int(index["bytes"])
            self._sha256 = str(index["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ShardCorrupt(
                f"shard {shard} has no readable index: {error!r}",
                hint="build the data set again; complete shards are kept",
            ) from error
        size = shard.stat().st_size if shard.is_file() else 0
        if size != self._bytes:
            raise ShardCorrupt(
                f"shard {shard} has {size} bytes, but {self._bytes} in its index",
                hint="delete it and its index and build again; only this shard is made again",
            )

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Record:
        """Record by number.

        Raises:
            IndexError: no such record.
            ShardCorrupt: its bytes do not decode.
        """
        row = self._parts[index]
        start, end = row[0], row[-2] + row[-1]
        # The files of a record are contiguous in the tar: one system call reads them all.
        whole = self._read(start, end - start)
        *files, body = (
            whole[at - start : at - start + size]
            for at, size in zip(row[::2], row[1::2], strict=True)
        )
        try:
            return decode_record(files, body)
        except DataError as error:
            raise ShardCorrupt(f"shard {self.path}, record {index}: {error.message}") from error

    def __iter__(self) -> Iterator[Record]:
        for index in range(len(self)):
            yield self[index]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_descriptor": None}

    def verify(self) -> None:
        """Raise `ShardCorrupt` unless the tar has the SHA-256 of its index."""
        found = _sha256(self.path)
        if found != self._sha256:
            raise ShardCorrupt(
                f"shard {self.path} has SHA-256 {found}, but {self._sha256} in its index"
            )

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def __del__(self) -> None:
        self.close()

    def _read(self, start: int, size: int) -> bytes:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        found = os.pread(self._descriptor, size, start)
        if len(found) != size:
            raise ShardCorrupt(
                f"shard {self.path} ends inside a record: {len(found)} of {size} bytes at {start}"
            )
        return found


class ShardSet:
    """All complete shards of a folder as one sequence of records, or some of its records.

    Args:
        folder: a data set made by `finesight data build`.
        only: a JSON file with the numbers of the records to take, see `finesight.data.held_back`; None takes all.

    Raises:
        DataError: the folder has no shard, or `only` is no list of numbers of its records.
        ShardCorrupt: a shard does not match its index, or has none.
    """

    def __init__(self, folder: Path, *, only: Path | None = None) -> None:
        paths = sorted(folder.glob("*.tar"))
        if not paths:
            what = (
                "is a file, not a folder of shards"
                if folder.is_file()
                else "holds no shard (*.tar)"
            )
            raise DataError(
                f"{folder} {what}" if folder.exists() else f"there is no folder {folder}",
                hint="make it with: finesight data build RECIPE.toml",
            )
        self.folder = folder
        self.shards: Sequence[ShardReader] = [ShardReader(path) for path in paths]
        self._ends = list(accumulate(len(shard) for shard in self.shards))
        total = self._ends[-1]
        self._numbers: Sequence[int] = range(total) if only is None else _numbers(only, total)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Record:
        """Record by number.

        Raises:
            IndexError: no such record.
            ShardCorrupt: its bytes do not decode.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)} in {self.folder}")
        place = self._numbers[index]
        number = bisect_right(self._ends, place)
        return self.shards[number][place - (self._ends[number - 1] if number else 0)]

    def __iter__(self) -> Iterator[Record]:
        for index in range(len(self)):
            yield self[index]


def _numbers(path: Path, total: int) -> list[int]:
    """The record numbers of a file, each below `total`."""
    try:
        found: list[int] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the list of records {path} cannot be read: {error}") from error
    are_numbers = isinstance(found, list) and all(type(each) is int for each in found)
    if not are_numbers or not found or not all(0 <= each < total for each in found):
        raise DataError(
            f"{path} is no list of record numbers from 0 to {total - 1}: {str(found)[:80]}",
            hint="it belongs to another data set; make the split again",
        )
    return found


def _check_format(shard: Path, found: object) -> None:
    if found != FORMAT:
        raise DataError(
            f"shard {shard} has format {found}, this version reads {FORMAT}",
            hint="draw the data set again, into a new folder: finesight data build RECIPE.toml --out NEW; "
            "a recipe draws the same pictures and questions as before",
        )


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> tuple[int, int]:
    """Append a file; returns the offset and the number of its bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    start = tar.offset + tarfile.BLOCKSIZE  # a USTAR header is one block; names are under 100 bytes
    tar.addfile(info, io.BytesIO(content))
    return start, len(content)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
