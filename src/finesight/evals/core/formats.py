# SPDX-License-Identifier: Apache-2.0
"""Readers of local benchmark copies: parquet, tables, JSONL and JSON, row by row.

No reader holds all pictures of a copy in memory. A row that cannot be read is returned with its error and reading
continues; a file that cannot be opened raises an `EvalError`.
"""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.media.source import kind_of

_LONGEST_REFERENCE = 64
"""A picture cell of a TSV with at most this many characters is the index of another row, not a picture."""
_ROWS_AT_ONCE = 64
_MOST_FIELD_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        where: file and row, for messages.
        values: of the requested columns, by the names of the file or of the task; without optional columns that are
            absent.
        error: why the row cannot be used; None if it can.
        found: all column names of the file, read or not.
    """

    where: str
    values: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    found: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """Value of a required column, or of an optional one that is present."""
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Value of an optional column."""
        return self.values.get(name, default)


@dataclass(frozen=True, slots=True)
class Asked:
    """Columns that a reader returns, and which of them hold pictures."""

    names: frozenset[str]
    pictures: frozenset[str]


Reader = Callable[[Path, Asked], Iterator[Row]]


def read_parquet(path: Path, asked: Asked) -> Iterator[Row]:
    """Rows of one parquet file; a picture structure becomes its bytes, or its path if it has no bytes."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            found = tuple(file.schema_arrow.names)
            exact = _without_decimals if "decimal" in str(file.schema_arrow) else _unchanged
            columns = [name for name in found if name in asked.names]
            number = 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
                for values in batch.to_pylist():
                    plain = {
                        name: exact(_plain(cell, path.parent)) for name, cell in values.items()
                    }
                    yield Row(f"{path}, row {number}", found=found, values=plain)
                    number += 1
    except (OSError, pyarrow.ArrowException) as error:
        raise EvalError(
            f"{path} cannot be read as parquet{_seen(path)}: {str(error).splitlines()[0]}",
            hint="copy the file again; a Git LFS pointer or a broken download looks like this",
        ) from error


def read_table(path: Path, asked: Asked, *, delimiter: str) -> Iterator[Row]:
    """Rows of a TSV or CSV table, with base64 pictures as VLMEvalKit writes them."""
    records = _records(path, delimiter)
    header = next(records, None)
    if header is None:
        raise EvalError(f"{path} is empty; a line of column names is needed")
    found = tuple(name.removeprefix("\ufeff") for name in header[1])
    try:
        "".join(found).encode()
    except UnicodeEncodeError as error:
        raise EvalError(f"{path} is no table{_seen(path)}: line 1 is not UTF-8") from error
    pictures = _TablePictures(path, delimiter, found, asked.pictures)
    for number, (_, cells) in enumerate(records):
        where = f"{path}, row {number}"
        if len(cells) != len(found):
            yield Row(where, found=found, error=f"{len(cells)} cells, not {len(found)}")
            continue
        values = {n: c for n, c in zip(found, cells, strict=True) if n in asked.names}
        try:
            "".join(values.values()).encode()
            for name in asked.pictures & values.keys():
                values[name] = pictures.of(name, values[name])
        except UnicodeEncodeError:
            yield Row(where, found=found, error="not UTF-8")
            continue
        except EvalError as error:
            yield Row(where, found=found, error=error.message)
            continue
        yield Row(where, found=found, values=values)


def read_jsonl(path: Path, asked: Asked) -> Iterator[Row]:
    """One JSON object per line; blank lines are skipped."""
    del asked
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:  # broken UTF-8 included
                yield Row(where, error=f"not JSON: {error}")
                continue
            yield _object_row(where, value)


def read_json(path: Path, asked: Asked) -> Iterator[Row]:
    """A list of objects, objects by key (given as column `_key`), one list under some key, or COCO."""
    del asked
    with _opened(path) as file:
        try:
            content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise EvalError(f"{path} is not JSON{_seen(path)}: {error}") from error
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        yield from _coco_rows(path, content)
        return
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) == 1 and all(isinstance(value, dict) for value in lists[0]):
            content = lists[0]
        else:
            for key, value in content.items():
                row = {"_key": key, **value} if isinstance(value, dict) else value
                yield _object_row(f"{path}, key {key!r}", row)
            return
    if not isinstance(content, list):
        raise EvalError(f"{path} holds a {type(content).__name__}, a list or an object is needed")
    for number, value in enumerate(content):
        yield _object_row(f"{path}, entry {number}", value)


def literal_list(text: str) -> list[Any]:
    """A list written as a Python or JSON literal, such as the options of MMMU.

    Raises:
        EvalError: the text is not a list.
    """
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise EvalError(f"{text[:80]!r} is no list: {error}") from error
    if not isinstance(found, list | tuple):
        raise EvalError(f"{text[:80]!r} is a {type(found).__name__}, a list is needed")
    return list(found)


def _seen(path: Path) -> str:
    """Detected kind of a binary file, for messages; empty for text."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return ""  # the caller reports that the file cannot be read
    kind = kind_of(head)
    return "" if kind == "text file" or not head else f" but a {kind}"


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise EvalError(f"{path} cannot be opened: {error.strerror}") from error


