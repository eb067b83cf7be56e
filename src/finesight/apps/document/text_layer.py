# SPDX-License-Identifier: Apache-2.0
"""Compare what a model read with the text layer of the PDF, both ways.

A block whose words the layer does not have may be invented. A line of the layer that no block has was missed: it is put
among the blocks at its place, so that a document never loses text that its file contains. A line that cannot be seen on
the page is reported and not used: hidden text is no part of what a reader was shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rapidfuzz import fuzz

from finesight.apps.document.order import is_right_to_left
from finesight.apps.document.records import ReadBlock, ReadPage
from finesight.apps.evidence import Evidence, Score, hull
from finesight.geometry import Box
from finesight.media.pdf_text import TextLine
from finesight.parse.document import Block, Run

__all__ = ["checked", "is_continued", "layer_blocks", "words_of"]

_COVERED = 90.0
"""Similarity (0 to 100) from which a line of the layer counts as read; OCR mixes up a letter of a word or two."""
_INVENTED = 0.3
"""A block with a smaller share of its words in the layer is called invented."""
_MOST_LINE_GAP = 0.8
"""Lines that are nearer than this share of their height are one paragraph."""
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"
"""Scripts that write words without spaces: Han, kana, Thai and their kind."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_HAS_TEXT = frozenset({"image", "figure", "chart", "formula", "music_sheet", "chemical_formula"})
"""Kinds of blocks that describe a drawing: the layer need not have their words."""

_NOTATIONS = frozenset({"formula", "music_sheet", "chemical_formula"})
"""Kinds of blocks that write a drawing in other characters than those of the page."""
_SLACK = 10
"""Characters that a drawn formula may have more than twice its notation."""


def checked(page: ReadPage, lines: Sequence[TextLine]) -> ReadPage:
    """A page with its blocks compared with the lines of the text layer, and with the lines that it missed.

    Args:
        page: as a model read it.
        lines: of the text layer, with boxes in pixels of the page; without any, the page is returned as it is.
    """
    visible = [line for line in lines if line.is_visible and line.text]
    hidden = tuple(_evidence(page, line) for line in lines if not line.is_visible and line.text)
    if not visible:
        return replace(page, hidden=hidden)
    known = Counter(word for line in visible for word in words_of(line.text))
    blocks = [_compared(block, known) for block in page.blocks]
    drawn = _in_notation(visible, blocks)
    missed = [
        line
        for line in _missed(visible, "\n".join(one.block.text for one in blocks))
        if line not in drawn
    ]
    found = list(blocks)
    for block in layer_blocks(missed):
        found.insert(_place(found, block), block)
    invented = tuple(
        index
        for index, one in enumerate(found)
        if one.source == "model" and one.in_source is not None and one.in_source < _INVENTED
    )
    return replace(
        page,
        blocks=tuple(found),
        missed=tuple(_evidence(page, line) for line in missed),
        hidden=hidden,
        layer=tuple(visible),
        invented=invented,
    )


def words_of(text: str) -> list[str]:
    """Words without case, accents of composition and marks; of scripts without spaces, the characters.

    A word of Arabic or Hebrew is the same in both directions: the text layers of some PDFs have it backwards.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [_either_way(word) for word in _WORD.findall(folded)]


def _either_way(word: str) -> str:
    return min(word, word[::-1]) if any(map(is_right_to_left, word)) else word


def layer_blocks(lines: Sequence[TextLine]) -> list[ReadBlock]:
    """Lines of the text layer as paragraphs: neighbouring lines with the same left edge or one below the other."""
    found: list[list[TextLine]] = []
    for line in lines:
        if found and is_continued(found[-1][-1].box, line.box):
            found[-1].append(line)
        else:
            found.append([line])
    return [_paragraph(group) for group in found]


def is_continued(line: Box, following: Box) -> bool:
    """Whether a line may belong to the paragraph of the line before: below it, near it, and as tall."""
    height = max(line.height, following.height)
    gap = following.y1 - line.y2
    overlap = min(line.x2, following.x2) - max(line.x1, following.x1)
    is_near = -0.5 * height <= gap <= _MOST_LINE_GAP * height
    is_same_size = min(line.height, following.height) > 0.7 * height
    return is_near and overlap > 0 and is_same_size


def _compared(one: ReadBlock, known: Counter[str]) -> ReadBlock:
    words = words_of(one.block.text)
    if not words or one.block.kind in _HAS_TEXT:
        return one
    wanted = Counter(words)
    shared = sum(min(count, known[word]) for word, count in wanted.items())
    return replace(one, in_source=shared / len(words))


def _in_notation(lines: Sequence[TextLine], blocks: Sequence[ReadBlock]) -> set[TextLine]:
    """Lines inside of a formula, a music sheet or a structure: the block has them in another notation.

    A block with much less text than the lines in its box does not stand for them.
    """
    found: set[TextLine] = set()
    for one in blocks:
        if one.block.kind not in _NOTATIONS or one.box is None:
            continue
        inside = [line for line in lines if _contains(one.box, line.box)]
        if sum(len(line.text) for line in inside) <= 2 * len(one.block.text) + _SLACK:
            found |= set(inside)
    return found


def _contains(box: Box, line: Box) -> bool:
    center = line.center
    return box.x1 <= center.x <= box.x2 and box.y1 <= center.y <= box.y2


def _missed(lines: Sequence[TextLine], text: str) -> list[TextLine]:
    """Lines whose words are not in the text, in order."""
    whole = " ".join(words_of(text))
    padded = f" {whole} "
    found = []
    for line in lines:
        wanted = " ".join(words_of(line.text))
        if not wanted:
            continue
        is_short = len(wanted) < 4  # a short line is in most texts by chance, unless it is a word
        if f" {wanted} " in padded:
            continue
        # A partial ratio looks for the shorter text in the longer one: a word of a line is not the line.
        likeness = fuzz.partial_ratio if len(wanted) <= len(whole) else fuzz.ratio
        if is_short or likeness(wanted, whole, score_cutoff=_COVERED) < _COVERED:
            found.append(line)
    return found


def _paragraph(lines: Sequence[TextLine]) -> ReadBlock:
    text = lines[0].text
    for line in lines[1:]:
        is_split = text.endswith("-") and line.text[:1].islower()
        text = text[:-1] + line.text if is_split else f"{text} {line.text}"
    box = hull([line.box for line in lines])
    block = Block(tag="p", runs=(Run(text),), box=box)
    score = Score(1.0, "match", {"in_text_layer": 1.0})
    return ReadBlock(block=block, source="pdf_text", score=score, in_source=1.0)


def _place(blocks: Sequence[ReadBlock], new: ReadBlock) -> int:
    """Where a block belongs in reading order: after the last block above it in its column, else by height."""
    assert new.box is not None
    above = [
        index
        for index, one in enumerate(blocks)
        if one.box and _shares_column(one.box, new.box) and one.box.center.y <= new.box.y1
    ]
    if above:
        return above[-1] + 1
    below = (
        index
        for index, one in enumerate(blocks)
        if one.box and _shares_column(one.box, new.box) and one.box.y1 >= new.box.center.y
    )
    return next(below, len(blocks))


def _shares_column(first: Box, second: Box) -> bool:
    overlap = min(first.x2, second.x2) - max(first.x1, second.x1)
    return overlap > 0.3 * min(first.width, second.width)


def _evidence(page: ReadPage, line: TextLine) -> Evidence:
    return Evidence(
        page=page.index, box=line.box, quote=line.text, match="exact", source="pdf_text"
    )
