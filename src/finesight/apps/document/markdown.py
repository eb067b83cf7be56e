# SPDX-License-Identifier: Apache-2.0
"""Markdown of a read document, in the dialect of GitHub.

Texts and tables that go on over pages are written once, where they begin; running heads and feet are left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from finesight.apps.document.figures import linked
from finesight.apps.document.records import Document, ReadBlock
from finesight.apps.document.stitch import items_of
from finesight.parse.document import Block, Cell, Mark, Run

__all__ = ["block_markdown", "document_markdown", "table_html"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")
_AT_START = re.compile(r"^(\s*)(#{1,6}\s|[-+]\s|\d+[.)]\s|>|={3,}|-{3,})", re.MULTILINE)
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
        return f"{'#' * block.level} {text}" if text else ""
    if kind == "list":
        return _list(block, ordered=block.tag == "ol")
    if kind == "code":
        return f"```\n{block.text}\n```"
    if kind == "formula":
        return f"$$\n{block.text.strip('$ ')}\n$$" if block.text else ""
    if kind in ("music_sheet", "chemical_formula"):
        notation = f"```{'abc' if kind == 'music_sheet' else 'smiles'}\n{block.text}\n```"
        pictures = [_block(child) for child in block.children if "src" in child.attributes]
        return "\n\n".join([*pictures, notation])
    if block.tag == "img" and "src" in block.attributes:
        name = _SPECIAL.sub(r"\\\1", block.attributes.get("alt", "")) or kind
        return f"![{name}]({block.attributes['src']})"
    if block.children:
        return "\n\n".join(text for child in block.children if (text := _block(child)))
    if kind in ("image", "figure", "chart"):
        return f"*[{kind}]* {text}".strip()
    if kind == "quote":
        return "\n".join(f"> {line}" for line in text.split("\n"))
    return text


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
    texts = [_runs(cell.runs).replace("\n", "<br>") for cell in cells]
    texts += [""] * (width - len(texts))
    return f"| {' | '.join(texts)} |"


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


def _runs(runs: Sequence[Run]) -> str:
    text = "".join(_run(run) for run in runs)
    return _AT_START.sub(lambda found: f"{found[1]}\\{found[2]}", text)


def _run(run: Run) -> str:
    if "code" in run.marks:
        return f"`{run.text}`"
    text = _SPECIAL.sub(r"\\\1", run.text)
    for mark in run.marks:
        before, after = _FENCES[mark]
        text = f"{before}{text}{after}"
    return text


def _comment(text: str) -> str:
    """Text that cannot end an HTML comment."""
    return text.replace("--", "- -").replace(">", "›")
