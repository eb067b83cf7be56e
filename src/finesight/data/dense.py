# SPDX-License-Identifier: Apache-2.0
"""Targets of dense supervision: the characters and the object in the cell of each visual token.

The truth of drawn pictures gives each 28 x 28 cell of the resized picture targets of its own
(`finesight.train.dense`). With the language loss alone, a small model ignores its pictures for a long time.

Targets are lists of cells, not grids with gaps, so that their numbers are shapes and cost no synchronisation.

Legend: M visual tokens of a pack, one per cell, row by row; K character slots per cell; R cells of pictures whose
characters are known; Q slots that are learned; O cells of pictures whose objects are known; B cells with an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from finesight.data.record import Glyph, SceneObject, Truth
from finesight.geometry import Resize

CHAR_SLOTS = 6
"""Characters kept per cell (K); a 28-pixel cell has about five of the smallest letters drawn."""

BLANK = 0
"""Character class of a slot after the last character of its cell."""

OTHER = 1
"""Character class of a character outside the alphabet."""


@dataclass(frozen=True, slots=True)
class DenseVocabulary:
    """Classes of characters and objects.

    Attributes:
        characters: class of each character, from 2 on (0 is blank, 1 is any other).
        objects: class of each object name, from 1 on (0 is background).
    """

    characters: Mapping[str, int]
    objects: Mapping[str, int]

    @classmethod
    def build(cls, characters: str, objects: Sequence[str]) -> DenseVocabulary:
        """Number the characters and the object names in the given order."""
        return cls(
            {char: index + 2 for index, char in enumerate(dict.fromkeys(characters))},
            {name: index + 1 for index, name in enumerate(dict.fromkeys(objects))},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseTargets:
    """Targets of the visual tokens of one picture or video, or of a pack.

    Attributes:
        num_cells: number of visual tokens, with or without targets (M).
        text_cells: int64[R], visual tokens whose characters are known.
        slots: int64[Q], slots with a target, as flat indices of `[R, K]`: each character, and the first blank after it.
        characters: int64[Q], their classes.
        object_cells: int64[O], visual tokens whose object is known.
        objects: int64[O], class of the object over the centre of the cell, 0 for background.
        box_cells: int64[B], visual tokens with an object over their centre.
        boxes: float32[B, 4], from the cell's centre to that object's left, top, right and bottom edge, in cells.
    """

    num_cells: int
    text_cells: Tensor
    slots: Tensor
    characters: Tensor
    object_cells: Tensor
    objects: Tensor
    box_cells: Tensor
    boxes: Tensor

    @classmethod
    def join(cls, parts: Iterable[DenseTargets]) -> DenseTargets:
        """Concatenate the targets of several pictures."""
        known = list(parts)
        cells = np.cumsum([0, *(part.num_cells for part in known)])
        slots = np.cumsum([0, *(part.text_cells.numel() for part in known)]) * CHAR_SLOTS

        def shifted(name: str, by: npt.NDArray[np.int64]) -> Tensor:
            found = [
                getattr(part, name) + int(shift) for part, shift in zip(known, by, strict=False)
            ]
            return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)

        def joined(name: str, empty: Tensor) -> Tensor:
            return torch.cat([empty, *(getattr(part, name) for part in known)])

        none = torch.zeros(0, dtype=torch.int64)
        return cls(
            num_cells=int(cells[-1]),
            text_cells=shifted("text_cells", cells),
            slots=shifted("slots", slots),
            characters=joined("characters", none),
            object_cells=shifted("object_cells", cells),
            objects=joined("objects", none),
            box_cells=shifted("box_cells", cells),
            boxes=joined("boxes", torch.zeros(0, 4)),
        )


def dense_targets(
    truth: Truth, vocabulary: DenseVocabulary, resize: Resize, *, rows: int, columns: int
) -> DenseTargets:
    """Targets of a picture of `rows` x `columns` visual tokens.

    Args:
        truth: in pixels of the picture before it was resized.
        vocabulary: classes.
        resize: original and resized size of the picture.
        rows: rows of visual tokens.
        columns: columns of visual tokens.
    """
    original = resize.original
    scale = np.array([columns / original.width, rows / original.height])  # cells per pixel
    text_cells = rows * columns if truth.glyphs is not None else 0
    slots, characters = _characters(truth.glyphs or (), vocabulary, scale, (rows, columns))
    empty = np.zeros(0, dtype=np.int64)
    object_cells = objects = box_cells = empty
    boxes = np.zeros((0, 4), dtype=np.float32)
    if truth.objects is not None:  # an empty tuple means background everywhere
        owners = cell_owners(truth.objects, scale, (rows, columns))
        classes = [vocabulary.objects.get(thing.name, -1) for thing in truth.objects]
        of_cells = np.array([*classes, 0], dtype=np.int64)[owners]  # the last is the background
        object_cells = np.flatnonzero(of_cells >= 0)
        objects = of_cells[object_cells]
        box_cells = np.flatnonzero(of_cells > 0)
        boxes = _edges(truth.objects, owners, scale, (rows, columns))[box_cells]
    return DenseTargets(
        num_cells=rows * columns,
        text_cells=torch.arange(text_cells),
        slots=torch.from_numpy(slots if text_cells else empty),
        characters=torch.from_numpy(characters if text_cells else empty),
        object_cells=torch.from_numpy(object_cells),
        objects=torch.from_numpy(objects),
        box_cells=torch.from_numpy(box_cells),
        boxes=torch.from_numpy(boxes),
    )


def _characters(
    glyphs: Sequence[Glyph],
    vocabulary: DenseVocabulary,
    scale: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Slots with a target and their classes: a cell's characters in reading order, then one blank."""
    rows, columns = shape
    grid = np.full((rows * columns, CHAR_SLOTS), BLANK, dtype=np.int64)
    filled = np.zeros(rows * columns, dtype=np.int64)
    for glyph in glyphs:
        column, row = int(glyph.x * scale[0]), int(glyph.y * scale[1])
        cell = row * columns + column
        if row < rows and column < columns and filled[cell] < CHAR_SLOTS:
            grid[cell, filled[cell]] = vocabulary.characters.get(glyph.char, OTHER)
            filled[cell] += 1
    # Only the first blank of a cell is a target: it gives the number of characters; most slots are blank.
    slots = np.flatnonzero(np.arange(CHAR_SLOTS) <= filled[:, None])
    return slots, grid.ravel()[slots]


