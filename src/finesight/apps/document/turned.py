# SPDX-License-Identifier: Apache-2.0
"""Places of a page in a turned or straightened copy of it, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from finesight.apps.document.records import ReadPage
from finesight.geometry import Box, Size
from finesight.parse.document import Block

__all__ = ["mapped_page", "turned_box", "turned_page", "turned_size"]


def turned_box(box: Box, size: Size, turns: int) -> Box:
    """A box after quarter turns of its picture, counter-clockwise, as `numpy.rot90` makes them.

    Args:
        box: in pixels of the picture.
        size: of the picture before the turns.
        turns: number of quarter turns; a negative one turns clockwise.
    """
    for _ in range(turns % 4):
        box = Box(box.y1, size.width - box.x2, box.y2, size.width - box.x1)
        size = Size(size.height, size.width)
    return box


def turned_size(size: Size, turns: int) -> Size:
    """Size of a picture after quarter turns."""
    return Size(size.height, size.width) if turns % 2 else size


def turned_page(page: ReadPage, turns: int) -> ReadPage:
    """A page with all places after quarter turns, counter-clockwise."""
    if not turns % 4:
        return page
    size = turned_size(page.size, turns)
    return mapped_page(page, size, lambda box: turned_box(box, page.size, turns))


def mapped_page(page: ReadPage, size: Size, place: Callable[[Box], Box]) -> ReadPage:
    """A page with every box at another place.

    Args:
        page: the page.
        size: of the page to which the new places belong.
        place: the new place of a box.
    """
    return replace(
        page,
        size=size,
        blocks=tuple(replace(one, block=_mapped(one.block, place)) for one in page.blocks),
        tries=tuple(replace(one, area=place(one.area)) for one in page.tries),
        missed=tuple(replace(one, box=one.box and place(one.box)) for one in page.missed),
        hidden=tuple(replace(one, box=one.box and place(one.box)) for one in page.hidden),
    )


def _mapped(block: Block, place: Callable[[Box], Box]) -> Block:
    children = tuple(_mapped(child, place) for child in block.children)
    return replace(block, box=block.box and place(block.box), children=children)
