# SPDX-License-Identifier: Apache-2.0
"""Finds boxes and points in texts, and converts them to pixels of the original picture.

| form | text |
| --- | --- |
| JSON | `"bbox_2d": [x1, y1, x2, y2]`, `"point_2d": [x, y]` |
| QwenVL HTML | `data-bbox="x1 y1 x2 y2"` |
| XML points | `<points x1=".." y1=".." x2=".." y2=".." alt="..">` |
| box tokens | `<|box_start|>(x1,y1),(x2,y2)<|box_end|>` |
| tool calls | `"coordinate": [x, y]`, `"coordinate2": [x, y]` of `computer_use` and `mobile_use` |

Source: cookbooks of Qwen2.5-VL; the last form is that of Qwen2-VL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finesight.data.formats.config import FRAMES, Frame, ImportConfig
from finesight.data.formats.rows import RowRefused
from finesight.geometry import Resize, Size
from finesight.processor.resize import smart_resize

__all__ = [
    "Spot",
    "SpotNumber",
    "TextPiece",
    "fitting_frames",
    "floats",
    "in_original",
    "spots_in",
    "spots_of_call",
]


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A box or point of a row, before its picture is known.

    Attributes:
        kind: what the values are.
        values: `(x1, y1, x2, y2)` or `(x, y)`.
        frame: what the values count.
        media: index of the picture or video in the row; None: the one that the text is about.
        is_guessed: whether the frame is a setting instead of a part of the format.
    """

    kind: Literal["box", "point"]
    values: tuple[float, ...]
    frame: Frame
    media: int | None = None
    is_guessed: bool = False


@dataclass(frozen=True, slots=True)
class SpotNumber:
    """One number of a spot, for forms that write the numbers one by one."""

    spot: Spot
    index: int


TextPiece = str | Spot | SpotNumber

_JSON = re.compile(r"""(["'](?:bbox_2d|point_2d)["']\s*:\s*\[)([^\[\]]*)(\])""")
_CALL = re.compile(r"""(["']coordinate2?["']\s*:\s*\[)(\s*-?[\d.]+\s*,\s*-?[\d.]+\s*)(\])""")
_HTML = re.compile(r"""(data-bbox\s*=\s*["'])([^"'<>]*)(["'])""")
_XML = re.compile(r"""(<points?\s)([^<>]*)(>)""")
_TOKENS = re.compile(r"(<\|box_start\|>)(\([^()]*\),\([^()]*\))(<\|box_end\|>)")
_FORMS = re.compile("|".join(form.pattern for form in (_JSON, _CALL, _HTML, _XML, _TOKENS)))
_ARGUMENTS = {"coordinate": 2, "coordinate2": 2, "point_2d": 2, "bbox_2d": 4}
"""Arguments of tool calls that are places, with how many numbers they have."""

_XML_NUMBER = re.compile(r"""\b([xy]\d*)\s*=\s*["']([^"']*)["']""")


def spots_in(text: str, frame: Frame, *, is_answer: bool) -> list[TextPiece]:
    """The pieces of a text: its boxes and points, and what is between them.

    Args:
        text: of a question or an answer.
        frame: what its coordinates count.
        is_answer: whether wrong numbers are an error; a question may describe a form without numbers.

    Raises:
        RowRefused: a place of an answer has a wrong number of numbers, or one that is not finite.
    """
    pieces: list[TextPiece] = []
    done = 0
    for found in _FORMS.finditer(text):
        before, inner, after = (group for group in found.groups() if group is not None)
        try:
            inside = _inner_pieces(before, inner, frame)
        except ValueError as error:
            if is_answer:
                raise RowRefused("box", f"{found.group()[:80]}: {error}") from error
            continue
        pieces += [text[done : found.start()] + before, *inside]
        done = found.end() - len(after)
    return [*pieces, text[done:]]


