# SPDX-License-Identifier: Apache-2.0
"""Figures of a document: cut out of the pages as files, and linked in Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from finesight import files
from finesight.apps.crop import crop
from finesight.apps.document.pages import PageAddress, load
from finesight.apps.document.read import PageImage
from finesight.apps.document.stitch import Item
from finesight.errors import AppError, FinesightError
from finesight.parse.document import Block

__all__ = ["PICTURES", "cut_figures", "linked"]

PICTURES = frozenset({"image", "figure", "chart", "music_sheet", "chemical_formula"})
"""Kinds of blocks that are drawings."""

_HARMLESS = frozenset({"alt", "class", "dir", "format", "lang", "start", "title", "type", "value"})
"""Attributes of a model that are written; an address, a style or a script of its is not."""


def cut_figures(
    items: Sequence[Item],
    addresses: Sequence[PageAddress],
    folder: Path,
    *,
    dpi: float | None = None,
    on_problem: Callable[[str], None],
) -> dict[int, str]:
    """Write each figure with a box as `figures/NUMBER-K.png`; NUMBER is its page, K counts on the page.

    Args:
        items: of the document.
        addresses: its pages.
        folder: of the document; files are in its folder `figures`.
        dpi: resolution at which PDF pages were read.
        on_problem: called with the reason for each figure that cannot be cut out.

    Returns:
        Address of the file relative to the folder, by the index of the item.

    Raises:
        AppError: a file cannot be written.
    """
    by_page: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        if item.block.kind in PICTURES and item.block.box is not None:
            by_page.setdefault(item.pieces[0].page.number, []).append(index)
    found = {}
    for address in addresses:
        drawn: PageImage | None = None
        for count, index in enumerate(by_page.get(address.number, ()), 1):
            name = f"figures/{address.number:05}-{count}.png"
            box = items[index].block.box
            assert box is not None
            try:
                drawn = drawn or load(address, dpi=dpi)
                part = crop(drawn.pixels, box)
            except FinesightError as error:
                on_problem(
                    f"page {address.number}: figure {count} was not cut out: {error.message}"
                )
                continue
            with files.whole_file(folder / name, error=AppError, parents=True) as draft:
                turn = items[index].pieces[0].page.turn
                Image.fromarray(np.rot90(part.pixels, turn)).save(draft, format="PNG")
            found[index] = name
    return found


def linked(items: Sequence[Item], figures: Mapping[int, str]) -> list[Item]:
    """Items with the address of their picture as `src`; attributes that could fetch or run something are removed."""
    return [
        replace(item, block=_linked(_harmless(item.block), figures.get(index)))
        for index, item in enumerate(items)
    ]


def _harmless(block: Block) -> Block:
    kept = {
        name: value
        for name, value in block.attributes.items()
        if name in _HARMLESS or name.startswith("data-")
    }
    return replace(
        block,
        attributes=kept,
        style="" if "<" in block.style else block.style,  # which no style sheet has
        children=tuple(_harmless(child) for child in block.children),
    )


def _linked(block: Block, source: str | None) -> Block:
    """The block with the address at its picture; one without a picture gets one as its first child."""
    if source is None:
        return block
    if block.tag == "img":
        return replace(block, attributes={**block.attributes, "src": source})
    children = list(block.children)
    if not children and block.runs:
        children = [Block(tag="p", runs=block.runs)]
    place = next((index for index, one in enumerate(children) if one.tag == "img"), None)
    if place is None:
        children.insert(0, Block(tag="img", attributes={"src": source}))
    else:
        children[place] = _linked(children[place], source)
    return replace(block, runs=(), children=tuple(children))
