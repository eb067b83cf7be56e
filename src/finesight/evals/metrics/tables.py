# SPDX-License-Identifier: Apache-2.0
"""TEDS: tree edit distance similarity of two HTML tables.

`1 - edits / nodes`, where `nodes` is the larger number of elements below the table. A deletion or insertion costs 1.
A substitution costs 1 if tags or spans differ, else the normalised edit distance of the cells' contents in tokens,
which are characters and inline tags. Only `td` counts as a cell: a `th` instead of a `td` costs 1, and its text is not
compared.

Known weakness, kept: inline tags count as elements but cost nothing beyond their cell, so many of them reduce the
weight of all other edits.

A bare `<table>` equals one inside `<html><body>`. Trees larger than `MAX_NODES` score 0: the distance takes more than
quadratic time, and only degenerate answers are that large.

Source: "Image-based table recognition: data, model, and evaluation" (PubTabNet, 2019).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.evals.metrics.extras import required

MAX_NODES = 3000
"""Limit on the elements below a table, for either table."""


@dataclass(slots=True)
class Node:
    """One element of a tree; a leaf of a table holds the tokens of its cell."""

    tag: str
    spans: tuple[int, int] | None = None
    content: tuple[str, ...] = ()
    children: list[Node] = field(default_factory=list)


def teds(pred_html: str, gold_html: str, *, structure_only: bool = False) -> float:
    """Similarity of the first table of each text, 0..1; 0 if one has none.

    Args:
        pred_html: the answer.
        gold_html: the truth.
        structure_only: ignore the contents of cells.

    Raises:
        EvalError: apted or lxml is not installed.
    """
    pred, gold = _first_table(pred_html), _first_table(gold_html)
    if pred is None or gold is None:
        return 0.0
    num_nodes = max(len(table.xpath(".//*")) for table in (pred, gold))
    if num_nodes > MAX_NODES:
        return 0.0
    if num_nodes == 0:
        return 1.0
    edits = tree_distance(_tree(pred, structure_only), _tree(gold, structure_only), _rename_cost)
    return max(
        0.0, 1.0 - edits / num_nodes
    )  # nested tables can cost more than their number of nodes


def plain_table(text: str) -> str:
    """The first table as rows of `td` with spans and words; empty if there is none.

    `th` becomes `td`, sections and styles are removed, whitespace is normalised.

    Raises:
        EvalError: lxml is not installed.
    """
    table = _first_table(text)
    if table is None:
        return ""
    rows = []
    for row in table.xpath("./tr|./thead/tr|./tbody/tr|./tfoot/tr"):
        cells = [_plain_cell(cell) for cell in row if cell.tag in ("td", "th")]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>" if rows else ""


def table_words(table: str) -> str:
    """Text of the cells of a `plain_table`, one line per cell."""
    return html.unescape(re.sub(r"<[^<>]*>", "\n", table)).strip()


def _plain_cell(cell: Any) -> str:
    spans = ((name, _span(cell, name)) for name in ("colspan", "rowspan"))
    attributes = "".join(f' {name}="{count}"' for name, count in spans if count > 1)
    words = " ".join("".join(cell.itertext()).split())
    return f"<td{attributes}>{html.escape(words)}</td>"


def tree_distance(a: Node, b: Node, rename_cost: Callable[[Node, Node], float]) -> float:
    """Tree edit distance; an insertion or deletion costs 1, a substitution `rename_cost`.

    Raises:
        EvalError: apted is not installed.
    """
    with required("apted", "comparing trees"):
        from apted import APTED  # type: ignore[import-untyped]  # has no annotations
    return float(APTED(a, b, _Costs(rename_cost)).compute_edit_distance())


class _Costs:
    """Costs of edits, with the interface of apted."""

    valuecls = float

    def __init__(self, rename: Callable[[Node, Node], float]) -> None:
        self.rename = rename

    def insert(self, node: Node) -> float:
        return 1.0

    def delete(self, node: Node) -> float:
        return 1.0

    def children(self, node: Node) -> list[Node]:
        return node.children


def _rename_cost(a: Node, b: Node) -> float:
    if a.tag != b.tag or a.spans != b.spans:
        return 1.0
    return Levenshtein.normalized_distance(a.content, b.content)


def _first_table(text: str) -> Any:
    """The first table directly in the body; None if there is none."""
    with required("lxml", "reading tables"):
        from lxml import etree  # type: ignore[import-untyped]  # has no annotations
        from lxml import html as markup
    parser = markup.HTMLParser(remove_comments=True, encoding="utf-8")
    # libxml2 stops at NUL, and a lone surrogate cannot be encoded.
    raw = text.replace("\0", " ").encode("utf-8", errors="replace")
    try:
        document = markup.document_fromstring(raw, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):  # empty
        return None
    tables = document.xpath("body/table")
    return tables[0] if tables else None


def _tree(element: Any, structure_only: bool) -> Node:
    if element.tag != "td":
        return Node(str(element.tag), children=[_tree(child, structure_only) for child in element])
    spans = (_span(element, "colspan"), _span(element, "rowspan"))
    content = () if structure_only else tuple(_tokens(element)[1:-1])
    return Node("td", spans, content)


def _span(element: Any, name: str) -> int:
    """A span of cells; an invalid number counts as 1, as in browsers."""
    value = element.attrib.get(name, "1").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else 1


def _tokens(element: Any) -> list[str]:
    """Characters and tags in order; text after an inner cell is ignored."""
    tokens = [f"<{element.tag}>", *(element.text or "")]
    for child in element:
        tokens += _tokens(child)
    if element.tag != "unk":
        tokens.append(f"</{element.tag}>")
    if element.tag != "td":
        tokens += element.tail or ""
    return tokens
