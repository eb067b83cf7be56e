# SPDX-License-Identifier: Apache-2.0
"""Convert held-out records of `data` to items of `evals`, which do not import each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from finesight.data.record import Record
from finesight.data.shards import ShardSet
from finesight.errors import EvalError
from finesight.evals.core.task import Item
from finesight.evals.suites.heldout import ROW, held_out_item, scene_row, text_row
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
        if "language" in record.meta and not record.meta.get("direction", 0):
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
    image = Image.fromarray(record.picture)
    if "language" in record.meta:  # a picture of text
        question, answer = record.turns[0]
        row = text_row(record.id.partition("-")[0], record.meta["language"])
        yield held_out_item(name=record.id, row=row, image=image, question=question, answer=answer)
        return
    if "tasks" not in record.meta:
        raise EvalError(
            f"record {record.id} has neither a language nor tasks in its meta",
            hint="the report card scores what `finesight data build` draws",
        )
    for number, ((question, answer), task) in enumerate(
        zip(record.turns, record.meta["tasks"], strict=True)
    ):
        row_name = scene_row(task["kind"], answer)
        if row_name is None:
            continue
        things = record.truth[0].objects or ()
        boxes = tuple(Box(*things[index].box) for index in task["objects"])
        yield held_out_item(
            name=f"{record.id}/{number}",
            row=row_name,
            image=image,
            question=question,
            answer=str(len(boxes)) if row_name == "count" else answer,
            boxes=boxes,
        )
