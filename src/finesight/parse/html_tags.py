# SPDX-License-Identifier: Apache-2.0
"""What the HTML tags that models write mean to the page reader; tags that are not listed are text."""

from __future__ import annotations

from collections.abc import Mapping

from finesight.parse.document import BlockKind, Mark

MAX_DEPTH = 64
"""Elements within elements; deeper ones are flattened into the last that fits."""

MARK_TAGS: Mapping[str, Mark] = {
    **dict.fromkeys(("b", "strong"), "bold"),
    **dict.fromkeys(("i", "em"), "italic"),
    **dict.fromkeys(("u", "ins"), "underline"),
    **dict.fromkeys(("s", "del", "strike"), "strike"),
    **dict.fromkeys(("code", "tt", "kbd"), "code"),
    "sup": "superscript",
    "sub": "subscript",
}
MARK_ORDER: tuple[Mark, ...] = tuple(dict.fromkeys(MARK_TAGS.values()))
"""Marks of one run always come in this order."""

KEEP_BLANKS: tuple[BlockKind, ...] = ("formula", "music_sheet", "chemical_formula", "code")
"""Blocks in which blanks and line breaks mean something."""

TEXT_BLOCKS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6"))
"""Blocks that the next block ends."""

BLOCK_TAGS = TEXT_BLOCKS | {
    "ul",
    "ol",
    "li",
    "table",
    "caption",
    "figcaption",
    "div",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "aside",
    "nav",
    "figure",
    "pre",
    "blockquote",
    "dl",
    "dt",
    "dd",
    "form",
    "address",
}
SILENT_TAGS = frozenset(
    (
        "html",
        "body",
        "head",
        "span",
        "font",
        "a",
        "thead",
        "tbody",
        "tfoot",
        "colgroup",
        "col",
        "center",
        "small",
        "big",
        "label",
        "hr",
    )
)
"""Tags that are passed over and whose content counts."""

RAW_TAGS = frozenset(("style", "script", "title", "svg"))
"""Elements whose content is no text."""

KNOWN_TAGS = (
    BLOCK_TAGS | SILENT_TAGS | RAW_TAGS | MARK_TAGS.keys() | {"br", "img", "tr", "td", "th"}
)
"""Everything else between angle brackets is text."""
