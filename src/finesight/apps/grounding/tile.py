# SPDX-License-Identifier: Apache-2.0
"""Overlapping parts of a huge picture, and the union of what was found in them.

A tile overlaps its neighbours by a fifth, so that a thing no larger than the overlap is whole in at least one tile. A
larger one may be cut in all of them; the whole picture, shown once at low resolution, has it whole.

::

    tile 0      |────────────|           a thing is in both: one of the two boxes is kept
    tile 1              |────────────|
                        |overlap|
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, hypot, sqrt
from typing import Literal, TypeAlias

from finesight.apps.evidence import Score, hull
from finesight.apps.grounding.records import Thing
from finesight.errors import ConfigError
from finesight.geometry import Box, Point, Size, iou
from finesight.inputs import shown

__all__ = [
    "CELL",
    "Tiling",
    "cuts",
    "halves",
    "merged",
    "overlap_of",
    "share",
    "tiles_of",
    "unknown",
]

Tiling: TypeAlias = Literal["auto", "off"] | int
"""auto: tiles for a picture above the pixel budget; off: the whole picture once; a number: the side of a tile, in
pixels."""

CELL = 28
"""Side of what becomes one visual token, in pixels."""
OVERLAP = 0.2
"""Share of a tile's side that it has in common with the next one."""
SAME_IOU = 0.5
"""Two boxes of one label with at least this intersection over union are one thing."""
CONTAINED = 0.6
"""A thing that a tile cut is another one's part if at least this share of it lies inside."""
POINT_REACH = 7.0
"""Two points of one label at most this far apart, in pixels that the model saw, are one thing."""
_STEPS = 120


def tiles_of(size: Size, tiling: Tiling, max_pixels: int, max_calls: int) -> list[Box]:
    """The parts of a picture to ask about; if there are several, the last is the whole picture.

    Args:
        size: of the picture.
        tiling: how it is divided.
        max_pixels: area at which a part is shown; "auto" takes tiles of this area, so that none is shrunk.
        max_calls: most parts; "auto" takes larger tiles, which are shrunk, if there would be more.

    Raises:
        ConfigError: another word, a side below `4 * CELL`, or more parts of the given side than `max_calls`.
    """
    whole = Box(0, 0, size.width, size.height)
    if tiling == "off" or (tiling == "auto" and size.area <= max_pixels):
        return [whole]
    if tiling == "auto":
        tiles = _finest(size, max_pixels, max_calls - 1)
    elif isinstance(tiling, int) and not isinstance(tiling, bool) and tiling >= 4 * CELL:
        tiles = _grid(size, tiling, tiling)
        if len(tiles) > 1 and len(tiles) >= max_calls:
            raise ConfigError(
                f"tiles of {tiling} pixels make {len(tiles) + 1} questions, and at most {max_calls} are allowed",
                hint="take larger tiles, or raise the limit (--max-calls)",
            )
    else:
        raise ConfigError(
            f"tile is {shown(tiling)}",
            hint=f'it is "auto", "off", or a side of at least {4 * CELL}',
        )
    return [*tiles, whole] if len(tiles) > 1 else [whole]


def _finest(size: Size, max_pixels: int, most: int) -> list[Box]:
    """The tiles of the smallest area from `max_pixels` on of which there are at most `most`."""
    for step in range(_STEPS):
        side = sqrt(max_pixels) * 1.05**step
        best: list[Box] = []
        for ratio in (1.0, 0.8, 1.25, 0.64, 1.5625):  # equal areas of other shapes can fit better
            tiles = _grid(size, side * sqrt(ratio), side / sqrt(ratio))
            if len(tiles) <= max(most, 1) and (not best or len(tiles) < len(best)):
                best = tiles
        if best:
            return best
    return [Box(0, 0, size.width, size.height)]


def _grid(size: Size, width: float, height: float) -> list[Box]:
    """Tiles of at most this size, row by row, evenly placed."""
    return [
        Box(left, top, right, bottom)
        for top, bottom in _stretches(size.height, height)
        for left, right in _stretches(size.width, width)
    ]


