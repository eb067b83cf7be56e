# SPDX-License-Identifier: Apache-2.0
"""Read one page: ask for all of it, go on below the last whole block where an answer breaks off, and never lose it.

The order of attempts: the whole page by the chosen route; if the answer is cut or repeats itself, the rest of the page
below its last whole block; if a part gives nothing, the next route (HTML, lines with boxes, plain text); at last the
text layer of the PDF. What was asked and what came of it is part of the page (`ReadPage.tries`). A part without ink is
not asked about.

Models take areas with text for pictures. A figure without text is therefore asked about as a page of its own, and its
text becomes a part of the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from finesight.apps.crop import Crop, ask_about, crop
from finesight.apps.document.records import PageStatus, ReadBlock, ReadPage, Route, Try
from finesight.apps.document.text_layer import checked, layer_blocks
from finesight.apps.evidence import Score, Skipped
from finesight.apps.scores import score_of
from finesight.conversation import Sampling
from finesight.errors import FinesightError
from finesight.geometry import Box
from finesight.media.pdf_text import TextLine
from finesight.parse.answer import Answer
from finesight.parse.document import Block, Run
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PROMPTS", "PageImage", "ReadOptions", "has_ink", "probe", "read_page"]

PROMPTS: dict[Route, str] = {
    "html": "QwenVL HTML ",
    "spotting": "Spotting all the text in the image with line-level, and output in JSON format.",
    "text": "Read all the text in the image.",
}
"""Official prompts of the three routes; the space at the end of the first belongs to it."""

ROUTES: tuple[Route, ...] = ("html", "spotting", "text")
"""From the most to the least structure."""

_LEAST_REST = 28
"""A rest of a page with fewer than half as many rows of pixels holds no line of text."""

_FIGURES = frozenset({"image", "figure", "chart"})
"""Kinds of blocks whose text is asked for if they have none."""

_LEAST_FIGURE = 28 * 28
"""Pixels of a figure that can hold a word."""

_WHOLE_SHARE = 0.8
"""Share of the page from which a figure is the page: it is asked for by lines, as the question for HTML was in vain."""

_LEAST_INK = 12
"""Difference of two pixels (0 to 255) below which nothing is seen on a page."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page to read.

    Attributes:
        source: name of the file.
        index: page of the file, counted from 0.
        number: page of the document, counted from 1.
        pixels: uint8[H, W, 3], the drawn page.
        lines: of its text layer.
    """

    source: str
    index: int
    number: int
    pixels: NDArray[np.uint8]
    lines: tuple[TextLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How pages are read.

    Attributes:
        route: how a page is asked for first.
        max_tries: most questions about one page.
        max_new_tokens: most tokens of one answer.
        min_pixels: least area at which a page is shown.
        max_pixels: largest area at which a page is shown.
        upright: whether pages without a text layer are asked about in four turns first.
        is_photo: whether pages without a text layer are photographs of a sheet, which is straightened first.
        max_figures: most figures of one page whose text is asked for, with one question each; 0 asks for none.
    """

    route: Route = "html"
    max_tries: int = 6
    max_new_tokens: int = 2048
    min_pixels: int | None = None
    max_pixels: int | None = None
    upright: bool = False
    is_photo: bool = False
    max_figures: int = 4


def probe(page: PageImage, responder: Responder, options: ReadOptions) -> Route:
    """The first route by which the model reads a page: not every checkpoint writes QwenVL HTML.

    Args:
        page: with text, such as the first of a document.
        responder: the model.
        options: its `route` is ignored.
    """
    whole = crop(page.pixels, _whole(page))
    for route in ROUTES:
        blocks, _, _ = _ask(whole, route, responder, options)
        if blocks:
            return route
    return ROUTES[-1]


def has_ink(page: PageImage) -> bool:
    """Whether anything is drawn on the page."""
    return not _is_blank(page, _whole(page))


