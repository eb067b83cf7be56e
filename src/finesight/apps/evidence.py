# SPDX-License-Identifier: Apache-2.0
"""Where a value was read, how sure it is, and what was looked at.

Coordinates are pixels of the original picture, times are seconds of the source. A score is computed from token
probabilities, from a second question, from a second reader or by a rule; a model is never asked how sure it is. A value
without a score has None, not 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from finesight.geometry import Box, Point

__all__ = ["Coverage", "Evidence", "Found", "Match", "Provenance", "Reader", "Score", "Skipped", "Status"]  # fmt: skip

T = TypeVar("T")

Match: TypeAlias = Literal["exact", "spaces", "case", "numeric", "fuzzy", "visual", "none"]
"""How the quote was found at its place: as it is, but for white space, but for case as well, as the same number,
nearly, by asking the model to point at it, or not at all."""

Reader: TypeAlias = Literal["model", "pdf_text", "dom", "ocr", "rule"]
"""What read the value."""

Status: TypeAlias = Literal["found", "absent", "conflict", "invalid", "unread"]
"""found: read; absent: looked for everywhere and not there; conflict: two places disagree; invalid: read, but not of
the wanted kind; unread: the place could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A place that supports a value.

    Attributes:
        media: index of the picture, video or document.
        page: page of a document, counted from 0; None for others.
        box: in pixels of the original picture or page; None if the place is not known.
        point: a place without an extent, in the same pixels.
        span_seconds: start and end in the source, for a video.
        quote: the text that was read there.
        match: how the quote was found at the place.
        source: what read it.
        clipped: whether a part of the box was outside the picture and cut off.
    """

    media: int = 0
    page: int | None = None
    box: Box | None = None
    point: Point | None = None
    span_seconds: tuple[float, float] | None = None
    quote: str = ""
    match: Match = "none"
    source: Reader = "model"
    clipped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON; places that are not known are left out."""
        found: dict[str, Any] = {"media": self.media}
        if self.page is not None:
            found["page"] = self.page
        if self.box is not None:
            found["box"] = rounded(self.box)
        if self.point is not None:
            found["point"] = [round(self.point.x, 1), round(self.point.y, 1)]
        if self.span_seconds is not None:
            found["span_seconds"] = [round(second, 3) for second in self.span_seconds]
        found |= {"quote": self.quote, "match": self.match, "source": self.source}
        if self.clipped:
            found["clipped"] = True
        return found


@dataclass(frozen=True, slots=True)
class Score:
    """A computed confidence.

    Attributes:
        value: from 0 to 1; None if nothing could be computed.
        kind: what it was computed from: token probabilities, P(yes) of a question about the crop, agreement of two
            readings, quality of the match with another reader, or a rule.
        parts: the numbers it was computed from, by name.
    """

    value: float | None
    kind: Literal["logprob", "yes_no", "agreement", "match", "rule"]
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise ValueError(f"a score is {self.value}, not from 0 to 1")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        parts = {name: round(number, 4) for name, number in self.parts.items()}
        value = None if self.value is None else round(self.value, 4)
        return {"value": value, "kind": self.kind, "parts": parts}


UNKNOWN = Score(None, "logprob")
"""No score could be computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """A value with its evidence.

    Attributes:
        value: None unless the status is found or conflict.
        raw: the text as it was read.
        status: whether it was found.
        score: how sure it is.
        evidence: places that support it; of a conflict, all places that disagree.
        problems: what went wrong, in words.
    """

    value: T | None = None
    raw: str = ""
    status: Status = "found"
    score: Score = UNKNOWN
    evidence: tuple[Evidence, ...] = ()
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.value is not None and self.status in ("absent", "unread"):
            raise ValueError(f"a value with the status {self.status} is {self.value!r}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON; the value is left as it is."""
        return {
            "value": self.value,
            "raw": self.raw,
            "status": self.status,
            "score": self.score.to_dict(),
            "evidence": [one.to_dict() for one in self.evidence],
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not looked at.

    Attributes:
        what: such as "page 3" or "tile 2 of 9".
        reason: why.
    """

    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What was looked at, which a result of "absent" needs.

    Attributes:
        unit: what is counted: pages, windows of a video, tiles of a picture.
        total: number of units there are.
        seen: indices of those that were read.
        skipped: the others, with reasons.
        details: such as frames per second or the pixel budget.
    """

    unit: str
    total: int
    seen: tuple[int, ...]
    skipped: tuple[Skipped, ...] = ()
    details: Mapping[str, float | str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_full(self) -> bool:
        """Whether every unit was read."""
        return len(set(self.seen)) == self.total

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "unit": self.unit,
            "total": self.total,
            "seen": len(set(self.seen)),
            "skipped": [{"what": one.what, "reason": one.reason} for one in self.skipped],
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a result, so that it can be made again.

    Attributes:
        model: its name.
        weights: digest of its weights; empty if it is behind an endpoint.
        prompt: name of the prompt.
        prompt_digest: SHA-256 of its text, the first 16 digits.
        pixel_budget: least and largest area of a picture, in pixels.
        sampling: settings that are not the default.
        version: of finesight, with the commit if it is known.
    """

    model: str
    weights: str = ""
    prompt: str = ""
    prompt_digest: str = ""
    pixel_budget: tuple[int, int] | None = None
    sampling: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    version: str = ""


def rounded(box: Box) -> list[float]:
    """A box as a list, to a tenth of a pixel."""
    return [round(edge, 1) for edge in (box.x1, box.y1, box.x2, box.y2)]


def hull(boxes: Sequence[Box]) -> Box | None:
    """The smallest box around all; None if there is none."""
    if not boxes:
        return None
    return Box(
        min(box.x1 for box in boxes),
        min(box.y1 for box in boxes),
        max(box.x2 for box in boxes),
        max(box.y2 for box in boxes),
    )
