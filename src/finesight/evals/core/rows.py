# SPDX-License-Identifier: Apache-2.0
"""Read local copies of benchmarks in any format under one set of column names.

A task lists its columns, each with the names that copies use for it. A copy without a required column is an error that
lists the columns found. A single broken row is returned with its error, so that it can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from finesight.conversation import Conversation
from finesight.errors import EvalError
from finesight.evals.core.formats import (
    Asked,
    Reader,
    Row,
    literal_list,
    read_json,
    read_jsonl,
    read_parquet,
    read_table,
)
from finesight.evals.core.task import Item

__all__ = ["BROKEN", "READERS", "Row", "broken_item", "literal_list", "rows"]

READERS: Mapping[str, Reader] = {
    ".parquet": read_parquet,
    ".tsv": partial(read_table, delimiter="\t"),
    ".jsonl": read_jsonl,
    ".csv": partial(read_table, delimiter=","),
    ".json": read_json,
}
"""Suffix -> reader. In a folder, only files of the first suffix that occurs are read; others may be metadata."""

BROKEN = "broken_row"
"""Key of an item's truth with the reason why its row is unusable; see `broken_item`."""


def rows(
    path: Path,
    *,
    columns: Mapping[str, Sequence[str]],
    optional: Mapping[str, Sequence[str]] | None = None,
    pictures: Iterable[str] = ("image",),
) -> Iterator[Row]:
    """Read a local copy row by row.

    Args:
        path: a file, or a folder whose files of one format are read in the order of their names.
        columns: our name of each required column -> its names in copies, preferred first.
        optional: the same for optional columns.
        pictures: those of our names whose cells in TSV and CSV are base64 pictures, or the index of the row that holds
            one. In parquet a picture is detected by its structure; it is returned as bytes, or as a path without bytes.

    Raises:
        EvalError: the copy does not exist, cannot be opened, or its first row lacks a required column.
    """
    wanted = _Columns(columns, optional or {})
    asked = Asked(wanted.names(), frozenset(wanted.names(of=pictures)))
    reader, files = _files(path)
    is_first = True
    for file in files:
        for raw in reader(file, asked):
            row = wanted.row(raw)
            if is_first and raw.error is None and row.error and wanted.missing(raw.found):
                raise EvalError(
                    f"{raw.where}: {row.error}",
                    hint="give another copy of this benchmark, or rename the columns",
                )
            is_first = is_first and raw.error is not None
            yield row


def broken_item(row_id: str, reason: str) -> Item:
    """The item of an unusable row; it is counted and never asked.

    Args:
        row_id: unique among the items, such as `Row.where`.
        reason: such as `Row.error`.
    """
    return Item(id=row_id, conversation=Conversation(()), truth={BROKEN: reason})


class _Columns:
    """Maps the column names of a task to those of a file."""

    def __init__(
        self, required: Mapping[str, Sequence[str]], optional: Mapping[str, Sequence[str]]
    ) -> None:
        self._required = required
        self._all = {**required, **optional}
        self._known: dict[tuple[str, ...], dict[str, str]] = {}

    def names(self, *, of: Iterable[str] | None = None) -> frozenset[str]:
        """All accepted file names of the given columns, or of all columns."""
        ours = self._all.keys() if of is None else of
        return frozenset(name for our in ours for name in self._all.get(our, ()))

    def missing(self, found: Sequence[str]) -> list[str]:
        """Required columns that a row lacks."""
        return [our for our in self._required if our not in self._resolved(tuple(found))]

    def row(self, raw: Row) -> Row:
        """A raw row under our names."""
        if raw.error is not None:
            return Row(raw.where, error=raw.error)
        if missing := self.missing(raw.found):
            lacks = "; ".join(f"{our} (accepted: {', '.join(self._all[our])})" for our in missing)
            return Row(raw.where, error=f"no column {lacks}. Found: {', '.join(raw.found)}")
        resolved = self._resolved(raw.found)
        values = {our: raw.values[name] for our, name in resolved.items() if name in raw.values}
        empty = [our for our in self._required if values.get(our) is None]
        if empty:
            return Row(raw.where, values, error=f"nothing in column {', '.join(empty)}")
        return Row(raw.where, values)

    def _resolved(self, found: tuple[str, ...]) -> dict[str, str]:
        if found not in self._known:
            self._known[found] = {
                our: next(name for name in names if name in found)
                for our, names in self._all.items()
                if any(name in found for name in names)
            }
        return self._known[found]


def _files(path: Path) -> tuple[Reader, list[Path]]:
    """The reader of a copy, and its files in order."""
    kinds = ", ".join(READERS)
    if path.is_file():
        if path.suffix not in READERS:
            raise EvalError(f"{path} ends with {path.suffix!r}, not with one of {kinds}")
        return READERS[path.suffix], [path]
    if not path.is_dir():
        raise EvalError(
            f"there is no copy at {path}",
            hint="benchmarks are never downloaded; give the file or folder of a local copy",
        )
    for suffix, reader in READERS.items():
        if files := sorted(path.rglob(f"*{suffix}")):
            return reader, files
    held = sorted(each.name for each in path.iterdir())[:10]
    raise EvalError(f"{path} holds no file of {kinds}; found: {', '.join(held) or 'nothing'}")
