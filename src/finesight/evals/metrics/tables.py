# SPDX-License-Identifier: Apache-2.0
"""TEDS: how like two HTML tables are, as trees.

`1 - edits / nodes`, where `nodes` is the larger number of elements below the table. Taking an element out or putting
one in costs 1, turning one into another costs 1 unless tag and spans agree, and then the normalised edit distance of
the cells' contents, counted in tokens: characters and inline tags. Only `td` counts as a cell: a `th` in the place of
a `td` costs 1 and its text is not read.

Known weak spot, kept: inline tags count as elements, yet cost nothing beyond their cell, so a cell full of them makes
all other edits look small.

A bare `<table>` is taken like one inside `<html><body>`. Trees beyond `MAX_NODES` score 0: the distance takes time
that grows faster than their square, and no benchmark holds such a table; models that repeat themselves do.

Source: "Image-based table recognition: data, model, and evaluation" (PubTabNet, 2019).
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.evals.metrics.extras import missing

MAX_NODES = 3000
"""Elements below a table, on either side."""


@dataclass(slots=True)
class Node:
    """One element of a tree; leaves of tables hold the tokens of their cell."""

    tag: str
    spans: tuple[int, int] | None = None
    content: tuple[str, ...] = ()
    children: list[Node] = field(default_factory=list)


def teds(pred_html: str, gold_html: str, *, structure_only: bool = False) -> float:
    """Similarity of the first table of each text, 0..1; 0 where one has none.

    Args:
        pred_html: the answer.
        gold_html: the truth.
        structure_only: pass over what stands in the cells.

    Raises:
        EvalError: apted or lxml is not installed.
    """
    pred, gold = _first_table(pred_html), _first_table(gold_html)
    if pred is None or gold is None:
        return 0.0
    num_nodes = max(_num_below(pred), _num_below(gold))
    if num_nodes > MAX_NODES:
        return 0.0
    if num_nodes == 0:
        return 1.0
    edits = tree_distance(_tree(pred, structure_only), _tree(gold, structure_only), _TableCosts())
    return max(0.0, 1.0 - edits / num_nodes)  # tables within tables can cost more than they count


def plain_table(text: str) -> str:
    """The first table as rows of `td` with their spans and words, and nothing else; empty if there is none.

    Headings become cells like others, parts of tables and looks are left out, blanks are made single.

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
    """Words of the cells of a plain table, one line per cell."""
    return html.unescape(re.sub(r"<[^<>]*>", "\n", table)).strip()


def _plain_cell(cell: Any) -> str:
    spans = ((name, _span(cell, name)) for name in ("colspan", "rowspan"))
    said = "".join(f' {name}="{count}"' for name, count in spans if count > 1)
    words = " ".join("".join(cell.itertext()).split())
    return f"<td{said}>{html.escape(words)}</td>"


def tree_distance(a: Node, b: Node, costs: Any) -> float:
    """Cheapest way from one tree to the other.

    Args:
        a: the one.
        b: the other.
        costs: has `rename(a, b)`, `insert(node)`, `delete(node)`, `children(node)` and `valuecls`, the type of a cost.

    Raises:
        EvalError: apted is not installed.
    """
    try:
        from apted import APTED  # type: ignore[import-untyped]  # has no annotations
    except ModuleNotFoundError as error:
        raise missing("apted", "comparing trees") from error
    return float(APTED(a, b, costs).compute_edit_distance())


class _TableCosts:
    """What a step costs, in the form apted asks for."""

    valuecls = float

    def rename(self, a: Node, b: Node) -> float:
        if a.tag != b.tag or a.spans != b.spans:
            return 1.0
        longest = max(len(a.content), len(b.content))
        return Levenshtein.distance(a.content, b.content) / longest if longest else 0.0

    def insert(self, node: Node) -> float:
        return 1.0

    def delete(self, node: Node) -> float:
        return 1.0

    def children(self, node: Node) -> list[Node]:
        return node.children


def _first_table(text: str) -> Any:
    """The first table that stands directly in the body; None if there is none."""
    try:
        from lxml import etree  # type: ignore[import-untyped]  # has no annotations
        from lxml import html as markup
    except ModuleNotFoundError as error:
        raise missing("lxml", "reading tables") from error
    parser = markup.HTMLParser(remove_comments=True, encoding="utf-8")
    # NUL ends a document for libxml2, and a lone surrogate cannot be encoded.
    raw = text.replace("\0", " ").encode("utf-8", errors="replace")
    try:
        document = markup.document_fromstring(raw, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):  # nothing in it
        return None
    tables = document.xpath("body/table")
    return tables[0] if tables else None


def _num_below(table: Any) -> int:
    return len(table.xpath(".//*"))


def _tree(element: Any, structure_only: bool) -> Node:
    if element.tag != "td":
        return Node(str(element.tag), children=[_tree(child, structure_only) for child in element])
    spans = (_span(element, "colspan"), _span(element, "rowspan"))
    content = () if structure_only else tuple(_tokens(element)[1:-1])
    return Node("td", spans, content)


def _span(element: Any, name: str) -> int:
    """A span of cells; what is no number counts as 1, as browsers do."""
    value = element.attrib.get(name, "1").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else 1


def _tokens(element: Any) -> list[str]:
    """Characters and tags in reading order; text after an inner cell is passed over."""
    tokens = [f"<{element.tag}>", *(element.text or "")]
    for child in element:
        tokens += _tokens(child)
    if element.tag != "unk":
        tokens.append(f"</{element.tag}>")
    if element.tag != "td":
        tokens += element.tail or ""
    return tokens