def _object_row(where: str, value: object) -> Row:
    if not isinstance(value, dict):
        return Row(where, error=f"a {type(value).__name__} where an object is needed")
    return Row(where, found=tuple(value), values=value)


def _plain(value: Any, folder: Path) -> Any:
    """Picture structures of Hugging Face as bytes or paths, also inside lists."""
    if isinstance(value, dict) and value.keys() == {"bytes", "path"}:
        if value["bytes"] is not None:
            return value["bytes"]
        return None if value["path"] is None else folder / value["path"]
    if isinstance(value, list):
        return [_plain(each, folder) for each in value]
    return value


def _unchanged(value: Any) -> Any:
    return value


def _without_decimals(value: Any) -> Any:
    """Decimals of columns wider than 64 bits as JSON numbers; integers stay exact."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _without_decimals(each) for key, each in value.items()}
    return [_without_decimals(each) for each in value] if isinstance(value, list) else value


def _records(path: Path, delimiter: str, start: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Records with the byte offset of each; a quoted cell may contain line breaks."""
    csv.field_size_limit(_MOST_FIELD_BYTES)  # the default limit is smaller than most pictures
    position = start
    with _opened(path) as file:
        file.seek(start)

        def lines() -> Iterator[str]:
            nonlocal position
            for line in file:
                position += len(line)
                yield line.decode("utf-8", errors="surrogateescape")

        try:
            for cells in csv.reader(lines(), delimiter=delimiter):
                if cells:
                    yield start, cells
                start = position
        except csv.Error as error:
            raise EvalError(f"{path} is no table from byte {start} on: {error}") from error


class _TablePictures:
    """Pictures of a table; references are resolved by byte offset, so that pictures need not stay in memory."""

    def __init__(
        self, path: Path, delimiter: str, found: Sequence[str], names: frozenset[str]
    ) -> None:
        self._path, self._delimiter, self._found, self._names = path, delimiter, found, names
        self._places: dict[str, int] | None = None

    def of(self, name: str, cell: str) -> Any:
        """Bytes of a cell, a list of them, or the empty cell itself."""
        if cell.startswith("["):
            return [self.of(name, str(each)) for each in literal_list(cell)]
        if cell and len(cell) <= _LONGEST_REFERENCE:
            target = self._cell(name, cell)
            if len(target) <= _LONGEST_REFERENCE:
                raise EvalError(f"{name} refers to row {cell}, which holds no picture either")
            cell = target
        try:
            return base64.b64decode(cell, validate=True)
        except (binascii.Error, ValueError) as error:
            raise EvalError(f"{name} is no base64: {error}") from error

    def _cell(self, name: str, index: str) -> str:
        if "index" not in self._found:
            raise EvalError(f"{name} is {index!r}: no picture, and there is no column index")
        column = self._found.index("index")
        if self._places is None:
            records = _records(self._path, self._delimiter)
            self._places = {cells[column]: at for at, cells in records if len(cells) > column}
        if index not in self._places:
            raise EvalError(f"{name} refers to row {index}, which is not there")
        _, cells = next(_records(self._path, self._delimiter, self._places[index]))
        return cells[self._found.index(name)]


def _coco_rows(path: Path, content: Mapping[str, Any]) -> Iterator[Row]:
    """One row per picture with its objects: corners in original pixels, and the category's name."""
    names = {each["id"]: each["name"] for each in content.get("categories", ())}
    objects: dict[Any, list[dict[str, Any]]] = {each["id"]: [] for each in content["images"]}
    for number, each in enumerate(content["annotations"]):
        where = f"{path}, annotation {number}"
        box = each.get("bbox")
        if each.get("image_id") not in objects or not box or len(box) != 4:
            yield Row(where, error="annotation without a picture or without a box")
            continue
        x, y, width, height = box
        found = {
            "id": each.get("id"),
            "box": [x, y, x + width, y + height],
            "category": names.get(each.get("category_id")),
            "is_crowd": bool(each.get("iscrowd", 0)),
        }
        objects[each["image_id"]].append(found)
    for picture in content["images"]:
        values = {
            **picture,
            "image": _coco_picture(path.parent, str(picture["file_name"])),
            "objects": objects[picture["id"]],
        }
        yield Row(f"{path}, picture {picture['id']}", found=tuple(values), values=values)


def _coco_picture(folder: Path, name: str) -> Path:
    """Path of a picture: beside the annotations, in `images`, or one folder up."""
    places = [folder / name, folder / "images" / name, folder.parent / name]
    places += [folder.parent / "images" / name]
    return next((place for place in places if place.exists()), places[0])
