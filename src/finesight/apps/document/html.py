# SPDX-License-Identifier: Apache-2.0
"""HTML and JSON of a read document."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from finesight.apps.document.figures import linked
from finesight.apps.document.records import Document
from finesight.apps.document.stitch import Item, items_of
from finesight.geometry import Box
from finesight.parse.document import Block, DocumentPage
from finesight.parse.document_render import render_html

__all__ = ["document_html", "document_json"]

SCHEMA_VERSION = 1
"""Version of the JSON; it increases when a key changes its meaning or is removed."""


def document_html(document: Document, figures: Mapping[int, str] | None = None) -> str:
    """All pages as QwenVL HTML: one section a page, boxes in pixels of the drawn page.

    A text or table that goes on over pages is written once, on its first page; `data-pages` names all of them.
    Running heads and feet have the attribute `data-role`.

    Args:
        document: the pages, as `stitched` returns them.
        figures: addresses of figures, as `cut_figures` returns them.
    """
    blocks: dict[int, list[Block]] = {}
    for item in linked(items_of(document), figures or {}):
        blocks.setdefault(item.pieces[0].page.number, []).append(_marked(item))
    sections = []
    for page in document.pages:
        written = DocumentPage(blocks=tuple(blocks.get(page.number, ())))
        inner = render_html(written).split("\n")[1:-1]
        name = html.escape(page.source)
        size = f'data-width="{page.size.width}" data-height="{page.size.height}"'
        opening = f'<section data-page="{page.number}" data-source="{name}" {size}>'
        sections.append("\n".join([opening, *inner, "</section>"]))
    policy = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"
    head = (
        '<!doctype html>\n<html><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"></head><body>'
    )
    return "\n".join([head, *sections, "</body></html>"]) + "\n"


def document_json(document: Document) -> dict[str, Any]:
    """All pages in plain JSON types; pages are counted from 1, boxes are in pixels of the drawn page."""
    return {
        "schema_version": SCHEMA_VERSION,
        "pages": [page.to_dict() for page in document.pages],
        "coverage": document.coverage.to_dict(),
    }


def _marked(item: Item) -> Block:
    block = _with_box(item.block)
    more: dict[str, str] = {}
    if item.role != "body":
        more["data-role"] = item.role
    if len({piece.page.number for piece in item.pieces}) > 1:
        more["data-pages"] = " ".join(
            map(str, dict.fromkeys(piece.page.number for piece in item.pieces))
        )
    return replace(block, attributes={**block.attributes, **more})


def _with_box(block: Block) -> Block:
    box = block.box
    whole = box and Box(round(box.x1), round(box.y1), round(box.x2), round(box.y2))
    children = tuple(_with_box(child) for child in block.children)
    return replace(block, box_resized=whole, children=children)
