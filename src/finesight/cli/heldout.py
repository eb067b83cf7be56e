# SPDX-License-Identifier: Apache-2.0
"""Convert held-out records of `data` to items of `evals`, which do not import each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from PIL import Image

from finesight.data.record import Record
from finesight.data.shards import ShardSet
from finesight.errors import EvalError
from finesight.evals.core.task import Item
from finesight.evals.suites.heldout import ROW, held_out_item, row_of
from finesight.evals.suites.ocr_set import TextPicture
from finesight.geometry import Box


def read_items(folders: Sequence[Path], *, limit: int | None = None) -> list[Item]:
    """Items of every record of held-out data sets.

    Args:
        folders: data sets made with `split = "heldout"`.
        limit: maximum number of items per row; None takes all.

    Raises:
        EvalError: a record is not held out, or is neither text nor a scene with tasks.
    """
    kept: dict[str, list[Item]] = {}
    for record in _records(folders):
        for item in _items(record):
            row = kept.setdefault(item.tags[ROW], [])
            if limit is None or len(row) < limit:
                row.append(item)
    return [item for row in kept.values() for item in row]


def read_texts(folders: Sequence[Path]) -> Iterator[TextPicture]:
    """Upright pictures of text of held-out data sets; errors as in `read_items`."""
    for record in _records(folders):
        if record.meta.get("language") and not record.meta.get("direction", 0):
            image, language = Image.fromarray(record.picture), str(record.meta["language"])
            yield TextPicture(record.id, image, record.turns[0][1], language)


def _records(folders: Sequence[Path]) -> Iterator[Record]:
    for folder in folders:
        for record in ShardSet(folder):
            if record.meta["split"] != "heldout":
                raise EvalError(
                    f"record {record.id} in {folder} is of split {record.meta['split']!r}, not heldout"
                )
            yield record


def _items(record: Record) -> Iterator[Item]:
    """One item per turn that belongs to a row.

    Raises:
        EvalError: the record says nothing about its turns, and no row takes any of them.
    """
    image = Image.fromarray(record.picture)
    tasks = _tasks(record)
    objects = (record.truth[0].objects or ()) if record.truth else ()
    num_scored = 0
    for number, ((question, answer), task) in enumerate(zip(record.turns, tasks, strict=True)):
        row = row_of(_facts(record, task, answer))
        if row is None:
            continue
        num_scored += 1
        boxes = tuple(Box(*objects[index].box) for index in task.get("objects", ()))
        yield held_out_item(
            name=f"{record.id}/{number}" if "tasks" in record.meta or number else record.id,
            row=row.row,
            image=image,
            question=question,
            answer=str(len(boxes)) if row.measure == "count" else answer,
            boxes=boxes,
        )
    if not num_scored and not any(tasks):
        raise EvalError(
            f"record {record.id} has neither a language nor tasks in its meta",
            hint="the report card scores what `finesight data build` draws",
        )


def _tasks(record: Record) -> Sequence[Mapping[str, Any]]:
    """What the builder wrote about each turn; without that, the first turn of a picture of text reads it."""
    if "tasks" in record.meta:
        return cast("Sequence[Mapping[str, Any]]", record.meta["tasks"])
    first = {"kind": "read"} if "language" in record.meta else {}
    return [first, *({} for _ in record.turns[1:])]


def _facts(record: Record, task: Mapping[str, Any], answer: str) -> dict[str, str]:
    """Facts of a turn, see `finesight.evals.suites.heldout`."""
    facts = {
        **record.meta,
        "kind": "",
        **task,
        "part": record.id.partition("-")[0],
        "answer": answer,
    }
    return {name: str(value) for name, value in facts.items()}
