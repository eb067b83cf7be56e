# SPDX-License-Identifier: Apache-2.0
"""What was found in a picture: things with places and scores, one list for each phrase, and what was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from finesight.apps.evidence import UNKNOWN, Coverage, Evidence, Score, Status
from finesight.errors import LayoutError
from finesight.geometry import Box, Point, Size
from finesight.parse.records import JsonValue

__all__ = ["NOT_READ", "Located", "Sought", "Thing"]

NOT_READ = "not read to the end"
"""Words of a problem after which there may be more than what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing in a picture.

    Attributes:
        label: the phrase that was asked for.
        said: the label that the model wrote.
        evidence: its box or its point, in pixels of the original picture.
        score: from the probabilities of the tokens of place and label, or P(yes) of the question about its crop.
        attributes: other keys that the model wrote, such as `sub_label`.
        step: pixels of the picture for one pixel that the model saw: the exactness of its edges.
        tile: index of the part of the picture in which it was found.
        is_cut: whether it reaches an edge of that part that is not an edge of the picture, so that more of it may be
            outside.
        problems: what is wrong with it, in words; of a rejected thing, why.
    """

    label: str
    said: str = ""
    evidence: Evidence
    score: Score = UNKNOWN
    attributes: Mapping[str, JsonValue] = field(default_factory=lambda: MappingProxyType({}))
    step: float = 1.0
    tile: int = 0
    is_cut: bool = False
    problems: tuple[str, ...] = ()

    @property
    def shape(self) -> Box | Point:
        """The box, or the point."""
        shape = self.evidence.box or self.evidence.point
        if shape is None:
            raise LayoutError(f"the thing {self.label[:60]!r} has neither a box nor a point")
        return shape

    @property
    def center(self) -> Point:
        """Middle of the box, or the point."""
        shape = self.shape
        return shape.center if isinstance(shape, Box) else shape

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "label": self.label,
            "said": self.said,
            **{key: value for key, value in self.evidence.to_dict().items() if key in _PLACES},
            "score": self.score.to_dict(),
            "attributes": dict(self.attributes),
            "step": round(self.step, 3),
            "is_cut": self.is_cut,
            "problems": list(self.problems),
        }


_PLACES = ("media", "box", "point", "clipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What was found of one phrase.

    Attributes:
        phrase: what was asked for.
        status: found; absent: all parts of the picture were asked about, and a yes/no question agrees; conflict: two
            questions disagree; unread: some answers could not be read or are missing, and nothing was found.
        things: in reading order.
        rejected: things that a second question denied, and candidates that were not chosen.
        asked: the number that the question "How many ...?" gave; None if it was not asked or not read. In a picture of
            several tiles it is the sum over the tiles, which overlap.
        compared: what that number is compared with: the things inside these tiles.
        score: of the whole: P(no) of an absent phrase, the agreement of the two counts.
        problems: in words.
    """

    phrase: str
    status: Status
    things: tuple[Thing, ...] = ()
    rejected: tuple[Thing, ...] = ()
    asked: int | None = None
    compared: int | None = None
    score: Score = UNKNOWN
    problems: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of things."""
        return len(self.things)

    def sure(self, least: float = 0.9) -> int:
        """Number of things whose score is at least this."""
        return sum((one.score.value or 0.0) >= least for one in self.things)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        sure = self.sure()
        return {
            "phrase": self.phrase,
            "status": self.status,
            "count": self.count,
            "sure": sure,
            "possible": self.count - sure,
            "asked": self.asked,
            "compared": self.compared,
            "score": self.score.to_dict(),
            "things": [one.to_dict() for one in self.things],
            "rejected": [one.to_dict() for one in self.rejected],
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What was found in one picture.

    Attributes:
        source: name of the picture: its path or address.
        page: page of a file with several, counted from 0; None takes the first.
        size: of the original picture.
        sought: one entry for each phrase.
        coverage: the tiles that were asked about, for every phrase; `details` has the number of calls, the pixel
            budget and the scale at which a tile was shown.
    """

    source: str
    page: int | None = None
    size: Size
    sought: tuple[Sought, ...]
    coverage: Coverage

    @property
    def things(self) -> tuple[Thing, ...]:
        """The things of all phrases."""
        return tuple(thing for one in self.sought for thing in one.things)

    def to_supervision(self) -> dict[str, Any]:
        """Plain lists that `supervision.Detections` takes after `numpy.array`, in the order of `things`.

        Returns:
            `xyxy` (N, 4) in pixels, `confidence` (N,) with NaN where no score could be computed, `class_id` (N,) as the
            index of the phrase, and `data` with `class_name` (N,). Points are boxes without an extent.
        """
        rows = [(index, thing) for index, one in enumerate(self.sought) for thing in one.things]
        return {
            "xyxy": [corners(thing) for _, thing in rows],
            "confidence": [
                float("nan") if thing.score.value is None else thing.score.value
                for _, thing in rows
            ],
            "class_id": [index for index, _ in rows],
            "data": {"class_name": [thing.label for _, thing in rows]},
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "source": self.source,
            "page": self.page,
            "size": {"width": self.size.width, "height": self.size.height},
            "phrases": [one.to_dict() for one in self.sought],
            "coverage": self.coverage.to_dict(),
        }


def corners(thing: Thing) -> list[float]:
    """`[x1, y1, x2, y2]` of a thing; a point is a box without an extent."""
    shape = thing.shape
    if isinstance(shape, Point):
        return [shape.x, shape.y, shape.x, shape.y]
    return [shape.x1, shape.y1, shape.x2, shape.y2]
