# SPDX-License-Identifier: Apache-2.0
"""A read document as DoclingDocument, the JSON of docling-core (schema 1.10.0).

Places are boxes from the top left, in pixels of the drawn page, which is also the unit of the page size. The score of a
block, and what read it, are under the key `finesight` of the file, by reference: docling-core ignores that key. It
would write fields of `meta` into exported texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from finesight.apps.document.figures import PICTURES
from finesight.apps.document.records import Document, ReadBlock
from finesight.apps.document.stitch import Item, Piece, items_of
from finesight.parse.document import Block, Cell

__all__ = ["docling_json"]

VERSION = "1.10.0"
"""Version of the schema."""

Node = dict[str, Any]


def docling_json(
    document: Document, name: str, figures: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """The document in plain JSON types.

    Args:
        document: the pages, as `stitched` returns them.
        name: of the document.
        figures: addresses of figures, as `cut_figures` returns them.
    """
    writer = _Writer()
    for index, item in enumerate(items_of(document)):
        writer.add(item, (figures or {}).get(index))
    pages = {
        str(page.number): {
            "size": {"width": float(page.size.width), "height": float(page.size.height)},
            "page_no": page.number,
        }
        for page in document.pages
    }
    return {
        "schema_name": "DoclingDocument",
        "version": VERSION,
        "name": name,
        "furniture": _root("furniture", []),
        "body": _root("body", writer.children),
        **writer.nodes,
        "key_value_items": [],
        "form_items": [],
        "pages": pages,
        "finesight": {"readings": writer.readings},
    }


class _Writer:
    """Collects the nodes of a document."""

    def __init__(self) -> None:
        self.nodes: dict[str, list[Node]] = {
            kind: [] for kind in ("groups", "texts", "pictures", "tables")
        }
        self.children: list[Node] = []
        self.readings: dict[str, Node] = {}

    def add(self, item: Item, figure: str | None) -> None:
        """Add a part of the document to the body; heads and feet are in it, marked as furniture."""
        for reference in self._add(item.block, item, "#/body", figure):
            self.children.append(reference)

    def _add(self, block: Block, item: Item, parent: str, figure: str | None) -> Iterator[Node]:
        if block.rows:
            yield self._table(block, item, parent)
        elif block.kind in PICTURES:
            yield self._picture(block, item, parent, figure)
        elif block.kind == "list":
            yield self._list(block, item, parent)
        elif block.children:
            for child in block.children:
                yield from self._add(child, item, parent, None)
        elif block.text:
            yield self._text(block, item, parent)

    def _node(self, kind: str, label: str, item: Item, parent: str, **more: Any) -> Node:
        node: Node = {
            "self_ref": f"#/{kind}/{len(self.nodes[kind])}",
            "parent": {"$ref": parent},
            "children": [],
            "content_layer": "body" if item.role == "body" else "furniture",
            "label": label,
            **more,
        }
        self.nodes[kind].append(node)
        if kind != "groups":
            self.readings[node["self_ref"]] = _reading(item)
        return node

    def _text(self, block: Block, item: Item, parent: str, label: str = "") -> Node:
        text = block.text.strip("$ ") if block.kind == "formula" else block.text
        label = label or (item.role if item.role != "body" else _label(block))
        more: Node = {"prov": _places(block, item), "orig": text, "text": text}
        if label == "section_header":
            more["level"] = block.level - 1
        if label == "code":
            more |= {"captions": [], "references": [], "footnotes": [], "code_language": "unknown"}
        return _reference(self._node("texts", label, item, parent, **more))

    def _list(self, block: Block, item: Item, parent: str) -> Node:
        is_ordered = block.tag == "ol"
        group = self._node("groups", "list", item, parent, name="list")
        for number, entry in enumerate(block.children, 1):
            nested = [child for child in entry.children if child.kind == "list"]
            own = " ".join(child.text for child in entry.children if child.kind != "list")
            text = own or "".join(run.text for run in entry.runs)
            more = {
                "prov": _places(entry, item),
                "orig": text,
                "text": text,
                "enumerated": is_ordered,
                "marker": f"{number}." if is_ordered else "-",
            }
            node = self._node("texts", "list_item", item, group["self_ref"], **more)
            group["children"].append(_reference(node))
            for each in nested:
                node["children"].append(self._list(each, item, node["self_ref"]))
        return _reference(group)

    def _table(self, block: Block, item: Item, parent: str) -> Node:
        node = self._node("tables", "table", item, parent, prov=_places(block, item))
        node |= {"captions": self._captions(block, item, node), "references": []}
        node |= {"footnotes": [], "annotations": [], "data": _table_data(block)}
        return _reference(node)

    def _picture(self, block: Block, item: Item, parent: str, figure: str | None) -> Node:
        node = self._node("pictures", "picture", item, parent, prov=_places(block, item))
        if block.kind == "chemical_formula" and block.text:
            node["meta"] = {"molecule": {"smi": block.text}}
        elif block.kind == "music_sheet" and block.text:
            node["meta"] = {"description": {"text": block.text}}
        node["captions"] = self._captions(block, item, node)
        node |= {"references": [], "footnotes": [], "annotations": []}
        if figure and block.box is not None:
            size = {"width": block.box.width, "height": block.box.height}
            node["image"] = {"mimetype": "image/png", "dpi": 72, "size": size, "uri": figure}
        return _reference(node)

    def _captions(self, block: Block, item: Item, node: Node) -> list[Node]:
        """Texts inside of a picture or a caption of a table, as children of its node."""
        found: list[Node] = []
        texts: Sequence[Block] = block.children
        if not texts and not block.rows and block.kind not in ("chemical_formula", "music_sheet"):
            texts = [block]
        for child in texts:
            if child.text and not child.rows:
                found.append(self._text(child, item, node["self_ref"], "caption"))
            elif child.rows:
                node["children"].append(self._table(child, item, node["self_ref"]))
        node["children"] += found
        return found


def _label(block: Block) -> str:
    if block.kind == "heading":
        return "title" if block.level == 1 else "section_header"
    return block.kind if block.kind in ("caption", "formula", "code", "list_item") else "text"


def _reading(item: Item) -> Node:
    """What read a part of the document, and how sure it is."""
    reading: Node = {"kind": item.block.kind, "created_by": item.pieces[0].one.source}
    scores = [score for one in _blocks(item) if (score := one.score.value) is not None]
    if scores:
        reading["confidence"] = round(min(scores), 4)
    shares = [share for one in _blocks(item) if (share := one.in_source) is not None]
    if shares:
        reading["in_source"] = round(min(shares), 3)
    return reading


def _blocks(item: Item) -> Iterator[ReadBlock]:
    return (piece.one for piece in item.pieces)


def _places(block: Block, item: Item) -> list[Node]:
    """Places of a block; of one over several pieces, all of them, with the characters of each."""
    if block is not item.block or len(item.pieces) == 1:
        return _place(block, item.pieces[0], (0, len(block.text)))
    found, start = [], 0
    for piece in item.pieces:
        end = min(start + len(piece.one.block.text), len(block.text))
        found += _place(piece.one.block, piece, (start, end))
        start = end
    return found


def _place(block: Block, piece: Piece, span: tuple[int, int]) -> list[Node]:
    if block.box is None:
        return []
    box = block.box
    edges = {"l": box.x1, "t": box.y1, "r": box.x2, "b": box.y2}
    rounded = {side: round(edge, 2) for side, edge in edges.items()}
    return [
        {
            "page_no": piece.page.number,
            "bbox": {**rounded, "coord_origin": "TOPLEFT"},
            "charspan": list(span),
        }
    ]


def _table_data(block: Block) -> Node:
    cells: list[Node] = []
    taken: set[tuple[int, int]] = set()
    for row, columns in enumerate(block.rows):
        column = 0
        for cell in columns:
            while (row, column) in taken:
                column += 1
            cells.append(_cell(cell, row, column))
            taken |= {
                (row + down, column + right)
                for down in range(cell.rowspan)
                for right in range(cell.colspan)
            }
    num_rows = max((cell["end_row_offset_idx"] for cell in cells), default=0)
    num_cols = max((cell["end_col_offset_idx"] for cell in cells), default=0)
    return {"table_cells": cells, "num_rows": num_rows, "num_cols": num_cols}


def _cell(cell: Cell, row: int, column: int) -> Node:
    return {
        "text": cell.text,
        "row_span": cell.rowspan,
        "col_span": cell.colspan,
        "start_row_offset_idx": row,
        "end_row_offset_idx": row + cell.rowspan,
        "start_col_offset_idx": column,
        "end_col_offset_idx": column + cell.colspan,
        "column_header": cell.is_header,
        "row_header": False,
        "row_section": False,
    }


def _reference(node: Node) -> Node:
    return {"$ref": node["self_ref"]}


def _root(name: str, children: list[Node]) -> Node:
    return {
        "self_ref": f"#/{name}",
        "children": children,
        "content_layer": name,
        "name": "_root_",
        "label": "unspecified",
    }
