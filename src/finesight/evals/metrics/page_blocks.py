# SPDX-License-Identifier: Apache-2.0
"""Split a page in Markdown into paragraphs, display formulas, and tables.

Tables are those in HTML and those between bars, which are converted to HTML; tables in LaTeX stay text. An unclosed
table reaches to the end of the page. Text is split at blank lines and around headings; Markdown syntax is kept, because
text blocks are compared by letters and digits alone.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "formula", "table", "other"]
"""Kind of content; other is unscored content of the truth, such as captions and page numbers."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page: words, LaTeX of a formula, or HTML of a table."""

    kind: Kind
    text: str


_OPENS = re.compile(r"<table\b|\$\$|\\\[", re.IGNORECASE)
_CLOSES = {
    "$$": re.compile(r"\$\$"),
    "\\[": re.compile(r"\\\]"),
    "<table": re.compile(r"</table\s{0,9}>|\Z", re.IGNORECASE),
}
_FENCE = re.compile(r"^\s*```[\w-]*\s*$", re.MULTILINE)
_HEADING = re.compile(r"\s{0,3}#{1,6}\s")
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")
_TAG = re.compile(r"<[^<>]{1,200}>")
_NO_LETTERS = re.compile(r"[\W_]+")
_NUMBERING = re.compile(r"\\tag\*?\s*\{[^{}]{0,40}\}|\\(?:label|ref)\s*\{[^{}]{0,80}\}")
_LOOKS = re.compile(
    r"\\(?:math(?:bf|rm|it|bb|cal|scr|frak|sf|tt|normal)|text(?:bf|rm|it)?|bm|boldsymbol|operatorname|left|right"
    r"|displaystyle|textstyle|scriptstyle|q?quad|enspace|thinspace|space|notag|nonumber|limits)(?![a-zA-Z])"
    r"|\\[,;:! ]|\$\$|\\[\[\]()]|\s+"
)


def blocks_of(markdown: str) -> list[Block]:
    """Blocks in order; those without letters and digits are left out."""
    text = _FENCE.sub("", markdown)
    return [block for block in _cut(text) if block.kind == "table" or _letters(block)]


def plain_words(text: str) -> str:
    """Letters and digits of a text, in Unicode form NFKC."""
    return _NO_LETTERS.sub("", unicodedata.normalize("NFKC", _TAG.sub("", text)))


def plain_formula(latex: str) -> str:
    """A formula without fonts, sizes, spaces and numbering, in lower case."""
    return _LOOKS.sub("", _NUMBERING.sub("", latex)).strip(".").lower()


def _letters(block: Block) -> str:
    return plain_formula(block.text) if block.kind == "formula" else plain_words(block.text)


def _cut(text: str) -> Iterator[Block]:
    """Tables in HTML, formulas, and the paragraphs between them."""
    done, at = 0, 0
    unclosed: set[str] = (
        set()
    )  # openings without a later end: no second search, so the time stays linear
    while (match := _OPENS.search(text, at)) is not None:
        opening = match[0].lower()
        end = None if opening in unclosed else _CLOSES[opening].search(text, match.end())
        if end is None:
            unclosed.add(opening)
            at = match.end()
            continue
        yield from _paragraphs(text[done : match.start()])
        if opening == "<table":
            yield Block("table", text[match.start() : end.end()])
        else:
            yield Block("formula", text[match.end() : end.start()])
        done = at = end.end()
    yield from _paragraphs(text[done:])


def _paragraphs(text: str) -> Iterator[Block]:
    """Paragraphs, headings, and tables between bars."""
    lines = text.split("\n")
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        is_table = "|" in line and at + 1 < len(lines) and _is_rule(lines[at + 1])
        is_heading = _HEADING.match(line) is not None
        if kept and (is_table or is_heading or not line.strip()):
            yield Block("text", "\n".join(kept))
            kept = []
        if is_table:
            end = next((n for n in range(at + 2, len(lines)) if "|" not in lines[n]), len(lines))
            yield Block("table", _from_bars([line, *lines[at + 2 : end]]))
            at = end
            continue
        if is_heading:
            yield Block("text", line)
        elif line.strip():
            kept.append(line)
        at += 1
    if kept:
        yield Block("text", "\n".join(kept))


def _is_rule(line: str) -> bool:
    return "|" in line and len(line) < 1000 and _RULE.fullmatch(line) is not None


def _from_bars(lines: list[str]) -> str:
    rows = (line.strip().removeprefix("|").removesuffix("|").split("|") for line in lines)
    cells = ("".join(f"<td>{html.escape(cell.strip())}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
