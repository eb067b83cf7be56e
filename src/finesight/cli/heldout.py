# SPDX-License-Identifier: Apache-2.0
"""Held-out shards as items of the report card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from finesight.data.record import Record
from finesight.data.shards import ShardSet
from finesight.errors import EvalError
from finesight.evals.core.task import Item
from finesight.evals.suites.heldout import ROW, held_out_item, scene_row, text_row
from finesight.geometry import Box


def read_items(folders: Sequence[Path], *, limit: int | None = None) -> list[Item]:
    """Items of every record of held-out data sets.

    Args:
        folders: data sets made with `split = "heldout"`.
        limit: items per row at most; None takes all.

    Raises:
        EvalError: a record belongs to the training split.
    """
    kept: dict[str, list[Item]] = {}
    for folder in folders:
        for record in ShardSet(folder):
            if record.meta["split"] != "heldout":
                raise EvalError(
                    f"record {record.id} in {folder} is of split {record.meta['split']!r}, not heldout"
                )
            for item in _items(record):
                row = kept.setdefault(item.tags[ROW], [])
                if limit is None or len(row) < limit:
                    row.append(item)
    return [item for row in kept.values() for item in row]


def _items(record: Record) -> Iterator[Item]:
    image = Image.fromarray(record.pixels)
    if record.family == "text":
        question, answer = record.turns[0]
        row = text_row(record.id.partition("-")[0], record.meta["language"])
        yield held_out_item(name=record.id, row=row, image=image, question=question, answer=answer)
        return
    for number, ((question, answer), task) in enumerate(
        zip(record.turns, record.meta["tasks"], strict=True)
    ):
        row_name = scene_row(task["kind"], answer)
        if row_name is None:
            continue
        boxes = tuple(Box(*record.objects[index].box) for index in task["objects"])
        yield held_out_item(
            name=f"{record.id}/{number}",
            row=row_name,
            image=image,
            question=question,
            answer=str(len(boxes)) if row_name == "count" else answer,
            boxes=boxes,
        )
