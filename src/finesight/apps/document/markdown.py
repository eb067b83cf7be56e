# SPDX-License-Identifier: Apache-2.0
"""Markdown of a read document, in the dialect of GitHub.

Texts and tables that go on over pages are written once, where they begin; running heads and feet are left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from finesight.apps.document.figures import linked
from finesight.apps.document.records import Document, ReadBlock
from finesight.apps.document.stitch import items_of
from finesight.parse.document import Block, Cell, Mark, Run

__all__ = ["block_markdown", "document_markdown", "table_html"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")
_AT_START = re.compile(r"^(?:(\s*)(#{1,6}\s|[-+]\s|>|={3,}|-{3,})|(\s*\d+)([.)]\s))", re.MULTILINE)
"""What begins a heading, list, quote or rule; the backslash stands before a sign, as before a digit it is a text."""
_FENCES: dict[Mark, tuple[str, str]] = {
    "bold": ("**", "**"),
    "italic": ("*", "*"),
    "strike": ("~~", "~~"),
    "code": ("`", "`"),
    "underline": ("<u>", "</u>"),
    "superscript": ("<sup>", "</sup>"),
    "subscript": ("<sub>", "</sub>"),
}


def document_markdown(document: Document, figures: Mapping[int, str] | None = None) -> str:
    """All pages; a comment says where a page begins and what it lacks.

    Args:
        document: the pages, as `stitched` returns them.
        figures: addresses of figures, as `cut_figures` returns them.
    """
    texts: dict[int, list[str]] = {}
    for item in linked(items_of(document), figures or {}):
        if item.role == "body" and (text := _block(item.block)):
            texts.setdefault(item.pieces[0].page.number, []).append(text)
    parts = []
    for page in document.pages:
        parts.append(f"<!-- {_comment(page.title)} -->")
        parts += [f"<!-- {page.status}: {_comment(each)} -->" for each in page.problems]
        parts += texts.get(page.number, ())
    return "\n\n".join(parts) + "\n"


def block_markdown(one: ReadBlock) -> str:
    """One block; an empty text for a block without text."""
    return _block(one.block)


def _block(block: Block) -> str:
    kind, text = block.kind, _runs(block.runs)
    if block.rows:
        return _table(block)
    if kind == "heading":
        return f"{'#' * block.level} {' '.join(text.split())}" if text else ""
    if kind == "list":
        return _list(block, ordered=block.tag == "ol")
    if kind == "code":
        return _fenced(block.text)
    if kind == "formula":
        return f"$$\n{block.text.strip('$ ')}\n$$" if block.text else ""
    if kind in ("music_sheet", "chemical_formula"):
        notation = _fenced(block.text, "abc" if kind == "music_sheet" else "smiles")
        pictures = [_block(child) for child in block.children if "src" in child.attributes]
        return "\n\n".join([*pictures, notation])
    if block.tag == "img" and "src" in block.attributes:
        name = _SPECIAL.sub(r"\\\1", block.attributes.get("alt", "")) or kind
        return f"![{name}]({block.attributes['src']})"
    if block.children:
        text = "\n\n".join(inner for child in block.children if (inner := _block(child)))
    elif kind in ("image", "figure", "chart"):
        return f"*[{kind}]* {text}".strip()
    if kind == "quote":
        return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
    return text


def _fenced(text: str, language: str = "") -> str:
    """A block of code, between fences that are longer than any in its text."""
    fence = "`" * max(3, 1 + _longest_ticks(text))
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _list(block: Block, *, ordered: bool) -> str:
    items = []
    for number, item in enumerate(block.children, 1):
        mark = f"{number}." if ordered else "-"
        nested = [child for child in item.children if child.kind == "list"]
        own = _runs(item.runs) or " ".join(
            _block(child) for child in item.children if child.kind != "list"
        )
        items.append(f"{mark} {own}")
        for each in nested:
            inner = _list(each, ordered=each.tag == "ol")
            items += [f"{' ' * (len(mark) + 1)}{line}" for line in inner.split("\n")]
    return "\n".join(items)


def _table(block: Block) -> str:
    """A pipe table; one with merged cells as HTML, which Markdown may contain."""
    captions = [text for child in block.children if (text := _block(child))]
    is_plain = all(cell.colspan == cell.rowspan == 1 for row in block.rows for cell in row)
    width = max(len(row) for row in block.rows)
    if not is_plain:
        return "\n\n".join([*captions, table_html(block.rows)])
    first, *rest = block.rows
    lines = [_row(first, width), f"|{' --- |' * width}", *(_row(row, width) for row in rest)]
    return "\n\n".join([*captions, "\n".join(lines)])


def _row(cells: Sequence[Cell], width: int) -> str:
    texts = [_runs(map(_in_cell, cell.runs)).replace("\n", "<br>") for cell in cells]
    texts += [""] * (width - len(texts))
    return f"| {' | '.join(texts)} |"


def _in_cell(run: Run) -> Run:
    """A run whose strokes do not end the cell; those outside of code are escaped everywhere."""
    return replace(run, text=run.text.replace("|", r"\|")) if "code" in run.marks else run


def table_html(rows: Sequence[Sequence[Cell]]) -> str:
    """Rows of a table as HTML, without formatting inside of the cells."""
    lines = []
    for row in rows:
        cells = []
        for cell in row:
            tag = "th" if cell.is_header else "td"
            spans = (("colspan", cell.colspan), ("rowspan", cell.rowspan))
            written = "".join(f' {name}="{number}"' for name, number in spans if number != 1)
            cells.append(f"<{tag}{written}>{html.escape(cell.text)}</{tag}>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join(["<table>", *lines, "</table>"])


def _runs(runs: Iterable[Run]) -> str:
    text = "".join(_run(run) for run in runs)
    return _AT_START.sub(
        lambda found: f"{found[1] or found[3] or ''}\\{found[2] or found[4]}", text
    )


def _run(run: Run) -> str:
    if "code" in run.marks:
        fence, pad = "`" * (1 + _longest_ticks(run.text)), " " if "`" in run.text else ""
        return f"{fence}{pad}{run.text}{pad}{fence}"
    text = _SPECIAL.sub(r"\\\1", run.text)
    for mark in run.marks:
        before, after = _FENCES[mark]
        text = f"{before}{text}{after}"
    return text


def _comment(text: str) -> str:
    """Text that cannot end an HTML comment."""
    return text.replace("--", "- -").replace(">", "›")
