# SPDX-License-Identifier: Apache-2.0
"""A read document as the content list of MinerU: flat, in reading order, boxes from 0 to 1000 of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finesight.apps.document.figures import PICTURES
from finesight.apps.document.markdown import table_html
from finesight.apps.document.records import Document
from finesight.apps.document.stitch import Item, items_of
from finesight.parse.document import Block

__all__ = ["content_list"]

_FURNITURE = {"page_header": "header", "page_footer": "footer"}


def content_list(
    document: Document, figures: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """One entry for each part of the document; pages are counted from 0.

    Args:
        document: the pages, as `stitched` returns them.
        figures: addresses of figures, as `cut_figures` returns them.
    """
    return [
        {**_content(item, (figures or {}).get(index, "")), **_place(item)}
        for index, item in enumerate(items_of(document))
    ]


def _content(item: Item, figure: str) -> dict[str, Any]:
    block = item.block
    kind = block.kind
    if item.role != "body":
        return {"type": _FURNITURE[item.role], "text": block.text}
    if block.rows:
        captions = [text for child in block.children if (text := child.text)]
        body = table_html(block.rows)
        return {
            "type": "table",
            "img_path": figure,
            "table_caption": captions,
            "table_footnote": [],
            "table_body": body,
        }
    if kind == "formula":
        text = f"$$\n{block.text.strip('$ ')}\n$$"
        return {"type": "equation", "img_path": figure, "text": text, "text_format": "latex"}
    if kind in PICTURES:
        captions = [text for child in block.children or (block,) if (text := child.text)]
        return {
            "type": "image",
            "img_path": figure,
            "image_caption": captions,
            "image_footnote": [],
        }
    if kind == "code":
        return {"type": "code", "sub_type": "code", "code_caption": [], "code_body": block.text}
    if kind == "list":
        return {"type": "list", "sub_type": "text", "list_items": _entries(block)}
    found: dict[str, Any] = {"type": "text", "text": block.text}
    return {**found, "text_level": block.level} if block.level else found


def _entries(block: Block) -> list[str]:
    return [child.text for child in block.children]


def _place(item: Item) -> dict[str, Any]:
    page, box = item.pieces[0].page, item.block.box
    found: dict[str, Any] = {"page_idx": page.number - 1}
    if box is not None and page.size.area:
        width, height = page.size.width, page.size.height
        edges = (box.x1 / width, box.y1 / height, box.x2 / width, box.y2 / height)
        found["bbox"] = [round(1000 * edge) for edge in edges]
    return found
