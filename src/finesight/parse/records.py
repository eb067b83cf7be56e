# SPDX-License-Identifier: Apache-2.0
"""What an answer holds: boxes, points, events and tool calls, and what could not be read.

A reader of one format makes a record from the text alone: coordinates in the pixels the model saw,
times on the clock the model saw. It is then *unplaced*: `media_index` is None, and asking for the
original raises `ParseError` instead of giving a number that means something else.
`finesight.parse.originals` places it: it fills in the original pixels or source seconds and the picture
or video they belong to. Spans are character offsets `(start, end)` into the text of the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from finesight.errors import ParseError
from finesight.geometry import Box, Point

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Span: TypeAlias = tuple[int, int]
PlacedBy: TypeAlias = Literal["caller", "name", "only", "heading", ""]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the text that looked like a result and could not be read as one.

    Attributes:
        span: where it is in the text.
        message: what is wrong with it.
    """

    span: Span
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerItem:
    """What boxes, points and events have in common.

    Attributes:
        label: what it shows, or what happens; empty if the model did not say.
        attributes: everything else the model said about it, such as `sub_label` or `text_content`.
        media_name: the picture or video the model named for it, such as "Picture 2"; empty if it
            named none.
        media_index: index into `Answer.media`; None if unplaced.
        placed_by: the rule that decided (`finesight.parse.placement`); empty if unplaced.
        clipped: whether it had to be cut to the picture or clamped to the clip.
        span: the text it was read from.
    """

    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    media_name: str = ""
    media_index: int | None = None
    placed_by: PlacedBy = ""
    clipped: bool = False
    span: Span = (0, 0)

    def _shared(self) -> dict[str, JsonValue]:
        """Keys that all items have."""
        return {
            "label": self.label,
            "attributes": dict(self.attributes),
            "media_index": self.media_index,
            "placed_by": self.placed_by,
            "clipped": self.clipped,
        }

    def _unplaced(self, kind: str) -> ParseError:
        return ParseError(
            f"the {kind} {self.label[:60]!r} at character {self.span[0]} names no picture or video that was shown",
            hint="show one at a time, ask with add_vision_id=True, or say media_index to read_answer",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBox(AnswerItem):
    """A box of an answer; the other attributes are those of `AnswerItem`.

    Attributes:
        box_resized: corners in order, in pixels the model saw.
        original: the same in original pixels; None if unplaced.
        swapped: whether its corners had to be put in order.
        is_unmarked: it is four numbers and words of a line, so that it counts only if it fits the picture.
    """

    box_resized: Box
    original: Box | None = None
    swapped: bool = False
    is_unmarked: bool = False

    @property
    def box(self) -> Box:
        """The box in original pixels.

        Raises:
            ParseError: it is not known which picture the box belongs to.
        """
        if self.original is None:
            raise self._unplaced("box")
        return self.original

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain JSON types; `box` is null if unplaced."""
        return {
            "box": None if self.original is None else _corners(self.original),
            "box_resized": _corners(self.box_resized),
            **self._shared(),
            "swapped": self.swapped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPoint(AnswerItem):
    """A point of an answer; the other attributes are those of `AnswerItem`.

    Attributes:
        point_resized: where, in pixels the model saw.
        original: the same in original pixels; None if unplaced.
    """

    point_resized: Point
    original: Point | None = None

    @property
    def point(self) -> Point:
        """The point in original pixels.

        Raises:
            ParseError: it is not known which picture the point belongs to.
        """
        if self.original is None:
            raise self._unplaced("point")
        return self.original

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain JSON types; `point` is null if unplaced."""
        return {
            "point": None if self.original is None else _place(self.original),
            "point_resized": _place(self.point_resized),
            **self._shared(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEvent(AnswerItem):
    """A stretch of a video; a moment has equal start and end. Other attributes: see `AnswerItem`.

    Attributes:
        model_start_seconds: where it begins, on the clock the model saw.
        model_end_seconds: where it ends, on the same clock.
        source_seconds: start and end in the source; None if unplaced.
        swapped: whether start and end had to be put in order.
    """

    model_start_seconds: float
    model_end_seconds: float
    source_seconds: tuple[float, float] | None = None
    swapped: bool = False

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
            raise self._unplaced("event")
        return self.source_seconds

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain JSON types; the source times are null if unplaced."""
        start, end = self.source_seconds or (None, None)
        return {
            "start_seconds": start,
            "end_seconds": end,
            "model_start_seconds": self.model_start_seconds,
            "model_end_seconds": self.model_end_seconds,
            **self._shared(),
            "swapped": self.swapped,
        }


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """A tool call of an answer.

    Attributes:
        name: of the tool.
        arguments: as the model gave them; coordinates in them are in pixels the model saw.
        span: the text it was read from.
        points: the arguments that are coordinates, in original pixels; empty if unplaced.
        media_index: the picture they belong to; None if unplaced or without coordinates.
        placed_by: the rule that decided; empty if unplaced.
        clipped: whether a coordinate had to be moved into the picture.
    """

    name: str
    arguments: Mapping[str, JsonValue]
    span: Span = (0, 0)
    points: Mapping[str, Point] = field(default_factory=dict)
    media_index: int | None = None
    placed_by: PlacedBy = ""
    clipped: bool = False

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


@dataclass(frozen=True, slots=True)
class Findings:
    """What one reader made of a text; nothing in it is placed yet.

    Attributes:
        boxes: in reading order.
        points: in reading order.
        events: in reading order.
        calls: in reading order.
        problems: what was left out, and why.
        is_cut: whether the text ends in the middle of a structure.
    """

    boxes: tuple[AnswerBox, ...] = ()
    points: tuple[AnswerPoint, ...] = ()
    events: tuple[AnswerEvent, ...] = ()
    calls: tuple[AnswerCall, ...] = ()
    problems: tuple[Problem, ...] = ()
    is_cut: bool = False


def _corners(box: Box) -> JsonValue:
    return [box.x1, box.y1, box.x2, box.y2]


def _place(point: Point) -> JsonValue:
    return [point.x, point.y]
