# SPDX-License-Identifier: Apache-2.0
"""Places: boxes and points of a record in original pixels, and the marks by which its texts refer to them.

The numbers in an answer are pixels of the resized picture, and its size depends on the pixel budget of the run. A
record therefore keeps them once, in pixels of the original picture; a text has a mark in their place, and the encoder
writes the numbers for the resize that this sample gets:

| mark | written as |
| --- | --- |
| `{{place:0}}` | all numbers of place 0: `x1, y1, x2, y2` of a box, `x, y` of a point |
| `{{place:0.2}}` | its third number alone, for formats such as `data-bbox="x1 y1 x2 y2"` |
| `{{place:literal}}` | the text `{{place:` itself |

Marks are read only in records that have places: in texts, and in the texts among the arguments of tool calls. An
argument that is the mark of a whole place is written as the list of its numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from finesight.conversation import Message, TextPart
from finesight.geometry import Box, Point, Resize, Size

__all__ = [
    "Place",
    "call_texts",
    "escaped",
    "mark",
    "mark_problem",
    "marked",
    "place_problem",
    "written",
]

_OPENING = "{{place:"
_MARK = re.compile(r"\{\{place:(?:(\d{1,9})(?:\.(\d))?|literal)\}\}")
_TOLERANCE_PIXELS = 1.0
"""Annotations exceed their picture by up to a pixel from rounding; such a place is clipped without a complaint."""


class Place(NamedTuple):
    """A box or a point in one picture or video of a record.

    Attributes:
        kind: what `values` are.
        media: index of the picture or video, in order of appearance.
        values: `(x1, y1, x2, y2)` with exclusive right and bottom edges, or `(x, y)`, in pixels of the upright
            original.
    """

    kind: Literal["box", "point"]
    media: int
    values: tuple[float, ...]

    def resized(self, resize: Resize) -> tuple[int, ...]:
        """The values in whole pixels of the resized picture, clipped to it."""
        if self.kind == "point":
            at, _ = resize.point_to_resized(Point(*self.values)).clipped(resize.resized)
            return round(at.x), round(at.y)
        box, _ = resize.to_resized(Box(*self.values)).clipped(resize.resized)
        return round(box.x1), round(box.y1), round(box.x2), round(box.y2)


def mark(index: int, number: int | None = None) -> str:
    """The mark of a place, or of one of its numbers."""
    return f"{_OPENING}{index}}}}}" if number is None else f"{_OPENING}{index}.{number}}}}}"


def escaped(text: str) -> str:
    """A text of a user for a record with places: what looks like a mark stays text."""
    return text.replace(_OPENING, _OPENING + "literal}}")


def call_texts(message: Message) -> list[str]:
    """The texts among the arguments of the tool calls of a message."""
    values = [value for call in message.tool_calls for value in call["arguments"].values()]
    return [value for value in values if isinstance(value, str)]


def marked(text: str) -> list[int]:
    """Indices of the places to which a text of a record with places refers, in order."""
    return [int(found[1]) for found in _MARK.finditer(text) if found[1]]


def written(
    messages: Sequence[Message], places: Sequence[Place], resizes: Sequence[Resize]
) -> tuple[Message, ...]:
    """Messages with the numbers of their places written.

    Args:
        messages: checked messages of a record.
        places: places of the record; without any, nothing is changed.
        resizes: one for each picture and video of the record.
    """
    if not places:
        return tuple(messages)
    numbers = [place.resized(resizes[place.media]) for place in places]

    def shown(found: re.Match[str]) -> str:
        index, number = found.groups()
        if index is None:
            return _OPENING
        values = numbers[int(index)]
        return ", ".join(map(str, values)) if number is None else str(values[int(number)])

    def argument(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _MARK.fullmatch(value)
        is_whole = found is not None and found[1] is not None and found[2] is None
        return list(numbers[int(found[1])]) if found and is_whole else _MARK.sub(shown, value)

    return tuple(
        _changed(message, lambda text: _MARK.sub(shown, text), argument) for message in messages
    )


def place_problem(place: Place, sizes: Sequence[Size | None]) -> str:
    """What is wrong with a place; empty if nothing is.

    Args:
        place: the place.
        sizes: original size of each picture and video; None where it is not known.
    """
    if not 0 <= place.media < len(sizes):
        return f"it is in picture or video {place.media}, but there are {len(sizes)}"
    if len(place.values) != (expected := 4 if place.kind == "box" else 2):
        return f"the {place.kind} has {len(place.values)} numbers, expected {expected}"
    if not all(map(math.isfinite, place.values)):
        return f"the {place.kind} {_listed(place)} has a number that is not finite"
    if place.kind == "box" and not (
        place.values[0] < place.values[2] and place.values[1] < place.values[3]
    ):
        return f"the box {_listed(place)} has no area: x1 < x2 and y1 < y2 do not hold"
    size = sizes[place.media]
    if size is None:
        return ""
    limits = (size.width, size.height) * 2
    if any(
        not -_TOLERANCE_PIXELS <= value <= limit + _TOLERANCE_PIXELS
        for value, limit in zip(place.values, limits, strict=False)
    ):
        return f"the {place.kind} {_listed(place)} is outside its picture of {size.width} x {size.height} pixels"
    return ""


def mark_problem(text: str, places: Sequence[Place]) -> str:
    """What is wrong with the marks of a text; empty if nothing is, or if the record has no places."""
    for found in _MARK.finditer(text) if places else ():
        index, number = found.groups()
        if index is not None and int(index) >= len(places):
            return f"it refers to place {index}, but there are {len(places)}"
        if number is not None and int(number) >= len(places[int(index)].values):
            return f"{found.group()} refers to a number that place {index} does not have"
    return ""


def _listed(place: Place) -> str:
    return "(" + ", ".join(f"{value:g}" for value in place.values) + ")"


def _changed(
    message: Message, change: Callable[[str], str], argument: Callable[[Any], Any]
) -> Message:
    parts = tuple(
        TextPart(change(part.text)) if isinstance(part, TextPart) else part
        for part in message.parts
    )
    calls = tuple(
        {**call, "arguments": {name: argument(value) for name, value in call["arguments"].items()}}
        for call in message.tool_calls
    )
    is_same = parts == message.parts and calls == message.tool_calls
    return message if is_same else replace(message, parts=parts, tool_calls=calls)
