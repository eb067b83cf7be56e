# SPDX-License-Identifier: Apache-2.0
"""A parsed page: blocks in reading order, each with tag, text and box.

The tree keeps the tags that the model wrote, so that rendering it loses nothing. `kind`, `variant` and
`level` are derived from tag and class.

Normal form, which the parser returns and the renderer expects: text has no white space at its ends and no
two spaces in a row (except in blocks that keep white space, such as formulas); a block has
either text or children.
Source: Qwen2.5-VL report, section 2.2.1 (document omni-parsing), and the official document
cookbook.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from finesight.geometry import Box, Resize
from finesight.parse.records import JsonValue, Problem, Span, corners

Mark = Literal["bold", "italic", "underline", "strike", "superscript", "subscript", "code"]
BlockKind = Literal[
    "heading",
    "paragraph",
    "list",
    "list_item",
    "table",
    "caption",
    "chart",
    "formula",
    "image",
    "music_sheet",
    "chemical_formula",
    "figure",
    "code",
    "quote",
    "group",
    "text",
]

_TAG_KINDS: Mapping[str, BlockKind] = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    **dict.fromkeys(("ul", "ol"), "list"),
    **dict.fromkeys(("caption", "figcaption"), "caption"),
    "p": "paragraph",
    "li": "list_item",
    "table": "table",
    "img": "figure",
    "pre": "code",
    "blockquote": "quote",
    "": "text",
}
_CLASS_KINDS: tuple[tuple[str, BlockKind], ...] = (
    ("chemical formula", "chemical_formula"),
    ("music sheet", "music_sheet"),
    ("formula", "formula"),
    ("chart", "chart"),
    ("image", "image"),
)


_BLANKS = re.compile(r"\s++")


@dataclass(frozen=True, slots=True)
class Run:
    """A run of text with the same formatting."""

    text: str
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes:
        runs: its text.
        is_header: written as `<th>`.
        colspan: columns it covers.
        rowspan: rows it covers.
    """

    runs: tuple[Run, ...] = ()
    is_header: bool = False
    colspan: int = 1
    rowspan: int = 1

    @property
    def text(self) -> str:
        """The text without formatting."""
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One element of a page.

    Attributes:
        tag: its HTML tag; empty for loose text between blocks.
        runs: its text, if it has no children.
        rows: cells of a table, row by row.
        children: blocks within it; of a table, its caption.
        attributes: attributes of the tag, without the box.
        style: style sheet before the block, as the models write them before tables.
        box_resized: box in pixels the model saw; None if the model gave none.
        box: box in pixels of the original page; None until `DocumentPage.to_original`.
        clipped: whether `box` was cut to the page.
        is_cut: whether the text ends within the block.
    """

    tag: str
    runs: tuple[Run, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    children: tuple[Block, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    style: str = ""
    box_resized: Box | None = None
    box: Box | None = None
    clipped: bool = False
    is_cut: bool = False

    @property
    def kind(self) -> BlockKind:
        """The type of the block, from tag and class."""
        if self.tag not in _TAG_KINDS:
            words = _class_words(self.attributes)
            for name, kind in _CLASS_KINDS:
                if words.startswith(name):
                    return kind
            return "group"
        return _TAG_KINDS[self.tag]

    @property
    def variant(self) -> str:
        """The rest of its class: "caption", "ocr", "handwritten"; often empty."""
        words = _class_words(self.attributes)
        for name, kind in _CLASS_KINDS:
            if kind == self.kind and words.startswith(name):
                return words[len(name) :].strip()
        return ""

    @property
    def level(self) -> int:
        """Level of a heading, 1 to 6; 0 for other blocks."""
        return int(self.tag[1]) if self.kind == "heading" else 0

    @property
    def text(self) -> str:
        """All text within it, one line per child and per table row."""
        if self.rows:
            lines = [child.text for child in self.children]
            lines += ["\t".join(cell.text for cell in row) for row in self.rows]
            return "\n".join(lines)
        if self.children:
            return "\n".join(text for child in self.children if (text := child.text))
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """A page that a model transcribed.

    Attributes:
        blocks: in reading order.
        is_cut: whether the text ends within the page.
        problems: parts that could not be read as written.
        span: where the page is in the reply.
    """

    blocks: tuple[Block, ...] = ()
    is_cut: bool = False
    problems: tuple[Problem, ...] = ()
    span: Span = (0, 0)

    @property
    def text(self) -> str:
        """All text of the page, with a blank line between blocks."""
        return "\n\n".join(text for block in self.blocks if (text := block.text))

    def walk(self) -> Iterator[Block]:
        """Every block, outer before inner, in reading order."""
        stack = list(reversed(self.blocks))
        while stack:
            block = stack.pop()
            yield block
            stack.extend(reversed(block.children))

    def to_original(self, resize: Resize) -> DocumentPage:
        """The page with every box also in original pixels."""
        return replace(self, blocks=tuple(_to_original(block, resize) for block in self.blocks))

    def to_dict(self) -> dict[str, JsonValue]:
        """The page in plain JSON types."""
        return {
            "blocks": [_block_dict(block) for block in self.blocks],
            "is_cut": self.is_cut,
            "text": self.text,
        }


def normal_runs(runs: Iterable[Run], *, keep_blanks: bool = False) -> tuple[Run, ...]:
    """Text in normal form; white space between two runs goes to the one with fewer marks.

    Args:
        runs: in reading order, with line breaks for `<br>`.
        keep_blanks: leave white space inside the text unchanged.
    """
    joined: list[Run] = []
    pending = ""
    for run in runs:
        body = run.text.strip()
        if not body:
            pending += run.text
            continue
        before = run.text[: len(run.text) - len(run.text.lstrip())]
        pending, inner = pending + before, body
        if not keep_blanks:
            pending, inner = _blank(pending), _BLANKS.sub(lambda gap: _blank(gap.group()), body)
        if joined and len(joined[-1].marks) <= len(run.marks):
            joined[-1] = Run(joined[-1].text + pending, joined[-1].marks)
        elif joined:
            inner = pending + inner
        if joined and joined[-1].marks == run.marks:
            joined[-1] = Run(joined[-1].text + inner, run.marks)
        else:
            joined.append(Run(inner, run.marks))
        pending = run.text[len(run.text.rstrip()) :]
    return tuple(joined)


def _blank(gap: str) -> str:
    """White space in normal form: one line break if it contains any, else one space, or nothing."""
    return "\n" if "\n" in gap else " " if gap else ""


def _class_words(attributes: Mapping[str, str]) -> str:
    return re.sub(r"[\s._-]+", " ", attributes.get("class", "")).strip().lower()


def _to_original(block: Block, resize: Resize) -> Block:
    box, clipped = None, False
    if block.box_resized is not None:
        box, clipped = resize.to_original(block.box_resized)
    children = tuple(_to_original(child, resize) for child in block.children)
    return replace(block, box=box, clipped=clipped, children=children)


def _block_dict(block: Block) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {
        "kind": block.kind,
        "variant": block.variant,
        "level": block.level,
        "text": "" if block.children or block.rows else block.text,
        "box": corners(block.box),
        "box_resized": corners(block.box_resized),
        "clipped": block.clipped,
        "is_cut": block.is_cut,
    }
    if block.rows:
        found["rows"] = [[_cell_dict(cell) for cell in row] for row in block.rows]
    if block.children:
        found["children"] = [_block_dict(child) for child in block.children]
    return found


def _cell_dict(cell: Cell) -> dict[str, JsonValue]:
    return {
        "text": cell.text,
        "is_header": cell.is_header,
        "colspan": cell.colspan,
        "rowspan": cell.rowspan,
    }
