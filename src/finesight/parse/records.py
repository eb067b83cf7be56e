# SPDX-License-Identifier: Apache-2.0
"""What the readers find in a text, before anybody knows which picture or video it belongs to.

Coordinates are in the pixels the model saw and times on the clock the model saw;
`finesight.parse.answer` brings both home. Spans are character offsets `(start, end)` into the text
of the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from finesight.geometry import Box, Point

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the text that looked like a result and could not be read as one.

    Attributes:
        span: where it stands.
        message: what is wrong with it.
    """

    span: Span
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBox:
    """A box as the model wrote it.

    Attributes:
        box_resized: corners in order, in pixels the model saw.
        label: what it shows; empty if the model did not say.
        attributes: everything else the model said about it.
        swapped: whether the corners had to be put in order.
        media_name: the picture or video the model named for it, such as "Picture 2"; empty if it
            named none.
        is_unmarked: it is four numbers and words of a line, so that it counts only if it fits the picture.
        span: the block of text it comes from.
    """

    box_resized: Box
    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    swapped: bool = False
    media_name: str = ""
    is_unmarked: bool = False
    span: Span = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPoint:
    """A point as the model wrote it; the attributes are those of `FoundBox`."""

    point_resized: Point
    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    media_name: str = ""
    span: Span = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvent:
    """A stretch of a video as the model wrote it; a moment has equal start and end.

    Attributes:
        model_start_seconds: where it begins, on the clock the model saw.
        model_end_seconds: where it ends, on the same clock.
        label: what happens.
        attributes: everything else the model said about it.
        swapped: whether start and end had to be put in order.
        media_name: the video the model named for it; empty if it named none.
        span: the text it comes from.
    """

    model_start_seconds: float
    model_end_seconds: float
    label: str = ""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    swapped: bool = False
    media_name: str = ""
    span: Span = (0, 0)


@dataclass(frozen=True, slots=True)
class Findings:
    """What one reader made of a text.

    Attributes:
        boxes: in reading order.
        points: in reading order.
        events: in reading order.
        problems: what was left out, and why.
        is_cut: whether the text ends in the middle of a structure.
    """

    boxes: tuple[FoundBox, ...] = ()
    points: tuple[FoundPoint, ...] = ()
    events: tuple[FoundEvent, ...] = ()
    problems: tuple[Problem, ...] = ()
    is_cut: bool = False
