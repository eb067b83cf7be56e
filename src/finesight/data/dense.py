# SPDX-License-Identifier: Apache-2.0
"""Targets for each visual token: the characters and the object that stand in its cell.

A small model that must learn to see through a language model alone stays a language model for a long time. Drawn
pictures know where every character and object is, so each 28 x 28 cell can be told directly. The targets feed temporary
heads (`finesight.train.dense`) that are dropped before a model is exported.

Legend: M cells of a picture in row-major order (the order of visual tokens), K character slots per cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from finesight.data.record import Record

CHAR_SLOTS = 6
"""Characters kept per cell (K): a 28-pixel cell holds about five of the smallest letters drawn."""

BLANK = 0
"""Character class of an unused slot."""

OTHER = 1
"""Character class of a letter outside the alphabet."""


@dataclass(frozen=True, slots=True)
class DenseVocabulary:
    """Classes of the two heads.

    Attributes:
        characters: class of each character, from 2 on (0 is blank, 1 is any other).
        objects: class of each object name, from 1 on (0 is background).
    """

    characters: Mapping[str, int]
    objects: Mapping[str, int]

    @classmethod
    def build(cls, characters: str, objects: Sequence[str]) -> DenseVocabulary:
        """Number the characters and the object names in the order given."""
        return cls(
            {char: index + 2 for index, char in enumerate(dict.fromkeys(characters))},
            {name: index + 1 for index, name in enumerate(dict.fromkeys(objects))},
        )


@dataclass(frozen=True, slots=True)
class DenseTargets:
    """Targets of the cells of one picture, or of all pictures of a pack.

    Attributes:
        characters: int64[M, K], classes in reading order, blank where unused; -100 throughout where the picture's
            characters are not known.
        objects: int64[M], class of the object over the cell's middle, 0 for background; -100 where not known.
        boxes: float32[M, 4], distances from the cell's middle to the object's left, top, right and bottom edge, in
            cells; only meaningful where `objects` is above 0.
        places: float32[M, 2], the cell's middle from the left and the top of the picture, in cells.
    """

    characters: Tensor
    objects: Tensor
    boxes: Tensor
    places: Tensor

    @classmethod
    def none(cls) -> DenseTargets:
        """Targets of a sample without a picture."""
        return cls(
            torch.zeros(0, CHAR_SLOTS, dtype=torch.int64),
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(0, 4),
            torch.zeros(0, 2),
        )

    @classmethod
    def join(cls, parts: Sequence[DenseTargets]) -> DenseTargets:
        """Targets of several pictures, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            torch.cat([part.characters for part in parts]),
            torch.cat([part.objects for part in parts]),
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.places for part in parts]),
        )


def dense_targets(
    record: Record, vocabulary: DenseVocabulary, *, rows: int, columns: int, cell: int
) -> DenseTargets:
    """Targets of a picture whose resized size is `rows` x `columns` cells of `cell` pixels.

    Positions of the record are in its own pixels and are scaled to the resized picture.
    """
    height, width = record.pixels.shape[:2]
    scale = np.array([columns * cell / width, rows * cell / height])
    characters = np.full(
        (rows * columns, CHAR_SLOTS), BLANK if record.glyphs else -100, dtype=np.int64
    )
    filled = np.zeros(rows * columns, dtype=np.int64)
    for glyph in record.glyphs:  # in reading order
        column, row = (np.array([glyph.x, glyph.y]) * scale // cell).astype(int)
        if (
            0 <= row < rows
            and 0 <= column < columns
            and filled[row * columns + column] < CHAR_SLOTS
        ):
            place = row * columns + column
            characters[place, filled[place]] = vocabulary.characters.get(glyph.char, OTHER)
            filled[place] += 1
    objects, boxes = _object_targets(
        record, vocabulary, rows=rows, columns=columns, cell=cell, scale=scale
    )
    middle_x, middle_y = _middles(rows, columns)
    return DenseTargets(
        torch.from_numpy(characters),
        torch.from_numpy(objects),
        torch.from_numpy(boxes),
        torch.from_numpy(np.stack([middle_x, middle_y], axis=1).astype(np.float32)),
    )


def _middles(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Each cell's middle from the left and from the top, in cells."""
    return np.tile(np.arange(columns) + 0.5, rows), np.repeat(np.arange(rows) + 0.5, columns)


@dataclass(frozen=True, slots=True)
class ObjectCells:
    """Where the objects of a picture lie among its cells.

    Attributes:
        owners: int64[M], index of the smallest object over each cell's middle, -1 for none.
        boxes: float32[O, 4], left, top, right and bottom edge of each object, in cells.
    """

    owners: Tensor
    boxes: Tensor

    @classmethod
    def of(cls, record: Record, *, rows: int, columns: int) -> ObjectCells:
        """Of a picture that is shown as `rows` x `columns` cells."""
        height, width = record.pixels.shape[:2]
        scale = np.tile([columns / width, rows / height], 2)
        boxes = _corners(record) * scale
        x1, y1, x2, y2 = boxes.T
        middles = np.floor((y1 + y2) / 2) * columns + np.floor((x1 + x2) / 2)
        middle_x, middle_y = _middles(rows, columns)
        owners = np.full(rows * columns, -1, dtype=np.int64)
        for index in np.argsort(-(x2 - x1) * (y2 - y1), kind="stable"):  # the smallest last
            inside = (middle_x >= x1[index]) & (middle_x <= x2[index])
            inside &= (middle_y >= y1[index]) & (middle_y <= y2[index])
            # an object smaller than a cell may miss every middle: then the cell of its own middle stands for it
            inside[int(middles[index])] = True
            owners[inside] = index
        return cls(
            owners=torch.from_numpy(owners),
            boxes=torch.from_numpy(boxes.astype(np.float32)),
        )


def _corners(record: Record) -> npt.NDArray[np.float64]:
    """float64[O, 4], the objects' boxes."""
    return np.array([item.box for item in record.objects], dtype=np.float64).reshape(-1, 4)


def _object_targets(
    record: Record,
    vocabulary: DenseVocabulary,
    *,
    rows: int,
    columns: int,
    cell: int,
    scale: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Class and edge distances of the object over each cell's middle."""
    known = record.family.startswith("scene")  # a scene without objects is known to be empty
    objects = np.full(rows * columns, 0 if known else -100, dtype=np.int64)
    boxes = np.zeros((rows * columns, 4), dtype=np.float32)
    if not known or not record.objects:
        return objects, boxes
    owners = ObjectCells.of(record, rows=rows, columns=columns).owners.numpy()
    covered = owners >= 0
    classes = np.array([vocabulary.objects.get(item.name, -100) for item in record.objects])
    objects[covered] = classes[owners[covered]]
    x1, y1, x2, y2 = (_corners(record)[owners] * np.tile(scale, 2) / cell).T
    middle_x, middle_y = _middles(rows, columns)
    edges = np.stack([middle_x - x1, middle_y - y1, x2 - middle_x, y2 - middle_y], axis=1)
    boxes[covered] = edges[covered]
    return objects, boxes
