# SPDX-License-Identifier: Apache-2.0
"""Results of a reply in the user's terms: original pixels, true seconds, and their media.

A result whose picture or video is not known is *unplaced*: `media_index` is None, what the model
wrote stays in `box_resized` and the like, and asking for the original raises `ParseError` instead
of giving a number that means something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from finesight.errors import ParseError
from finesight.geometry import Box, Point
from finesight.parse.placement import PlacedBy
from finesight.parse.records import JsonValue, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBox:
    """A box of an answer.

    Attributes:
        box_resized: corners in order, in pixels the model saw.
        original: the same in original pixels; None if unplaced.
        label: what it shows; empty if the model did not say.
        attributes: everything else the model said about it, such as `sub_label` or `text_content`.
        media_index: index into `Answer.media`; None if unplaced.
        placed_by: the rule that decided (`finesight.parse.placement`); empty if unplaced.
        clipped: whether it had to be cut to the picture.
        swapped: whether its corners had to be put in order.
        span: the text it was read from.
    """

    box_resized: Box
    original: Box | None = None
    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    media_index: int | None = None
    placed_by: PlacedBy = ""
    clipped: bool = False
    swapped: bool = False
    span: Span = (0, 0)

    @property
    def box(self) -> Box:
        """The box in original pixels.

        Raises:
            ParseError: it is not known which picture the box belongs to.
        """
        if self.original is None:
            raise _unplaced("box", self.label, self.span)
        return self.original

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain JSON types; `box` is null if unplaced."""
        return {
            "box": None if self.original is None else _corners(self.original),
            "box_resized": _corners(self.box_resized),
            "label": self.label,
            "attributes": dict(self.attributes),
            "media_index": self.media_index,
            "placed_by": self.placed_by,
            "clipped": self.clipped,
            "swapped": self.swapped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPoint:
    """A point of an answer; the attributes are those of `AnswerBox`."""

    point_resized: Point
    original: Point | None = None
    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    media_index: int | None = None
    placed_by: PlacedBy = ""
    clipped: bool = False
    span: Span = (0, 0)

    @property
    def point(self) -> Point:
        """The point in original pixels.

        Raises:
            ParseError: it is not known which picture the point belongs to.
        """
        if self.original is None:
            raise _unplaced("point", self.label, self.span)
        return self.original

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain JSON types; `point` is null if unplaced."""
        return {
            "point": None if self.original is None else _place(self.original),
            "point_resized": _place(self.point_resized),
            "label": self.label,
            "attributes": dict(self.attributes),
            "media_index": self.media_index,
            "placed_by": self.placed_by,
            "clipped": self.clipped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEvent:
    """A stretch of a video in an answer; a moment has equal start and end.

    Attributes:
        model_start_seconds: where it begins, on the clock the model saw.
        model_end_seconds: where it ends, on the same clock.
        source_seconds: start and end in the source; None if unplaced.
        label: what happens.
        attributes: everything else the model said about it.
        media_index: index into `Answer.media`; None if unplaced.
        placed_by: the rule that decided; empty if unplaced.
        clipped: whether a time had to be clamped to the clip.
        swapped: whether start and end had to be put in order.
        span: the text it was read from.
    """

    model_start_seconds: float
    model_end_seconds: float
    source_seconds: tuple[float, float] | None = None
    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    media_index: int | None = None
    placed_by: PlacedBy = ""
    clipped: bool = False
    swapped: bool = False
    span: Span = (0, 0)

    @property
    def start_seconds(self) -> float:
        """Where it begins in the source, from the source's start.

        Raises:
            ParseError: it is not known which video the event belongs to.
        """
        return self._source()[0]

    @property
    def end_seconds(self) -> float:
        """Where it ends in the source; raises as `start_seconds` does."""
        return self._source()[1]

    def _source(self) -> tuple[float, float]:
        if self.source_seconds is None:
            raise _unplaced("event", self.label, self.span)
        return self.source_seconds

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain JSON types; the true times are null if unplaced."""
        start, end = self.source_seconds or (None, None)
        return {
            "start_seconds": start,
            "end_seconds": end,
            "model_start_seconds": self.model_start_seconds,
            "model_end_seconds": self.model_end_seconds,
            "label": self.label,
            "attributes": dict(self.attributes),
            "media_index": self.media_index,
            "placed_by": self.placed_by,
            "clipped": self.clipped,
            "swapped": self.swapped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCall:
    """A tool call of an answer.

    Attributes:
        name: of the tool.
        arguments: as the model gave them; coordinates in them are in pixels the model saw.
        points: the arguments that are coordinates, in original pixels; empty if unplaced.
        media_index: the picture they belong to; None if unplaced or without coordinates.
        placed_by: the rule that decided; empty if unplaced.
        clipped: whether a coordinate had to be moved into the picture.
        span: the text it was read from.
    """

    name: str
    arguments: Mapping[str, JsonValue]
    points: Mapping[str, Point] = field(default_factory=dict)
    media_index: int | None = None
    placed_by: PlacedBy = ""
    clipped: bool = False
    span: Span = (0, 0)

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "arguments": dict(self.arguments),
            "points": {name: _place(point) for name, point in self.points.items()},
            "media_index": self.media_index,
            "placed_by": self.placed_by,
            "clipped": self.clipped,
        }


def _corners(box: Box) -> JsonValue:
    return [box.x1, box.y1, box.x2, box.y2]


def _place(point: Point) -> JsonValue:
    return [point.x, point.y]


def _unplaced(kind: str, label: str, span: Span) -> ParseError:
    return ParseError(
        f"the {kind} {label[:60]!r} at character {span[0]} names no picture or video that was shown",
        hint="show one at a time, ask with add_vision_id=True, or say media_index to read_answer",
    )
