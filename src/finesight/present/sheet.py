# SPDX-License-Identifier: Apache-2.0
"""Contact sheet of a video: frames with their source times, and the events as bars below.

A frame within an event has a border in the event's colour. If there are too many frames, an evenly
spaced selection with the first and the last is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

from PIL import Image, ImageDraw

from finesight.present.fonts import fitted, font_for
from finesight.present.marks import TimeSpan, clock_text, ink_on
from finesight.present.timeline import axis_ends, lanes_of, ticks

MOST_FRAMES = 24
_GAP = 8
_CAPTION = 22
_RIM = 5
_SQUARE = 15
_BAR = 24
_GROUND = (250, 250, 248)
_INK = (30, 30, 30)
_LETTERS = 15


def contact_sheet(
    frames: Sequence[Image.Image],
    seconds: Sequence[float],
    *,
    spans: Sequence[TimeSpan] = (),
    most_frames: int = MOST_FRAMES,
    width: int = 1280,
) -> Image.Image:
    """Lay frames out in rows.

    Args:
        frames: pictures of one size, in order.
        seconds: source time of each frame.
        spans: events to mark.
        most_frames: largest number of frames shown.
        width: of the sheet in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: there is no frame, or the numbers of frames and times differ.
    """
    if not frames or len(frames) != len(seconds):
        raise ValueError(f"a contact sheet got {len(frames)} frames and {len(seconds)} times")
    chosen = chosen_frames(len(frames), most_frames)
    columns = _columns(len(chosen), frames[0].width / frames[0].height)
    cell = (width - _GAP * (columns + 1)) // columns
    thumb = (cell, max(1, round(cell * frames[0].height / frames[0].width)))
    rows = ceil(len(chosen) / columns)
    grid_height = _GAP + rows * (thumb[1] + _CAPTION + _GAP)
    lanes = lanes_of(spans)
    axis_height = (max(lanes) + 1) * _BAR + _CAPTION + 2 * _GAP if spans else 0
    sheet = Image.new("RGB", (width, grid_height + axis_height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(chosen):
        x = _GAP + (place % columns) * (cell + _GAP)
        y = _GAP + (place // columns) * (thumb[1] + _CAPTION + _GAP)
        sheet.paste(frames[index].convert("RGB").resize(thumb, Image.Resampling.LANCZOS), (x, y))
        inside = [s for s in spans if s.start_seconds <= seconds[index] <= s.end_seconds]
        _caption(draw, (x, y, x + thumb[0] - 1, y + thumb[1] - 1), seconds[index], inside)
    if spans:
        _draw_axis(draw, spans, lanes, (min(seconds), max(seconds)), grid_height, width)
    return sheet


def _caption(
    draw: ImageDraw.ImageDraw,
    frame: tuple[int, int, int, int],
    second: float,
    spans: Sequence[TimeSpan],
) -> None:
    """Draw the time under a frame, and a square for each event at that time."""
    x1, _, x2, y2 = frame
    if spans:
        draw.rectangle(frame, outline=spans[0].colour, width=_RIM)
    text = clock_text(second)
    font = font_for(text, _LETTERS)
    draw.text((x1 + 2, y2 + 3), text, font=font, fill=_INK)
    room = int(x2 - x1 - draw.textlength(text, font=font)) // (_SQUARE + 3)
    for place, span in enumerate(spans[: max(room, 0)]):
        right = x2 - place * (_SQUARE + 3)
        box = (right - _SQUARE, y2 + 4, right, y2 + 4 + _SQUARE)
        draw.rectangle(box, fill=span.colour)
        middle = (right - _SQUARE / 2, y2 + 4 + _SQUARE / 2)
        number = str(span.number)
        ink = ink_on(span.colour)
        draw.text(middle, number, font=font_for(number, 12), fill=ink, anchor="mm")


def chosen_frames(num_frames: int, most: int) -> list[int]:
    """Indices of at most `most` evenly spaced frames, with the first and the last."""
    if num_frames <= most:
        return list(range(num_frames))
    if most == 1:
        return [0]
    return [round(place * (num_frames - 1) / (most - 1)) for place in range(most)]


def _columns(num_frames: int, aspect: float) -> int:
    """Number of columns (at most 8) for a sheet 1.6 times as wide as high."""
    wanted = round(sqrt(num_frames * 1.6 / aspect))
    return max(1, min(wanted, num_frames, 8))


def _draw_axis(
    draw: ImageDraw.ImageDraw,
    spans: Sequence[TimeSpan],
    lanes: Sequence[int],
    clip: tuple[float, float],
    top: int,
    width: int,
) -> None:
    """Draw the events as bars over an axis of source times."""
    first, last = axis_ends(spans, *clip)
    left, scale = 4 * _GAP, (width - 8 * _GAP) / (last - first)
    bottom = top + _GAP + (max(lanes) + 1) * _BAR
    for tick in ticks(first, last):
        x = left + (tick - first) * scale
        draw.line((x, top, x, bottom), fill=(200, 200, 200))
        text = clock_text(tick).removesuffix(".00")
        draw.text((x, bottom + 2), text, font=font_for(text, 13), fill=_INK, anchor="ma")
    for span, lane in zip(spans, lanes, strict=True):
        x1 = left + (span.start_seconds - first) * scale
        x2 = max(left + (span.end_seconds - first) * scale, x1 + 3)
        y = top + lane * _BAR
        draw.rectangle((x1, y + 2, x2, y + _BAR - 3), fill=span.colour)
        _draw_bar_label(draw, span, x1, x2, y)


def _draw_bar_label(
    draw: ImageDraw.ImageDraw, span: TimeSpan, x1: float, x2: float, y: float
) -> None:
    """Draw number and label on a bar, shortened to its length; beside a short bar only the number."""
    number = str(span.number)
    label = f"{number} {span.label}".strip()
    font = font_for(label, _LETTERS)
    room = x2 - x1 - 8
    if draw.textlength(number, font=font) > room:
        draw.text((x2 + 3, y + _BAR / 2), number, font=font, fill=_INK, anchor="lm")
        return
    text = fitted(draw, label, font, room)
    text = text if len(text) > len(number) + 1 else number
    draw.text((x1 + 4, y + _BAR / 2), text, font=font, fill=ink_on(span.colour), anchor="lm")