def _inner_pieces(before: str, inner: str, frame: Frame) -> Iterator[TextPiece]:
    if before.startswith("<p"):
        return iter([*_points_of_xml(inner, frame)])
    values = tuple(float(number) for number in re.split(r"[\s,()]+", inner.strip(" \t\n(),")))
    is_point = before.endswith("[") and "bbox_2d" not in before
    kind: Literal["box", "point"] = "point" if is_point else "box"
    if len(values) != (expected := 2 if kind == "point" else 4):
        raise ValueError(f"{len(values)} numbers, expected {expected}")
    spot = Spot(kind, values, frame, is_guessed=True)
    if before.endswith("["):
        return iter([spot])
    between = ("", " ", " ", " ", "") if before.startswith("data") else ("(", ",", "),(", ",", ")")
    numbers = [
        piece
        for index, text in enumerate(between[:-1])
        for piece in (text, SpotNumber(spot, index))
    ]
    return iter([*numbers, between[-1]])


def _points_of_xml(inner: str, frame: Frame) -> Iterator[TextPiece]:
    """Attributes `x1`, `y1`, ... in any order, each with the number of its point."""
    numbers = {found[1]: float(found[2]) for found in _XML_NUMBER.finditer(inner)}
    spots = {
        name[1:]: Spot("point", (x, numbers["y" + name[1:]]), frame, is_guessed=True)
        for name, x in numbers.items()
        if name[0] == "x" and "y" + name[1:] in numbers
    }
    if 2 * len(spots) != len(numbers) or not spots:
        raise ValueError("x and y do not come in pairs")
    done = 0
    for found in _XML_NUMBER.finditer(inner):
        yield inner[done : found.start(2)]
        yield SpotNumber(spots[found[1][1:]], int(found[1][0] == "y"))
        done = found.end(2)
    yield inner[done:]


def spots_of_call(arguments: Mapping[str, Any], frame: Frame) -> dict[str, Any]:
    """The arguments of a tool call, with a `Spot` in place of each list of coordinates.

    Args:
        arguments: of the call.
        frame: what its coordinates count.
    """
    found = dict(arguments)
    for name, length in _ARGUMENTS.items():
        value = arguments.get(name)
        is_place = isinstance(value, list) and [type(number) in (int, float) for number in value]
        if is_place == [True] * length:
            kind: Literal["box", "point"] = "box" if length == 4 else "point"
            found[name] = Spot(kind, floats(arguments[name]), frame, is_guessed=True)
    return found


def floats(numbers: Sequence[float]) -> tuple[float, ...]:
    """Numbers of JSON as floats; an integer that is too large for one becomes infinite."""
    most = 2**1000
    return tuple(math.inf if abs(number) > most else float(number) for number in numbers)


def in_original(
    spot: Spot, size: Size, config: ImportConfig, frame: Frame | None = None
) -> tuple[float, ...]:
    """The values of a spot in pixels of the original picture.

    Args:
        spot: a box or point.
        size: of the upright original.
        config: pixel budget of the labels.
        frame: instead of that of the spot.
    """
    frame = frame or spot.frame
    sides = (size.width, size.height) * (len(spot.values) // 2)
    if frame == "original":
        return spot.values
    if frame == "resized":
        least, most = config.label_min_pixels, config.label_max_pixels
        height, width = smart_resize(size.height, size.width, 28, least, most)
        resize = Resize(size, Size(width, height))
        scales = (resize.scale_x, resize.scale_y) * (len(spot.values) // 2)
        return tuple(value * scale for value, scale in zip(spot.values, scales, strict=True))
    unit = 1000 if frame == "norm1000" else 1
    return tuple(value / unit * side for value, side in zip(spot.values, sides, strict=True))


def fitting_frames(spot: Spot, size: Size, config: ImportConfig) -> Sequence[Frame]:
    """The frames in which a spot is inside its picture, or exceeds it by less than a pixel."""
    if not all(map(math.isfinite, spot.values)):
        return ()
    limits = (size.width + 1, size.height + 1) * 2
    return [
        frame
        for frame in FRAMES
        if all(
            0 <= value <= limit
            for value, limit in zip(in_original(spot, size, config, frame), limits, strict=False)
        )
    ]
