# SPDX-License-Identifier: Apache-2.0
"""From the files of a local copy to questions: which files, which columns, and what stands in a cell.

A row that cannot be used becomes a `Broken`, which is counted and never asked; it is not dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.rows import Row, literal_list, rows
from finesight.evals.tasks.shared.questions import Broken, Question, Read

if TYPE_CHECKING:
    from finesight.conversation import MediaSource

__all__ = [
    "Columns",
    "Make",
    "Row",
    "choice_columns",
    "find",
    "picture",
    "pictures",
    "reader",
    "record",
    "same",
    "split_files",
    "texts",
]

Columns = Mapping[str, Sequence[str]]
Make = Callable[[Row, Path], Question | Sequence[Question]]
"""Turns a row and the folder of its copy into a question, several, or none."""


def same(*names: str) -> dict[str, tuple[str, ...]]:
    """Columns that every copy calls as we do."""
    return {name: (name,) for name in names}


def split_files(*splits: str) -> tuple[str, ...]:
    """Where copies keep a split: parquet as published, or one file of JSON or of tab-separated cells."""
    places = ("{0}-*.parquet", "data/{0}-*.parquet", "*/{0}-*.parquet", "{0}.parquet")
    files = (*places, "{0}.jsonl", "{0}.json", "{0}.tsv")
    return tuple(file.format(split) for split in splits for file in files)


def find(folder: Path, *patterns: str) -> list[Path]:
    """Files that match the first pattern that matches any, sorted by name.

    Raises:
        EvalError: none matches.
    """
    if not folder.is_dir():
        what = f"{folder} is a file, a folder is needed" if folder.is_file() else ""
        raise EvalError(
            what or f"there is no copy at {folder}",
            hint="benchmarks are never downloaded; give the folder of a local copy",
        )
    for pattern in patterns:
        if found := sorted(folder.glob(pattern)):
            return found
    held = sorted(entry.name for entry in folder.iterdir())[:20]
    raise EvalError(
        f"{folder} holds none of {', '.join(patterns)}",
        hint=f"it holds {', '.join(held) or 'nothing'}",
    )


def reader(
    files: Sequence[str],
    columns: Columns,
    make: Make,
    *,
    optional: Columns | None = None,
    pictures: Sequence[str] = ("image",),
) -> Read:
    """A function that reads the questions of a copy.

    Args:
        files: patterns below the folder, the best first.
        columns: that a copy must have; a row with nothing in one of them is broken.
        make: turns a row into questions.
        optional: columns that it may have.
        pictures: our names of the columns that hold pictures.
    """

    def read(folder: Path) -> Iterator[Question | Broken]:
        for path in find(folder, *files):
            for row in rows(path, columns=columns, optional=optional, pictures=pictures):
                yield from _made(row, folder, make)

    return read


def _made(row: Row, folder: Path, make: Make) -> Sequence[Question | Broken]:
    if row.error is not None:
        return [Broken(row.where, row.error)]
    try:
        found = make(row, folder)
    except EvalError as error:
        return [Broken(row.where, error.message)]
    except (KeyError, ValueError) as error:
        return [Broken(row.where, f"{type(error).__name__}: {error}")]
    return [found] if isinstance(found, Question) else found


def picture(value: Any, *folders: Path) -> ImagePart:
    """A picture as copies hold it: bytes, or a path below one of the folders.

    Raises:
        EvalError: it is neither.
    """
    return ImagePart(source=_source(value, folders))


def pictures(value: Any, *folders: Path) -> tuple[ImagePart, ...]:
    """Pictures of a cell that may hold none, one, or a list, also a list written as text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = literal_list(value)
    if value is None or value == "":
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(picture(one, *folders) for one in value)
    return (picture(value, *folders),)


def texts(value: Any) -> tuple[str, ...]:
    """A cell that holds a list of texts, one text, or a list of texts written as text.

    "[49, 46]" is one text: an answer of ChartQA, not two.
    """
    if isinstance(value, str) and (written := _written_list(value)) is not None:
        return written
    if isinstance(value, (list, tuple)):
        return tuple(str(one) for one in value)
    return () if value is None else (str(value),)


def _written_list(text: str) -> tuple[str, ...] | None:
    if not re.fullmatch(r"""\s*\[\s*(?:["'].*["']\s*,?\s*)?\]\s*""", text, re.DOTALL):
        return None
    try:
        return tuple(str(one) for one in literal_list(text))
    except EvalError:  # brackets and quotes of an answer in words
        return None


def record(value: Any) -> Mapping[str, Any]:
    """A cell that holds an object, also one written as JSON; empty if it holds none."""
    if isinstance(value, str) and value.strip().startswith("{"):
        value = json.loads(value)
    return value if isinstance(value, Mapping) else {}


def choice_columns(row: Row, letters: str = "ABCDEFGHI") -> tuple[str, ...]:
    """Options that stand in columns A, B, C ..., up to the first empty one."""
    found = []
    for letter in letters:
        value = row.get(letter)
        if value is None or str(value) in ("", "nan"):
            break
        found.append(str(value))
    return tuple(found)


def _source(value: Any, folders: Sequence[Path]) -> MediaSource:
    if isinstance(value, (bytes, Path)):
        return value
    if not isinstance(value, str) or not value:
        raise EvalError(f"a picture is {type(value).__name__}, not bytes or a path")
    places = [folder / value for folder in folders] or [Path(value)]
    return next((path for path in places if path.exists()), places[0])
