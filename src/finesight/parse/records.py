# SPDX-License-Identifier: Apache-2.0
"""Records of an answer: boxes, points, events and tool calls, and problems found while reading.

A reader of one format makes a record from the text alone: coordinates in the pixels the model saw,
times on the clock the model saw. Such a record is *unplaced*: `media_index` is None, and asking for
original pixels or source seconds raises `ParseError`. `finesight.parse.originals` places it: it fills
in the picture or video, and the original pixels or source seconds. Spans are character offsets
`(start, end)` into the text of the reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from finesight.errors import ParseError
from finesight.geometry import Box, Point

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Span: TypeAlias = tuple[int, int]
PlacedBy: TypeAlias = Literal["caller", "name", "only", "heading", ""]


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of the text that looks like a result and could not be read as one.

    Attributes:
        span: where it is in the text.
        message: what is wrong with it.
    """

    span: Span
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerItem:
    """Fields that boxes, points and events share.

    Attributes:
        label: the object or the event; empty if the model gave none.
        attributes: other keys that the model wrote, such as `sub_label` or `text_content`.
        media_name: the picture or video that the model named, such as "Picture 2"; empty if none.
        media_index: index into `Answer.media`; None if unplaced.
        placed_by: the rule that decided (`finesight.parse.placement`); empty if unplaced.
        clipped: whether it was cut to the picture or clamped to the clip.
        span: the text it was read from.
        is_unmarked: whether it is only numbers that nothing names a box, a point or a time, so that it counts only
            if it fits the picture or video.
    """

    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    media_name: str = ""
    media_index: int | None = None
    placed_by: PlacedBy = ""
    clipped: bool = False
    span: Span = (0, 0)
    is_unmarked: bool = False

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
            f"it is not known which picture or video the {kind} {self.label[:60]!r} at character {self.span[0]} is in",
            hint="show one at a time, ask with add_vision_id=True, or pass media_index to read_answer",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBox(AnswerItem):
    """A box of an answer; the other attributes are those of `AnswerItem`.

    Attributes:
        box_resized: the box in pixels the model saw, corners in order.
        original: the box in original pixels; None if unplaced.
        swapped: whether its corners were put in order.
    """

    box_resized: Box
    original: Box | None = None
    swapped: bool = False

    @classmethod
    def from_numbers(
        cls,
        numbers: Sequence[float],
        *,
        label: str = "",
        attributes: Mapping[str, JsonValue] | None = None,
        media_name: str = "",
        span: Span = (0, 0),
        is_unmarked: bool = False,
    ) -> AnswerBox:
        """A box of four numbers, or the bounding box of eight, which are kept as the attribute "polygon"."""
        if len(numbers) == 4:
            box, swapped = ordered(numbers)
            polygon: dict[str, JsonValue] = {}
        else:
            box, swapped, polygon = bounding_box(numbers), False, {"polygon": list(numbers)}
        return cls(
            box_resized=box,
            swapped=swapped,
            label=label,
            attributes={**(attributes or {}), **polygon},
            media_name=media_name,
            span=span,
            is_unmarked=is_unmarked,
        )

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
            "box": corners(self.original),
            "box_resized": corners(self.box_resized),
            **self._shared(),
            "swapped": self.swapped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPoint(AnswerItem):
    """A point of an answer; the other attributes are those of `AnswerItem`.

    Attributes:
        point_resized: the point in pixels the model saw.
        original: the point in original pixels; None if unplaced.
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
            "point": None if self.original is None else [self.original.x, self.original.y],
            "point_resized": [self.point_resized.x, self.point_resized.y],
            **self._shared(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEvent(AnswerItem):
    """A time span of a video; a moment has equal start and end. Other attributes: see `AnswerItem`.

    Attributes:
        model_start_seconds: start on the clock the model saw.
        model_end_seconds: end on the same clock.
        source_seconds: start and end in the source; None if unplaced.
        swapped: whether start and end were put in order.
    """

    model_start_seconds: float
    model_end_seconds: float
    source_seconds: tuple[float, float] | None = None
    swapped: bool = False

    @classmethod
    def from_times(
        cls,
        start: float,
        end: float,
        *,
        label: str = "",
        attributes: Mapping[str, JsonValue] | None = None,
        media_name: str = "",
        span: Span = (0, 0),
        is_unmarked: bool = False,
    ) -> AnswerEvent:
        """An event between two times in seconds, which are put in order."""
        return cls(
            model_start_seconds=min(start, end),
            model_end_seconds=max(start, end),
            swapped=end < start,
            label=label,
            attributes=attributes or {},
            media_name=media_name,
            span=span,
            is_unmarked=is_unmarked,
        )

    @property
    def start_seconds(self) -> float:
        """Start, in seconds from the beginning of the source.

        Raises:
            ParseError: it is not known which video the event belongs to.
        """
        return self._source()[0]

    @property
    def end_seconds(self) -> float:
        """End, in seconds from the beginning of the source; raises as `start_seconds` does."""
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
        arguments: as the model wrote them; coordinates in them are in pixels the model saw.
        span: the text it was read from.
        points: the arguments that are coordinates, in original pixels; empty if unplaced.
        media_index: the picture they belong to; None if unplaced or without coordinates.
        placed_by: the rule that decided; empty if unplaced.
        clipped: whether a coordinate was moved into the picture.
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
            "points": {name: [point.x, point.y] for name, point in self.points.items()},
            "media_index": self.media_index,
            "placed_by": self.placed_by,
            "clipped": self.clipped,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """Results of one reader, all of them unplaced.

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

    @staticmethod
    def joined(found: Iterable[Findings]) -> Findings:
        """The findings of several readers, one after the other."""
        parts = list(found)
        return Findings(
            boxes=tuple(each for part in parts for each in part.boxes),
            points=tuple(each for part in parts for each in part.points),
            events=tuple(each for part in parts for each in part.events),
            calls=tuple(each for part in parts for each in part.calls),
            problems=tuple(each for part in parts for each in part.problems),
            is_cut=any(part.is_cut for part in parts),
        )


def ordered(numbers: Sequence[float]) -> tuple[Box, bool]:
    """A box of two corners, and whether they had to be put in order."""
    x1, y1, x2, y2 = numbers
    return Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), x2 < x1 or y2 < y1


def bounding_box(numbers: Sequence[float]) -> Box:
    """The upright box around a polygon `x1, y1, x2, y2, ...`."""
    xs, ys = numbers[::2], numbers[1::2]
    return Box(min(xs), min(ys), max(xs), max(ys))


def corners(box: Box | None) -> JsonValue:
    """A box as `[x1, y1, x2, y2]`, or null."""
    return None if box is None else [box.x1, box.y1, box.x2, box.y2]