def _stretches(length: int, side: float) -> list[tuple[int, int]]:
    """Stretches of at most `side` pixels, a multiple of `CELL`, that overlap by a share of at least `OVERLAP`."""
    side = max(int(side) // CELL, 2) * CELL
    if length <= side:
        return [(0, length)]
    count = ceil((length - side) / (side * (1 - OVERLAP))) + 1
    starts = [round(index * (length - side) / (count - 1)) for index in range(count)]
    return [(start, start + side) for start in starts]


def overlap_of(tiles: Sequence[Box]) -> float:
    """The largest side of a thing that is whole in at least one of these tiles; 0 for a single one."""
    parts = tiles[:-1]
    if not parts:
        return 0.0
    return OVERLAP * min(min(tile.width, tile.height) for tile in parts)


def halves(tile: Box) -> list[Box]:
    """Two overlapping halves of a tile, across its longer side."""
    if tile.width >= tile.height:
        middle, more = (tile.x1 + tile.x2) / 2, tile.width * OVERLAP / 2
        return [replace(tile, x2=round(middle + more)), replace(tile, x1=round(middle - more))]
    middle, more = (tile.y1 + tile.y2) / 2, tile.height * OVERLAP / 2
    return [replace(tile, y2=round(middle + more)), replace(tile, y1=round(middle - more))]


def cuts(tile: Box, picture: Size, box: Box, reach: float) -> bool:
    """Whether a box comes as near as `reach` pixels to an edge of the tile that is not an edge of the picture."""
    return (
        (tile.x1 > 0 and box.x1 - tile.x1 <= reach)
        or (tile.y1 > 0 and box.y1 - tile.y1 <= reach)
        or (tile.x2 < picture.width and tile.x2 - box.x2 <= reach)
        or (tile.y2 < picture.height and tile.y2 - box.y2 <= reach)
    )


def merged(things: Sequence[Thing], overlap: float = 0.0) -> list[Thing]:
    """The things of one label without repetitions.

    Args:
        things: as they were found.
        overlap: what `overlap_of` gives: a smaller thing is whole in a tile, so that its box of the low-resolution
            picture counts only where no tile has found one.

    Returns:
        Distinct things in reading order; of several boxes of one thing the best is kept, with the highest score.
    """
    waiting = sorted(
        things, key=lambda one: (one.is_cut, one.step, -(one.score.value or 0.0), one.tile)
    )
    while True:
        kept: list[Thing] = []
        for thing in waiting:
            place = next((i for i, one in enumerate(kept) if _same(one, thing, overlap)), None)
            if place is None:
                kept.append(thing)
            else:
                kept[place] = _joined(kept[place], thing)
        if len(kept) == len(waiting):  # a union may have reached another thing
            return sorted(kept, key=lambda one: (one.center.y, one.center.x))
        waiting = kept


def _same(first: Thing, second: Thing, overlap: float) -> bool:
    """Whether two finds are one thing; `first` is whole or the finer one."""
    one, other = first.shape, second.shape
    if isinstance(one, Point) or isinstance(other, Point):
        reach = POINT_REACH * max(first.step, second.step)
        between = first.center, second.center
        return hypot(between[0].x - between[1].x, between[0].y - between[1].y) <= reach
    if iou(one, other) >= SAME_IOU:
        return True
    if first.is_cut and share(one, other) >= CONTAINED:
        return True
    if second.is_cut and share(other, one) >= CONTAINED:
        return True
    is_coarse = max(other.width, other.height) < overlap and second.step >= 2 * first.step
    return is_coarse and share(one, _grown(other, second.step)) > 0


def unknown(things: Sequence[Thing], known: Sequence[Thing], overlap: float) -> list[Thing]:
    """Those things, without repetitions, that are none of the known ones."""
    return [
        one
        for one in merged(things, overlap)
        if not any(_same(each, one, overlap) for each in known)
    ]


def share(inner: Box, outer: Box) -> float:
    """Share of a box that lies in another one."""
    width = min(inner.x2, outer.x2) - max(inner.x1, outer.x1)
    height = min(inner.y2, outer.y2) - max(inner.y1, outer.y1)
    return max(0.0, width) * max(0.0, height) / inner.area if inner.area > 0 else 0.0


def _grown(box: Box, more: float) -> Box:
    return Box(box.x1 - more, box.y1 - more, box.x2 + more, box.y2 + more)


def _joined(first: Thing, second: Thing) -> Thing:
    """One thing of two: the box of the first, or the hull of both if both are cut."""
    best = max(first.score, second.score, key=_value)
    evidence = first.evidence
    if first.is_cut and second.is_cut and evidence.box and second.evidence.box:
        evidence = replace(evidence, box=hull([evidence.box, second.evidence.box]))
    attributes = {**second.attributes, **first.attributes}
    return replace(first, evidence=evidence, score=best, attributes=attributes)


def _value(score: Score) -> float:
    return -1.0 if score.value is None else score.value