def read_page(page: PageImage, responder: Responder, options: ReadOptions) -> ReadPage:
    """Read a page; errors of the responder become problems of the page.

    Args:
        page: the page.
        responder: answers questions about pictures.
        options: how it is read.
    """
    blocks: list[ReadBlock] = []
    tries: list[Try] = []
    area, routes = _whole(page), _from(options.route)
    is_done = _is_blank(page, area)
    while not is_done and routes and len(tries) < options.max_tries:
        found, outcome, is_done = _ask(crop(page.pixels, area), routes[0], responder, options)
        tries.append(Try(routes[0], area, outcome, len(found)))
        blocks += found
        rest = _below(area, found)
        if not found:
            routes = routes[1:]
        elif rest is None:  # without places, it is not known what is left
            break
        elif not is_done:
            area, routes, is_done = rest, _from(routes[0]), _is_blank(page, rest)
    problems = []
    if not is_done:
        last, number = tries[-1].outcome, len(tries)
        tried = f"{number} {'try' if number == 1 else 'tries'}"
        problems.append(f"the model did not read it to its end in {tried}: {last}")
    read = ReadPage(
        source=page.source,
        index=page.index,
        number=page.number,
        size=crop(page.pixels, _whole(page)).picture,
        status=_status(blocks, page.lines, is_done=is_done),
        blocks=tuple(blocks),
        tries=tuple(tries),
        problems=tuple(problems),
    )
    if blocks:
        return checked(_with_figures(read, page, responder, options), page.lines)
    visible = [line for line in page.lines if line.is_visible and line.text]
    return replace(checked(read, page.lines), blocks=tuple(layer_blocks(visible)))


def _with_figures(
    read: ReadPage, page: PageImage, responder: Responder, options: ReadOptions
) -> ReadPage:
    """The page with the texts of figures that have none; those that are not asked about are named."""
    blocks, tries, skipped = list(read.blocks), list(read.tries), list(read.skipped)
    silent = [
        (index, area)
        for index, one in enumerate(blocks)
        if (area := _silent_figure(one.block, page)) is not None
    ]
    for count, (index, area) in enumerate(silent, 1):
        what = f"page {page.number}, figure {count} without text"
        if count > options.max_figures:
            skipped.append(
                Skipped(what, f"at most {options.max_figures} of a page are asked about")
            )
            continue
        is_page = area.area >= _WHOLE_SHARE * read.size.area
        route: Route = "spotting" if is_page else options.route
        found, outcome, is_done = _ask(crop(page.pixels, area), route, responder, options)
        texts = [one for one in found if one.block.text]
        tries.append(Try(route, area, outcome, len(texts)))
        if not is_done and not outcome.startswith("stop"):
            skipped.append(Skipped(what, f"not read to its end: {outcome}"))
        if texts:
            blocks[index] = _figure_with(blocks[index], texts)
    return replace(read, blocks=tuple(blocks), tries=tuple(tries), skipped=tuple(skipped))


def _silent_figure(block: Block, page: PageImage) -> Box | None:
    """The place of a figure whose text nothing has read; None for other blocks.

    The text layer of a PDF gives the text of a figure that has lines in it.
    """
    is_silent = block.kind in _FIGURES and (not block.text or block.variant == "caption")
    if not is_silent or block.box is None or block.rows:
        return None
    area, _ = block.box.clipped(crop(page.pixels, _whole(page)).picture)
    if area.area < _LEAST_FIGURE or _has_no_ink(page, area):
        return None
    has_lines = any(
        area.x1 <= line.box.center.x <= area.x2 and area.y1 <= line.box.center.y <= area.y2
        for line in page.lines
    )
    return None if has_lines else area


def _figure_with(one: ReadBlock, texts: Sequence[ReadBlock]) -> ReadBlock:
    """A figure with texts as its children, and the least of their scores as its own."""
    block, children = one.block, tuple(each.block for each in texts)
    if block.tag == "img":  # it has no children in HTML
        group = Block(tag="div", attributes={"class": "image"}, box=block.box)
        block = replace(group, children=(block, *children), clipped=block.clipped)
    else:
        block = replace(block, children=(*block.children, *children))
    scores = [each.score for each in texts if each.score.value is not None]
    least = min(scores, key=lambda score: score.value or 0.0) if scores else Score(None, "logprob")
    return replace(one, block=block, score=least)


