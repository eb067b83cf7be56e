# SPDX-License-Identifier: Apache-2.0
"""HTML tags that the page parser knows; all others are text."""

from __future__ import annotations

from collections.abc import Mapping

from finesight.parse.document import BlockKind, Mark

MAX_DEPTH = 64
"""Maximum nesting; deeper elements are flattened into the last one that fits."""

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
"""Order of the marks of one run."""

KEEP_BLANKS: tuple[BlockKind, ...] = ("formula", "music_sheet", "chemical_formula", "code")
"""Blocks that keep white space and line breaks."""

TEXT_BLOCKS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6"))
"""Blocks that the next block closes."""

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
"""Tags that are ignored, while their content is read."""

RAW_TAGS = frozenset(("style", "script", "title", "svg"))
"""Elements whose content is not text."""

KNOWN_TAGS = (
    BLOCK_TAGS | SILENT_TAGS | RAW_TAGS | MARK_TAGS.keys() | {"br", "img", "tr", "td", "th"}
)
