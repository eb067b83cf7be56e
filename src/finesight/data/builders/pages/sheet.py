# SPDX-License-Identifier: Apache-2.0
"""The contents of one page, before they are laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KINDS", "Fact", "Grid", "Kind", "Paragraph", "Sheet"]

Kind = Literal["document", "receipt", "invoice", "form", "table"]
KINDS: tuple[Kind, ...] = ("document", "receipt", "invoice", "form", "table")


@dataclass(frozen=True, slots=True)
class Fact:
    """A value with its label.

    Attributes:
        key: a key of `wording.LABELS`, or "seller".
        label: as printed; may be empty.
        value: as printed.
    """

    key: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; the first cell of a row names it.

    Attributes:
        headers: one per column.
        rows: as many cells as headers each; "" is an empty cell.
        numeric: whether a column holds numbers, which are aligned to the right.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A block of running text.

    Attributes:
        tag: "h2", "p", "ul", or "numbered", whose items are paragraphs that begin with a number.
        texts: one text, or the items of a list.
    """

    tag: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The contents of one page; a template lays them out.

    Attributes:
        kind: kind of page.
        language: of the text.
        title: may be empty.
        lines: short lines below the title, such as an address.
        flow: running text.
        facts: values above the table.
        grid: the table.
        totals: values below the table.
        closing: last line; may be empty.
    """

    kind: Kind
    language: str
    title: str
    lines: tuple[str, ...] = ()
    flow: tuple[Paragraph, ...] = ()
    facts: tuple[Fact, ...] = ()
    grid: Grid | None = None
    totals: tuple[Fact, ...] = ()
    closing: str = ""

    @property
    def all_facts(self) -> tuple[Fact, ...]:
        """Every value with a key."""
        return self.facts + self.totals
