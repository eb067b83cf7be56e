# SPDX-License-Identifier: Apache-2.0
"""Read the files, rows and cells of a local copy into questions.

An unusable row becomes a broken item, which is counted and never asked; it is not dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark
from finesight.evals.core.rows import Row as Row
from finesight.evals.core.rows import broken_item, literal_list, rows
from finesight.evals.core.task import Item
from finesight.evals.tasks.shared.questions import Question

if TYPE_CHECKING:
    from finesight.conversation import MediaSource

Make = Callable[[Row, Path], Question | Sequence[Question]]
"""Turns a row and the folder of its copy into one question or a sequence of any length."""


def find(folder: Path, *patterns: str) -> list[Path]:
    """Files of the first pattern with any match, sorted by name.

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


def read_rows(
    benchmark: Benchmark, folder: Path, make: Make, *, files: Sequence[str] = ()
) -> Iterator[Question | Item]:
    """Questions of the rows of a copy, broken items for unusable rows.

    Args:
        benchmark: names files and columns; a row with an empty required column is broken.
        folder: of the copy.
        make: turns a row into questions.
        files: patterns below the folder that replace those of the benchmark.
    """
    for path in find(folder, *(files or benchmark.files)):
        found = rows(
            path,
            columns=benchmark.columns,
            optional=benchmark.optional,
            pictures=benchmark.pictures,
        )
        for row in found:
            yield from _made(row, folder, make)


def tags_of(row: Row, names: Sequence[str]) -> dict[str, str]:
    """Tags of a question: those of the named columns that are not empty."""
    return {name: str(row[name]) for name in names if row.get(name)}


def _made(row: Row, folder: Path, make: Make) -> Sequence[Question | Item]:
    if row.error is not None:
        return [broken_item(row.where, row.error)]
    try:
        found = make(row, folder)
    except EvalError as error:
        return [broken_item(row.where, error.message)]
    except (KeyError, ValueError) as error:
        return [broken_item(row.where, f"{type(error).__name__}: {error}")]
    return [found] if isinstance(found, Question) else found


def picture(value: Any, *folders: Path) -> ImagePart:
    """A picture from a cell: bytes, or a path below one of the folders.

    Raises:
        EvalError: the cell is neither.
    """
    return ImagePart(source=_source(value, folders))


def pictures(value: Any, *folders: Path) -> tuple[ImagePart, ...]:
    """Pictures of a cell that holds none, one, a list, or a list written as text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = literal_list(value)
    if value is None or value == "":
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(picture(one, *folders) for one in value)
    return (picture(value, *folders),)


def texts(value: Any) -> tuple[str, ...]:
    """Texts of a cell that holds none, one, a list, or a list written as text.

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
    except EvalError:  # brackets and quotes that belong to the answer
        return None


def record(value: Any) -> Mapping[str, Any]:
    """The object in a cell, possibly written as JSON; empty if there is none."""
    if isinstance(value, str) and value.strip().startswith("{"):
        value = json.loads(value)
    return value if isinstance(value, Mapping) else {}


def choice_columns(row: Row, letters: str = "ABCDEFGHI") -> tuple[str, ...]:
    """Options in columns A, B, C ..., up to the first empty one."""
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
