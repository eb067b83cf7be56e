# SPDX-License-Identifier: Apache-2.0
"""Records of a classification: a page, a document of a packet, the packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from finesight.apps.evidence import UNKNOWN, Coverage, Found, Provenance, Score

__all__ = ["OTHER", "ClassifiedPage", "PacketDocument", "PacketResult"]

OTHER = "other"
"""The label of a page that is of none of the kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedPage:
    """A page and its kind.

    Attributes:
        source: name of the file.
        index: page of the file, counted from 0.
        number: page of the packet, counted from 1.
        kind: its label, or `OTHER`; unread if the page could not be asked about.
        lifts: by how much the page makes each label likelier, in mean log-probability of its tokens.
        begins: whether a document begins on the page; None for the first page of a file.
    """

    source: str
    index: int
    number: int
    kind: Found[str]
    lifts: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    begins: Found[bool] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON; pages are counted from 1."""
        return {
            "source": self.source,
            "page": self.number,
            "page_of_source": self.index + 1,
            "kind": self.kind.to_dict(),
            "lifts": {label: round(lift, 4) for label, lift in self.lifts.items()},
            "begins": None if self.begins is None else self.begins.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class PacketDocument:
    """A document of a packet.

    Attributes:
        pages: numbers of its pages in the packet, from 1.
        label: its kind.
        score: of the label.
        problems: in words.
    """

    pages: tuple[int, ...]
    label: str
    score: Score = UNKNOWN
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "pages": list(self.pages),
            "label": self.label,
            "score": self.score.to_dict(),
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketResult:
    """A packet of pages: their kinds, and the documents that they make up."""

    pages: tuple[ClassifiedPage, ...]
    documents: tuple[PacketDocument, ...]
    coverage: Coverage
    provenance: Provenance

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "documents": [one.to_dict() for one in self.documents],
            "pages": [one.to_dict() for one in self.pages],
            "coverage": self.coverage.to_dict(),
            "provenance": asdict(self.provenance),
        }