def _ask(
    part: Crop, route: Route, responder: Responder, options: ReadOptions
) -> tuple[list[ReadBlock], str, bool]:
    """Whole blocks of a part of the page, how the answer ended, and whether that was its end."""
    sampling = Sampling(max_new_tokens=options.max_new_tokens, logprobs=0)
    try:
        (answer,) = ask_about(
            responder,
            [part],
            PROMPTS[route],
            sampling,
            min_pixels=options.min_pixels,
            max_pixels=options.max_pixels,
        )
    except FinesightError as error:
        return [], error.message, False
    blocks = [*_READERS[route](answer)]
    is_cut = answer.truncated or answer.finish_reason != "stop"
    if is_cut and blocks and answer.finish_reason != "cancelled":
        blocks = _whole_blocks(blocks)
    outcome = answer.finish_reason if blocks else f"{answer.finish_reason}, nothing to read"
    return blocks, outcome, bool(blocks) and not is_cut


def _whole_blocks(blocks: Sequence[ReadBlock]) -> list[ReadBlock]:
    """Blocks of an answer that broke off, without the last one and without repetitions."""
    kept: list[ReadBlock] = []
    for one in blocks[:-1]:
        if one.block.is_cut or (kept and kept[-1].block.text == one.block.text):
            break
        kept.append(one)
    return kept


def _of_html(answer: Answer) -> list[ReadBlock]:
    page = answer.document
    if page is None:
        return []
    score = (
        score_of(answer.reply, page.span) if page.span[1] > page.span[0] else Score(None, "logprob")
    )
    return [ReadBlock(block=block, score=score) for block in page.blocks]


def _of_spotting(answer: Answer) -> list[ReadBlock]:
    """Lines with boxes; each is a paragraph of its own until the pages are joined."""
    found = []
    for one in answer.boxes:
        text = one.attributes.get("text_content", one.label)
        if isinstance(text, str) and text.strip():
            block = Block(tag="p", runs=(Run(text.strip()),), box=one.original, clipped=one.clipped)
            found.append(ReadBlock(block=block, score=score_of(answer.reply, one.span)))
    return found


def _of_text(answer: Answer) -> list[ReadBlock]:
    """Lines of a plain transcription, which have no places."""
    found, start = [], 0
    for line in answer.text.split("\n"):
        if line.strip():
            score = score_of(answer.reply, (start, start + len(line)))
            found.append(ReadBlock(block=Block(tag="p", runs=(Run(line.strip()),)), score=score))
        start += len(line) + 1
    return found


_READERS = {"html": _of_html, "spotting": _of_spotting, "text": _of_text}


def _below(area: Box, blocks: Sequence[ReadBlock]) -> Box | None:
    """The part of an area below its last block; None if the place of the last block is not known."""
    bottoms = [one.box.y2 for one in blocks if one.box]
    if not bottoms:
        return None
    top = max(bottoms)
    if not area.y1 < top < area.y2:
        top = area.y2 if top >= area.y2 else area.y1 + area.height / 2  # a box above what was shown
    return Box(area.x1, top, area.x2, area.y2)


def _is_blank(page: PageImage, area: Box) -> bool:
    """Whether a part of the page has no ink, or is a rest with too few rows for a line."""
    return (area.y1 > 0 and area.height < _LEAST_REST / 2) or _has_no_ink(page, area)


def _has_no_ink(page: PageImage, area: Box) -> bool:
    rows = page.pixels[int(area.y1) : int(area.y2), int(area.x1) : int(area.x2)]
    return bool(rows.size == 0 or int(rows.max()) - int(rows.min()) < _LEAST_INK)


def _from(route: Route) -> tuple[Route, ...]:
    return ROUTES[ROUTES.index(route) :]


def _whole(page: PageImage) -> Box:
    height, width = page.pixels.shape[:2]
    return Box(0.0, 0.0, float(width), float(height))  # as JSON gives it back in a later run


def _status(blocks: Sequence[ReadBlock], lines: Sequence[TextLine], *, is_done: bool) -> PageStatus:
    if is_done:
        return "read"
    if blocks:
        return "partly"
    return "text_layer" if any(line.is_visible and line.text for line in lines) else "unreadable"
