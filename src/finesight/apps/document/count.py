# SPDX-License-Identifier: Apache-2.0
"""Questions that count parts of a document, answered from what was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from finesight.apps.document.figures import PICTURES
from finesight.apps.document.records import Document
from finesight.apps.document.stitch import Item, items_of
from finesight.apps.evidence import Evidence, Found, Score

__all__ = ["counted"]

_NOUNS: tuple[tuple[str, str, Callable[[Item], bool]], ...] = (
    ("table", r"tables?|表格", lambda item: bool(item.block.rows)),
    (
        "figure",
        r"figures?|pictures?|images?|illustrations?|图片|插图",
        lambda item: item.block.kind in PICTURES,
    ),
    ("chart", r"charts?|diagrams?|图表", lambda item: item.block.kind == "chart"),
    ("formula", r"formulas?|formulae|equations?|公式", lambda item: item.block.kind == "formula"),
    ("heading", r"headings?|标题", lambda item: item.block.kind == "heading"),
    ("list", r"lists?|列表", lambda item: item.block.kind == "list"),
)
_PAGES = r"pages?|页"
_ABOUT = re.compile(
    r"a|all|altogether|are|book|contains?|count|do|does|documents?|entire|files?|has|have|how|in|is|it|many|number|of"
    r"|overall|paper|pdf|report|the|there|this|total|what|whole"
)
"""Words of a question about the document as a whole; with another word, the question is about its content."""
_ENGLISH = re.compile(r"^\s*(how many|count|(what is )?the (total )?number of|number of)\b", re.I)
_CHINESE = re.compile(r"(多少|几)[个张幅页条]?(?P<noun>表格|图片|插图|图表|公式|标题|列表|页)?")
_CHINESE_ABOUT = re.compile(
    r"[这该本此份个篇文档件报告中里面内一共总有的多少几张幅页条?？吗呢，。\s]|pdf", re.I
)


def counted(question: str, document: Document) -> Found[str] | None:
    """The number of tables, figures, charts, formulas, headings, lists or pages; None for any other question.

    Args:
        question: in English or Chinese.
        document: its pages, as `stitched` returns them. A table over several pages counts once.
    """
    noun = _noun(question)
    if noun is None:
        return None
    problems = tuple(f"{one.what}: {one.reason}" for one in document.coverage.skipped)
    score = Score(None if problems else 1.0, "rule")
    if noun == "page":
        value = _number_of(len(document.pages), noun)
        return Found(value=value, raw=value, score=Score(1.0, "rule"))
    is_one = next(test for name, _, test in _NOUNS if name == noun)
    items = [item for item in items_of(document) if item.role == "body" and is_one(item)]
    sources = list(dict.fromkeys(page.source for page in document.pages))
    value = _number_of(len(items), noun)
    return Found(
        value=value,
        raw=value,
        score=score,
        evidence=tuple(_evidence(item, sources) for item in items),
        problems=problems,
    )


def _noun(question: str) -> str | None:
    """What is counted, if the question is about the document as a whole."""
    if _ENGLISH.search(question):
        words = re.findall(r"\w+", question.casefold())
        rest = [word for word in words if not _ABOUT.fullmatch(word)]
        return _name(rest[0]) if len(rest) == 1 else None
    if _CHINESE.search(question):
        rest = [_CHINESE_ABOUT.sub("", question)]
        if not rest[0] and "页" in question:
            return "page"
        return _name(rest[0])
    return None


def _name(word: str) -> str | None:
    if re.fullmatch(_PAGES, word):
        return "page"
    return next((name for name, pattern, _ in _NOUNS if re.fullmatch(pattern, word)), None)


def _number_of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _evidence(item: Item, sources: Sequence[str]) -> Evidence:
    piece = item.pieces[0]
    return Evidence(
        media=sources.index(piece.page.source),
        page=piece.page.index,
        box=item.block.box,
        quote=item.block.text.split("\n")[0],
        match="exact",
        source=piece.one.source,
    )
