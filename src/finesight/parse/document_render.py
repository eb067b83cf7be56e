# SPDX-License-Identifier: Apache-2.0
"""Renders a typed page as QwenVL HTML, for training data.

For a page in normal form, `read_document(render_html(page))` equals the page. Closing tags
are in the correct order, unlike in the report's example.
"""

from __future__ import annotations

import html

from finesight.geometry import Box
from finesight.parse.document import Block, Cell, DocumentPage, Mark, Run
from finesight.parse.html_tags import KEEP_BLANKS

_MARK_TAGS: dict[Mark, str] = {
    "bold": "b",
    "italic": "i",
    "underline": "u",
    "strike": "s",
    "code": "code",
    "superscript": "sup",
    "subscript": "sub",
}


def render_html(page: DocumentPage, *, fenced: bool = False) -> str:
    """Write a page as QwenVL HTML, one line per block.

    Args:
        page: in normal form; boxes are those of `box_resized`.
        fenced: enclose it in ```html and ```, as the official models answer.
    """
    lines = [
        "<html><body>",
        *(_block(block, keep=False) for block in page.blocks),
        "</body></html>",
    ]
    body = "\n".join(lines)
    return f"```html\n{body}\n```" if fenced else body


def bbox_text(box: Box) -> str:
    """A box as `x1 y1 x2 y2`; integers without a decimal point."""
    return " ".join(_number(value) for value in (box.x1, box.y1, box.x2, box.y2))


def _block(block: Block, *, keep: bool) -> str:
    keep = keep or block.kind in KEEP_BLANKS
    if not block.tag:
        return _runs(block.runs, keep=keep)
    attributes = {} if block.box_resized is None else {"data-bbox": bbox_text(block.box_resized)}
    attributes.update(block.attributes)
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in attributes.items())
    style = f"<style>{block.style}</style>\n" if block.style else ""
    if block.tag == "img":
        return f"{style}<img{written}/>"
    parts = [_block(child, keep=keep) for child in block.children]
    parts += [_row(row, keep=keep) for row in block.rows]
    body = "\n".join(("", *parts, "")) if parts else _runs(block.runs, keep=keep)
    return f"{style}<{block.tag}{written}>{body}</{block.tag}>"


def _row(row: tuple[Cell, ...], *, keep: bool) -> str:
    return f"<tr>{''.join(_cell(cell, keep=keep) for cell in row)}</tr>"


def _cell(cell: Cell, *, keep: bool) -> str:
    tag = "th" if cell.is_header else "td"
    spans = (("colspan", cell.colspan), ("rowspan", cell.rowspan))
    written = "".join(f' {name}="{value}"' for name, value in spans if value != 1)
    return f"<{tag}{written}>{_runs(cell.runs, keep=keep)}</{tag}>"


def _runs(runs: tuple[Run, ...], *, keep: bool) -> str:
    return "".join(_run(run, keep=keep) for run in runs)


def _run(run: Run, *, keep: bool) -> str:
    text = html.escape(run.text, quote=False)
    if not keep:
        text = text.replace("\n", "<br/>")
    for mark in reversed(run.marks):
        text = f"<{_MARK_TAGS[mark]}>{text}</{_MARK_TAGS[mark]}>"
    return text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