def cell_owners(
    objects: Sequence[SceneObject], scale: npt.NDArray[np.float64], shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Index of the smallest object over each cell's centre, -1 for none.

    Args:
        objects: in pixels.
        scale: cells per pixel, horizontally and vertically.
        shape: rows and columns of cells.
    """
    rows, columns = shape
    boxes = _corners(objects) * np.tile(scale, 2)
    x1, y1, x2, y2 = boxes.T
    own_cells = np.floor((y1 + y2) / 2) * columns + np.floor((x1 + x2) / 2)
    x, y = _centres(shape)
    owners = np.full(rows * columns, -1, dtype=np.int64)
    for index in np.argsort(-(x2 - x1) * (y2 - y1), kind="stable"):  # the smallest last
        inside = (x >= x1[index]) & (x <= x2[index]) & (y >= y1[index]) & (y <= y2[index])
        # A small object may cover no cell centre: it also owns the cell of its own centre.
        inside[int(own_cells[index])] = True
        owners[inside] = index
    return owners


def _edges(
    objects: Sequence[SceneObject],
    owners: npt.NDArray[np.int64],
    scale: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """float32[M, 4], from each cell's centre to the edges of the object that owns it; 0 without one."""
    x, y = _centres(shape)
    boxes = np.vstack([_corners(objects) * np.tile(scale, 2), np.zeros((1, 4))])
    x1, y1, x2, y2 = boxes[owners].T
    edges = np.stack([x - x1, y - y1, x2 - x, y2 - y], axis=1)
    edges[owners < 0] = 0
    return edges.astype(np.float32)


def _corners(objects: Sequence[SceneObject]) -> npt.NDArray[np.float64]:
    """float64[O, 4], the objects' boxes."""
    return np.array([item.box for item in objects], dtype=np.float64).reshape(-1, 4)


def _centres(shape: tuple[int, int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coordinates `x` and `y` of each cell's centre, in cells."""
    rows, columns = shape
    return np.tile(np.arange(columns) + 0.5, rows), np.repeat(np.arange(rows) + 0.5, columns)
