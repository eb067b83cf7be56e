# SPDX-License-Identifier: Apache-2.0
"""Parses QwenVL HTML into a typed page.

Tolerated are the closing order of the report's own example (`</html></body>`), tags that are never closed,
stray closing tags, paragraphs within paragraphs, unknown tags (they are text), and text that ends early.
Blocks that are cut off are kept and marked; a box is read only from a complete tag.

No style is applied, links and `<span>` keep only their text, and pictures within table
cells are left out and reported. Time is linear in the length of the text; nesting beyond a
fixed depth is flattened.
Source: Qwen2.5-VL report, section 2.2.1, and the official document cookbook.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from finesight.geometry import Box
from finesight.parse.document import Block, Cell, DocumentPage, Mark, Run, normal_runs
from finesight.parse.html_tags import (
    BLOCK_TAGS,
    KEEP_BLANKS,
    KNOWN_TAGS,
    MARK_ORDER,
    MARK_TAGS,
    MAX_DEPTH,
    RAW_TAGS,
    TEXT_BLOCKS,
)
from finesight.parse.json_block import blank
from finesight.parse.records import Problem, bounding_box, ordered
from finesight.parse.tags import Tag, cut_tag, find_comments, find_tags, read_numbers, unescape

PAGE_PROMPT = "QwenVL HTML "
"""Prompt for this format, with its space. The official notebook puts it before the picture."""
PAGE_SYSTEM = "You are a helpful assistant"
"""System text, without a full stop, of the call whose answer the official notebook prints."""
PAGE_SYSTEM_LONG = (
    "You are an AI specialized in recognizing and extracting text from images. Your mission is to analyze the image"
    " document and generate the result in QwenVL Document Parser HTML format using specified tags while maintaining"
    " user privacy and data integrity."
)
"""System text that the notebook defines and does not use."""
_START = re.compile(
    r"<(?:html|body|!doctype\s{1,4}html)\b"
    r"|<(?:p|h[1-6]|div|table|ul|ol|li|img|section|header|footer)\b[^<>]*\bdata-bbox\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```html\b", re.IGNORECASE)
_CLOSING = r"</(?:html|body)\s{0,8}>"
_WRAPPER_END = re.compile(rf"{_CLOSING}(?:\s{{0,8}}{_CLOSING})?", re.IGNORECASE)
_FENCE_END = re.compile(r"(?:^|(?<=>))[ \t]*+```[ \t]*+$", re.MULTILINE)


def read_document(text: str) -> DocumentPage | None:
    """Read the page of a reply; None if the reply contains no HTML page.

    A page begins with an ```html fence, `<html>`, `<body>` or a tag with a box. It ends with `</html>` or
    `</body>`, or else where its fence is closed; three backticks within the text of a page are text.
    """
    fence, tag = _FENCE.search(text), _START.search(text)
    if fence and (not tag or fence.start() < tag.start()):
        return _Builder(text, fence.end(), _page_end(text, fence.end()), is_fenced=True).build()
    if tag:
        return _Builder(text, tag.start(), _page_end(text, tag.start()), is_fenced=False).build()
    return None


def _page_end(text: str, start: int) -> int:
    wrapper = _WRAPPER_END.search(text, start)
    if wrapper:
        return wrapper.end()
    fence = _FENCE_END.search(text, start)
    return fence.start() if fence else len(text)


class _Frame:
    """An open element; `role` decides what becomes of its text and children."""

    __slots__ = ("attributes", "block", "cells", "children", "keep", "role", "rows", "runs", "tag")

    def __init__(self, tag: str, role: str, *, keep: bool = False) -> None:
        self.tag = tag
        self.role = role  # "root", "block", "row", "cell", "mark" or "flat"
        self.keep = keep
        self.block = Block(tag=tag)
        self.attributes: Mapping[str, str] = {}
        self.runs: list[Run] = []
        self.children: list[Block] = []
        self.rows: list[tuple[Cell, ...]] = []
        self.cells: list[Cell] = []

    def flush(self) -> None:
        """Make the text before a child element a text block."""
        runs = normal_runs(self.runs, keep_blanks=self.keep)
        if runs:
            self.children.append(Block(tag="", runs=runs))
        self.runs = []


class _Builder:
    """Builds one page from the tags of a part of a text."""

    def __init__(self, text: str, start: int, end: int, *, is_fenced: bool) -> None:
        comments, self._is_comment_cut = find_comments(text, start, end)
        self._text = blank(text, comments)
        self._stop = end
        self._is_fenced = is_fenced
        self._start = start
        self._stack = [_Frame("", "root")]
        self._style = ""
        self._problems: list[Problem] = []
        self._has_wrapper = False
        self._end = start  # past the last tag that belongs to the page
        self._is_closed = False

    def build(self) -> DocumentPage:
        """Read to the end of the page."""
        at = self._start
        skip_to = at
        for tag in find_tags(self._text, self._start, self._stop):
            if tag.start < skip_to or (self._is_closed and tag.name not in ("html", "body")):
                continue
            self._text_between(at, tag.start)
            at = skip_to = self._take(tag)
            self._end = at
        is_cut = self._finish_text(at) or (self._is_comment_cut and not self._is_closed)
        while len(self._stack) > 1:
            is_cut |= self._stack[-1].role != "mark"
            self._close_top(is_cut=True)
        self._stack[0].flush()
        return DocumentPage(
            blocks=tuple(self._stack[0].children),
            is_cut=is_cut or (self._has_wrapper and not self._is_closed),
            problems=tuple(self._problems),
            span=(self._start, self._end),
        )

    def _finish_text(self, at: int) -> bool:
        """Add the text after the last tag if it belongs to the page; True if a tag is cut off."""
        cut = None if self._is_closed else cut_tag(self._text, at, self._stop)
        belongs = len(self._stack) > 1 or self._has_wrapper or self._is_fenced
        if not self._is_closed and (belongs or cut is not None):
            self._text_between(at, self._stop if cut is None else cut)
            self._end = self._stop
        return cut is not None

    def _take(self, tag: Tag) -> int:
        """Process one tag; returns the offset at which reading continues."""
        name = tag.name
        if name not in KNOWN_TAGS:
            self._text_between(tag.start, tag.end)  # not a tag: the text "<name>"
        elif name in ("html", "body"):
            self._has_wrapper |= not tag.is_closing
            if tag.is_closing:
                self._close_page()
        elif name in RAW_TAGS and not tag.is_closing:
            return self._raw(tag)
        elif name == "br":
            self._add_run("\n")
        elif name == "img":
            if not tag.is_closing:
                self._picture(tag)
        elif tag.is_closing:
            self._close(name)
        elif name in MARK_TAGS:
            self._push(_Frame(name, "mark"))
        elif name in ("tr", "td", "th"):
            self._open_table_part(tag)
        elif name in BLOCK_TAGS:
            self._open_block(tag)
        return tag.end

    def _close_page(self) -> None:
        """`</body>` and `</html>`, in either order, close all open elements."""
        while len(self._stack) > 1:
            self._close_top()
        self._is_closed = True

    def _raw(self, tag: Tag) -> int:
        """Skip an element whose content is not text; a style sheet is kept for the next block."""
        if tag.is_empty:
            return tag.end
        close = re.compile(rf"</{tag.name}\s{{0,8}}>", re.IGNORECASE).search(
            self._text, tag.end, self._stop
        )
        content_end = close.start() if close else self._stop
        if tag.name == "style":
            self._style = self._text[tag.end : content_end].strip()
        elif tag.name != "title":
            self._complain((tag.start, content_end), f"<{tag.name}> was left out")
        return close.end() if close else self._stop

    def _open_block(self, tag: Tag) -> None:
        if self._inside("cell"):
            self._add_run("\n")
            if tag.name == "table":
                self._complain((tag.start, tag.end), "a table within a table cell was flattened")
                self._push(_Frame("table", "flat"))
            return
        owner = self._stack[-1]
        while owner.role == "mark" or owner.tag in TEXT_BLOCKS:
            self._close_top()
            owner = self._stack[-1]
        if tag.name == "li":
            self._close_open_item()
        frame = _Frame(tag.name, "block")
        frame.block = self._placed(tag)
        frame.keep = self._stack[-1].keep or frame.block.kind in KEEP_BLANKS
        if tag.is_empty or not self._push(frame):
            self._add_child(frame.block)

    def _close_open_item(self) -> None:
        """A list item closes the previous one, unless a list was opened in between."""
        for frame in reversed(self._stack):
            if frame.tag in ("ul", "ol", "table"):
                return
            if frame.tag == "li":
                while self._stack[-1] is not frame:
                    self._close_top()
                self._close_top()
                return

    def _open_table_part(self, tag: Tag) -> None:
        """`<tr>`, `<td>` and `<th>`: each closes the previous one; outside a table they are ignored."""
        if self._inside("flat"):
            self._add_run("\n")
            return
        index = next(
            (i for i in range(len(self._stack) - 1, -1, -1) if self._stack[i].tag == "table"), None
        )
        if index is None:
            return
        keep_open = index + (2 if tag.name != "tr" else 1)
        while len(self._stack) > keep_open:
            self._close_top()
        keep = self._stack[index].keep
        if tag.name != "tr" and len(self._stack) == index + 1:
            self._push(_Frame("tr", "row", keep=keep))
        frame = _Frame(tag.name, "row" if tag.name == "tr" else "cell", keep=keep)
        frame.attributes = tag.attributes
        self._push(frame)

    def _push(self, frame: _Frame) -> bool:
        """Open an element; False if it would be nested too deeply."""
        if len(self._stack) >= MAX_DEPTH:
            return False
        self._stack.append(frame)
        return True

    def _close(self, name: str) -> None:
        """Close the innermost element of this name; a tag within a cell closes nothing outside the cell."""
        if name in BLOCK_TAGS and self._inside("cell") and name != "table":
            self._add_run("\n")
            return
        for index in range(len(self._stack) - 1, 0, -1):
            frame = self._stack[index]
            if frame.tag == name:
                while len(self._stack) > index:
                    self._close_top()
                if frame.role == "flat":
                    self._add_run("\n")
                return
            if frame.role == "flat":
                return  # tags of a flattened table close nothing outside it
            if frame.role == "cell" and name not in ("tr", "table"):
                return
            if frame.role == "block" and name in MARK_TAGS:
                return

    def _close_top(self, *, is_cut: bool = False) -> None:
        frame = self._stack.pop()
        if frame.role == "cell":
            self._stack[-1].cells.append(self._cell(frame))
        elif frame.role == "row":
            self._stack[-1].rows.append(tuple(frame.cells))
        elif frame.role == "block":
            runs: tuple[Run, ...] = ()
            if frame.children or frame.rows:
                frame.flush()
            else:
                runs = normal_runs(frame.runs, keep_blanks=frame.keep)
            self._add_child(
                replace(
                    frame.block,
                    runs=runs,
                    rows=tuple(frame.rows),
                    children=tuple(frame.children),
                    is_cut=is_cut,
                )
            )

    def _cell(self, frame: _Frame) -> Cell:
        return Cell(
            runs=normal_runs(frame.runs, keep_blanks=frame.keep),
            is_header=frame.tag == "th",
            colspan=self._cell_span(frame, "colspan"),
            rowspan=self._cell_span(frame, "rowspan"),
        )

    def _cell_span(self, frame: _Frame, name: str) -> int:
        value = frame.attributes.get(name, "1").strip()
        if re.fullmatch(r"[1-9]\d{0,2}", value):
            return int(value)
        self._complain((self._end, self._end), f"{name} is {value[:20]!r}; 1 is used")
        return 1

    def _picture(self, tag: Tag) -> None:
        if self._inside("cell"):
            self._complain((tag.start, tag.end), "a picture within a table cell was left out")
        else:
            self._add_child(self._placed(tag))

    def _add_child(self, block: Block) -> None:
        owner = self._owner()
        owner.flush()
        owner.children.append(block)

    def _placed(self, tag: Tag) -> Block:
        """A block with the box of its tag; an invalid box stays an attribute and is reported."""
        attributes = dict(tag.attributes)
        box = _polygon_box(attributes.get("data-polygon", ""))
        if "data-bbox" in attributes:
            numbers = read_numbers(attributes["data-bbox"])
            if numbers is None or len(numbers) != 4:
                message = f"data-bbox is {attributes['data-bbox'][:60]!r}, not four numbers"
                self._complain((tag.start, tag.end), message)
            else:
                del attributes["data-bbox"]
                box, swapped = ordered(numbers)
                if swapped:
                    self._complain((tag.start, tag.end), "the corners of a data-bbox were swapped")
        style, self._style = self._style, ""
        return Block(tag=tag.name, attributes=attributes, style=style, box_resized=box)

    def _text_between(self, start: int, end: int) -> None:
        if start < end:
            self._add_run(unescape(self._text[start:end]), is_source=True)

    def _add_run(self, text: str, *, is_source: bool = False) -> None:
        """Add text to the innermost block or cell, with the formatting that is open in it."""
        marks: set[Mark] = set()
        for frame in reversed(self._stack):
            if frame.role == "mark":
                marks.add(MARK_TAGS[frame.tag])
            elif frame.role != "flat":
                break
        owner = self._owner()
        if is_source and not owner.keep:
            text = text.replace("\n", " ")  # a line break in HTML source is a space
        ordered_marks = tuple(mark for mark in MARK_ORDER if mark in marks)
        owner.runs.append(Run(text, ordered_marks))

    def _owner(self) -> _Frame:
        """The innermost element that can contain text."""
        return next(
            frame for frame in reversed(self._stack) if frame.role in ("root", "block", "cell")
        )

    def _inside(self, role: str) -> bool:
        return any(frame.role == role for frame in self._stack)

    def _complain(self, span: tuple[int, int], message: str) -> None:
        self._problems.append(Problem(span, message))


def _polygon_box(value: str) -> Box | None:
    """The box around a polygon of at least three corners; None if the value is not one."""
    numbers = read_numbers(value) or []
    return None if len(numbers) < 6 or len(numbers) % 2 else bounding_box(numbers)
