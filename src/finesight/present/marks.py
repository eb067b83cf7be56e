# SPDX-License-Identifier: Apache-2.0
"""Marks and time spans of an answer: what is drawn on a picture and on the time axis of a video.

Marks with the same label have the same colour in the picture, in the timeline and in tables.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from finesight.geometry import Box, Point
from finesight.parse.answer import Answer
from finesight.parse.document import Block

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (214, 39, 70),
    (0, 105, 217),
    (34, 139, 58),
    (230, 115, 0),
    (142, 48, 186),
    (0, 140, 150),
    (212, 50, 168),
    (125, 80, 32),
    (90, 80, 220),
    (110, 145, 20),
)
"""Colours that are easy to distinguish, on paper and on light and dark screens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A box or a point to draw.

    Attributes:
        shape: in pixels of the original picture.
        label: one line of text; may be empty.
        colour: of the line and of the label's background.
        number: its number in tables, from 1.
    """

    shape: Box | Point
    label: str
    colour: Colour
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """A time span to draw.

    Attributes:
        start_seconds: in the source.
        end_seconds: in the source; may equal the start.
        label: one line of text; may be empty.
        colour: of its bar.
        number: its number in tables, from 1.
    """

    start_seconds: float
    end_seconds: float
    label: str
    colour: Colour
    number: int


def marks_of(answer: Answer, *, media_index: int = 0) -> tuple[Mark, ...]:
    """All boxes and points of one picture: located objects, clicks, page blocks."""
    shapes: list[tuple[Box | Point, str]] = []
    for box in answer.boxes:
        if box.media_index == media_index and box.original is not None:
            shapes.append((box.original, one_line(box.label)))
    for point in answer.points:
        if point.media_index == media_index and point.original is not None:
            shapes.append((point.original, one_line(point.label)))
    for call in answer.tool_calls:
        if call.media_index == media_index:
            action = call.arguments.get("action", call.name)
            shapes.extend((point, one_line(str(action))) for point in call.points.values())
    if answer.document is not None and answer.document_media_index == media_index:
        for block in _all_blocks(answer.document.blocks):
            if block.box is not None:
                shapes.append((block.box, block.kind.replace("_", " ")))
    return marks_from(shapes)


def marks_from(shapes: Iterable[tuple[Box | Point, str]]) -> tuple[Mark, ...]:
    """Marks of labelled shapes, with numbers and colours."""
    listed = list(shapes)
    colours = colours_of(label for _, label in listed)
    return tuple(
        Mark(shape=shape, label=label, colour=colour, number=number)
        for number, ((shape, label), colour) in enumerate(zip(listed, colours, strict=True), 1)
    )


def spans_of(answer: Answer, *, media_index: int) -> tuple[TimeSpan, ...]:
    """All events of an answer that belong to one video."""
    found = [
        (event.source_seconds, one_line(event.label))
        for event in answer.events
        if event.media_index == media_index and event.source_seconds is not None
    ]
    colours = colours_of(label for _, label in found)
    return tuple(
        TimeSpan(start_seconds=start, end_seconds=end, label=label, colour=colour, number=number)
        for number, (((start, end), label), colour) in enumerate(
            zip(found, colours, strict=True), 1
        )
    )


def colours_of(labels: Iterable[str]) -> list[Colour]:
    """A colour for each label: equal labels share one, each empty label gets its own."""
    known: dict[str, Colour] = {}
    colours: list[Colour] = []
    num_used = 0
    for label in labels:
        if not label or label not in known:
            colour = PALETTE[num_used % len(PALETTE)]
            num_used += 1
            known.setdefault(label, colour)
        else:
            colour = known[label]
        colours.append(colour)
    return colours


def one_line(text: str) -> str:
    """Text in one line without characters that cannot be drawn (control characters, surrogates)."""
    kept = (" " if char.isspace() else char for char in text if _is_drawable(char))
    return " ".join("".join(kept).split())


def shortened(text: str, longest: int) -> str:
    """A text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def clock_text(seconds: float) -> str:
    """Seconds as `mm:ss.ff`, or `h:mm:ss.ff` from an hour on."""
    minutes, rest = divmod(round(max(seconds, 0.0) * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:" if hours else ""
    return f"{head}{minutes:02d}:{rest // 100:02d}.{rest % 100:02d}"


def hex_of(colour: Colour) -> str:
    """A colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def ink_on(colour: Colour) -> Colour:
    """White if its contrast on this colour is at least 4.5, else black (WCAG relative luminance)."""
    shares = [value / 255 for value in colour]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (255, 255, 255) if 1.05 / (luminance + 0.05) >= 4.5 else (0, 0, 0)


def _is_drawable(char: str) -> bool:
    category = unicodedata.category(char)
    return char.isspace() or category not in ("Cc", "Cf", "Cs", "Co", "Cn")


def _all_blocks(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        yield from _all_blocks(block.children)
