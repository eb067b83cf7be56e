# SPDX-License-Identifier: Apache-2.0
"""Records of a read document: blocks with their evidence, pages, the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from finesight.apps.evidence import UNKNOWN, Coverage, Evidence, Reader, Score, Skipped, rounded
from finesight.conversation import FinishReason
from finesight.geometry import Box, Size
from finesight.media.pdf_text import TextLine
from finesight.parse.document import Block

__all__ = ["Document", "PageStatus", "ReadBlock", "ReadPage", "Role", "Route", "Try"]

Route: TypeAlias = Literal["html", "spotting", "text"]
"""How a page is asked for: as QwenVL HTML, as lines with boxes, or as plain text."""

PageStatus: TypeAlias = Literal["read", "partly", "text_layer", "unreadable"]
"""read: the model read it to its end; partly: the end is missing; text_layer: only the text layer of the PDF gave text;
unreadable: nothing did."""


Role: TypeAlias = Literal["body", "page_header", "page_footer"]
"""Whether a block is text of the document, or a line that is repeated at the top or at the bottom of its pages."""

_LEAST_ORDER = 0.95
"""Share of pairs of blocks in the order of the page layout below which the reading order is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBlock:
    """A block of a page.

    Attributes:
        block: its kind, text and box in pixels of the page.
        source: what read it.
        score: mean probability of its tokens.
        in_source: share of its words that the text layer of the page has as well; None without a text layer.
        role: text of the document, or a running head or foot.
        continues: whether it is the rest of the text or table before it, in the order of the document.
    """

    block: Block
    source: Reader = "model"
    score: Score = UNKNOWN
    in_source: float | None = None
    role: Role = "body"
    continues: bool = False

    @property
    def box(self) -> Box | None:
        """Its place on the page; None if the model gave none."""
        return self.block.box

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        block = self.block
        found: dict[str, Any] = {
            "kind": block.kind,
            "text": block.text,
            "box": None if block.box is None else rounded(block.box),
            "source": self.source,
            "score": self.score.to_dict(),
            "in_source": None if self.in_source is None else round(self.in_source, 3),
        }
        if self.role != "body":
            found["role"] = self.role
        if self.continues:
            found["continues"] = True
        if block.level:
            found["level"] = block.level
        if block.rows:
            found["rows"] = [[cell.text for cell in row] for row in block.rows]
        return found


@dataclass(frozen=True, slots=True)
class Try:
    """One question about a page or a part of it.

    Attributes:
        route: how it was asked for.
        area: the part of the page, in pixels.
        outcome: why the answer ended, or the error.
        blocks: number of blocks that were kept.
    """

    route: Route
    area: Box
    outcome: str
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPage:
    """A page as it was read.

    Attributes:
        source: name of the file.
        index: page of the file, counted from 0.
        number: page of the whole document, counted from 1.
        size: of the drawn page, in pixels; boxes are in these pixels.
        status: whether it was read.
        blocks: in reading order.
        missed: lines of the text layer that no block of the model has; they are among the blocks, too.
        hidden: lines of the text layer that cannot be seen on the page; they are not among the blocks.
        layer: lines of the text layer that can be seen, with the places of their characters.
        invented: indices of blocks whose words the text layer does not have.
        tries: what was asked.
        problems: in words.
        turn: quarter turns, counter-clockwise, after which the page is upright; boxes are in the page as it came.
        skipped: figures whose text was not asked for, or not read to its end.
        order: share of pairs of blocks whose order is that of their places on the page; None with fewer than two.
    """

    source: str
    index: int
    number: int
    size: Size
    status: PageStatus
    blocks: tuple[ReadBlock, ...] = ()
    missed: tuple[Evidence, ...] = ()
    hidden: tuple[Evidence, ...] = ()
    layer: tuple[TextLine, ...] = ()
    invented: tuple[int, ...] = ()
    tries: tuple[Try, ...] = ()
    problems: tuple[str, ...] = ()
    turn: int = 0
    skipped: tuple[Skipped, ...] = ()
    order: float | None = None

    @property
    def text(self) -> str:
        """Text of all blocks, with a blank line between them."""
        return "\n\n".join(text for one in self.blocks if (text := one.block.text))

    @property
    def title(self) -> str:
        """Its number, and if its file counts it differently, that of the file."""
        title = f"page {self.number}"
        return (
            title
            if self.number == self.index + 1
            else f"{title}: page {self.index + 1} of {self.source}"
        )

    @property
    def is_answered(self) -> bool:
        """Whether every question about it had an answer, if only a useless one."""
        ends = get_args(FinishReason)
        return all(one.outcome.partition(",")[0] in ends for one in self.tries)

    @property
    def is_out_of_order(self) -> bool:
        """Whether the order of the blocks differs clearly from the order of their places on the page."""
        return self.order is not None and self.order < _LEAST_ORDER

    def to_dict(self) -> dict[str, Any]:
        """As JSON; pages are counted from 1."""
        return {
            "source": self.source,
            "page": self.number,
            "page_of_source": self.index + 1,
            "width": self.size.width,
            "height": self.size.height,
            "status": self.status,
            "blocks": [one.to_dict() for one in self.blocks],
            "missed": [one.to_dict() for one in self.missed],
            "hidden_text": [one.to_dict() for one in self.hidden],
            "invented": list(self.invented),
            "tries": [
                {
                    "route": one.route,
                    "area": rounded(one.area),
                    "outcome": one.outcome,
                    "blocks": one.blocks,
                }
                for one in self.tries
            ],
            "problems": list(self.problems),
            "skipped": [{"what": one.what, "reason": one.reason} for one in self.skipped],
            "turn": self.turn,
            "order": None if self.order is None else round(self.order, 3),
            "is_out_of_order": self.is_out_of_order,
        }


@dataclass(frozen=True, slots=True)
class Document:
    """All pages, in order."""

    pages: tuple[ReadPage, ...]

    def blocks(self) -> Iterator[tuple[ReadPage, ReadBlock]]:
        """Every block with its page."""
        for page in self.pages:
            for block in page.blocks:
                yield page, block

    @property
    def coverage(self) -> Coverage:
        """Pages that were read, and why others, and figures of pages, were not."""
        read = tuple(
            index for index, page in enumerate(self.pages) if page.status in ("read", "text_layer")
        )
        rest = (page for page in self.pages if page.status in ("partly", "unreadable"))
        skipped = tuple(
            Skipped(f"page {page.number}", "; ".join(page.problems) or page.status) for page in rest
        )
        figures = tuple(one for page in self.pages for one in page.skipped)
        return Coverage(
            unit="pages", total=len(self.pages), seen=read, skipped=(*skipped, *figures)
        )
