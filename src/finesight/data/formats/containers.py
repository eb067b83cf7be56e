# SPDX-License-Identifier: Apache-2.0
"""Containers of rows: JSON, JSONL, CSV, parquet and webdataset, read one row at a time in bounded memory."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from finesight.data.formats.rows import Row, RowRefused
from finesight.data.formats.webdataset import read_tar
from finesight.errors import ConfigError, DataError

__all__ = ["container_of", "rows_of"]

_CHUNK = 2**20
LONGEST_ROW = 64 * 2**20
"""Largest row of JSON in bytes, or cell of CSV in characters; a longer one is no row but a broken file."""
_ROWS_AT_ONCE = 64
_LONGEST_NUMBER = 40
_SPACE = re.compile(r"[ \t\r\n]*")


def rows_of(path: Path) -> Iterator[Row]:
    """Rows of a file; a row that cannot be read says why.

    Raises:
        ConfigError: the file is of no known kind.
        DataError: it cannot be opened.
    """
    try:
        yield from _CONTAINERS[container_of(path)](path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def container_of(path: Path) -> str:
    """Kind of a file: by its name, for JSON also by its first character.

    Raises:
        ConfigError: it is of no known kind.
        OSError: it cannot be opened.
    """
    kind = path.suffix.lower().lstrip(".")
    if path.name.lower().endswith((".tar.gz", ".tgz")):
        kind = "tar"
    if kind in ("json", "jsonl", "ndjson"):
        with path.open("rb") as file:
            return "json" if file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[" else "jsonl"
    if kind in _CONTAINERS:
        return kind
    raise ConfigError(
        f"{path} is of no known kind",
        hint="files end in .json, .jsonl, .csv, .parquet or .tar; a folder holds captions.csv, data.yaml (YOLO), "
        "parquet files or tars",
    )


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_ROW):
            number += 1
            place = f"{path.name}, row {number}"
            if len(line) == LONGEST_ROW:
                message = f"the row is longer than {LONGEST_ROW:,} bytes"
                yield Row(place, refused=RowRefused("unreadable", message))
                return
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                yield Row(place, json.loads(text))
            except (ValueError, RecursionError) as error:
                message = f"the row is no JSON: {error}"
                yield Row(place, refused=RowRefused("unreadable", message))


def _read_json(path: Path) -> Iterator[Row]:
    """Elements of one JSON list."""
    with path.open(encoding="utf-8-sig") as file:
        elements = _elements(_Buffer(file))
        number = 0
        while True:
            number += 1
            place = f"{path.name}, row {number}"
            try:
                yield Row(place, next(elements))
            except StopIteration:
                return
            except (ValueError, RecursionError) as error:
                message = f"the file is no JSON list from here on: {error}"
                yield Row(place, refused=RowRefused("unreadable", message))
                return


def _elements(buffer: _Buffer) -> Iterator[Any]:
    """Elements of a JSON list, one after another."""
    buffer.take("[")
    if buffer.peek() == "]":
        return
    while True:
        yield buffer.value()
        if buffer.take(",]") == "]":
            return


class _Buffer:
    """The rest of a JSON file, of which only a chunk, or the present element, is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches anything
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(_CHUNK):
                return ""

    def take(self, allowed: str) -> str:
        """Remove the next character, which must be one of those allowed."""
        char = self.peek()
        if not char or char not in allowed:
            found = repr(char) if char else "the end of the file"
            raise ValueError(f"{found} instead of {' or '.join(allowed)}")
        self._at += 1
        return char

    def value(self) -> Any:
        """Decode and remove one value."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except ValueError:
                if len(self._text) - self._at > LONGEST_ROW or not self._more(size):
                    raise
                size *= 2  # a value of many chunks is tried a few times only
                continue
            is_number = isinstance(value, (int, float))
            if is_number and len(self._text) - end < _LONGEST_NUMBER and self._more(_CHUNK):
                continue  # it may go on
            self._at = end
            return value

    def _more(self, size: int) -> bool:
        if not (chunk := self._file.read(size)):
            return False
        self._text, self._at = self._text[self._at :] + chunk, 0
        return True


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_ROW)  # the default is smaller than most pictures as data addresses
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, strict=True)
        number = 0
        while True:
            number += 1
            place = f"{path.name}, row {number}"
            try:
                values = next(table)
            except StopIteration:
                return
            except (csv.Error, ValueError) as error:
                yield Row(place, refused=RowRefused("unreadable", f"no CSV from here on: {error}"))
                return
            # DictReader collects cells beyond the header under None, and fills missing ones with None.
            if None in values or None in values.values():
                message = f"the row has another number of cells than the {len(table.fieldnames or ())} columns"
                yield Row(place, refused=RowRefused("columns", message))
                continue
            yield Row(place, {key: value for key, value in values.items() if value})


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            f"{path} needs pyarrow, which is missing", hint="pip install 'finesight[data]'"
        ) from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"{path.name}, row {number}", values)
    except (OSError, pyarrow.ArrowException) as error:
        message = f"no parquet from here on: {str(error).splitlines()[0]}"
        yield Row(f"{path.name}, row {number + 1}", refused=RowRefused("unreadable", message))


_CONTAINERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    "json": _read_json,
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _read_parquet,
    "tar": read_tar,
}
