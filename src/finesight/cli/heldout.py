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
from finesight.evals.suites.heldout import ROW, held_out_item
from finesight.geometry import Box

LATIN_LANGUAGES = ("en", "de", "fr", "es", "it", "pt")
"""Languages whose rows are scored under the name of their data set; others share one row."""

POINT_KINDS = ("refer", "point_xml", "point_json")
"""Tasks that ask for places of things."""


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
        name = record.id.partition("-")[0]
        is_latin = record.meta["language"] in LATIN_LANGUAGES
        row = f"text_{name}" if is_latin else "text_other_scripts"
        yield held_out_item(name=record.id, row=row, image=image, question=question, answer=answer)
        return
    for number, ((question, answer), task) in enumerate(
        zip(record.turns, record.meta["tasks"], strict=True)
    ):
        scene_row = _row_of(task["kind"], answer)
        if scene_row is None:
            continue
        boxes = tuple(Box(*record.objects[index].box) for index in task["objects"])
        yield held_out_item(
            name=f"{record.id}/{number}",
            row=scene_row,
            image=image,
            question=question,
            answer=str(len(boxes)) if scene_row == "count" else answer,
            boxes=boxes,
        )


def _row_of(kind: str, answer: str) -> str | None:
    """The row a scene question is scored in, or None if in none."""
    if kind == "count":
        return "count"
    if answer == "none":
        return "absent"
    return "point" if kind in POINT_KINDS else None
