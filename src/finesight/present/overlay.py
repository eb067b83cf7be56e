# SPDX-License-Identifier: Apache-2.0
"""Draw boxes, points and labels on a copy of a picture.

Line width and font size scale with the picture, so that labels are legible on a thumbnail and on a
100-megapixel scan. A small picture is enlarged by an integer factor first. Labels stay inside the
picture and avoid overlaps where there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

from PIL import Image, ImageDraw

from finesight import files
from finesight.errors import LayoutError
from finesight.geometry import Box, Point
from finesight.parse.answer import Answer
from finesight.present.fonts import fitted, font_for
from finesight.present.marks import Colour, Mark, ink_on, marks_of

SMALLEST_LONG_SIDE = 512
"""Pictures with a shorter long side, in pixels, are enlarged before drawing."""

MOST_LABELS = 40
"""With more marks than this, labels are only numbers, so that they do not hide the picture."""

_SMALLEST_SHORT_SIDE = 96
_MOST_ENLARGED_PIXELS = 16_000_000


@dataclass(frozen=True, slots=True)
class _Pen:
    """Sizes in pixels of the copy."""

    line: int
    halo: int
    letters: int

    @property
    def radius(self) -> float:
        """Radius of a point without its rim."""
        return self.line * 2.5


def draw_answer(image: Image.Image, answer: Answer, *, media_index: int = 0) -> Image.Image:
    """Draw the boxes, points, clicks and page blocks of an answer on a copy of a picture.

    Args:
        image: the original, upright, of any mode and size.
        answer: the answer.
        media_index: index of the picture among the media.

    Returns:
        An RGB copy, enlarged by an integer factor if the picture is small.

    Raises:
        LayoutError: the picture's size differs from the original size in the answer.
    """
    original = answer.media[media_index].resize.original
    if image.size != (original.width, original.height):
        raise LayoutError(
            f"picture {media_index} is {image.width} x {image.height} pixels, but the answer's original "
            f"is {original.width} x {original.height} ({answer.media[media_index].source})",
            hint="give the original in upright orientation, not a resized or rotated copy",
        )
    return draw_marks(image, marks_of(answer, media_index=media_index))


def draw_marks(image: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Draw marks on a copy of a picture; see `draw_answer`."""
    factor = _enlargement(image.width, image.height)
    copy = image.convert("RGB")
    if factor > 1:
        copy = copy.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    pen = _pen(copy.width, copy.height)
    draw = ImageDraw.Draw(copy)
    scaled = [(mark, _scaled(mark.shape, factor)) for mark in marks]
    for mark, shape in sorted(scaled, key=lambda pair: -_area(pair[1])):
        _draw_shape(draw, shape, mark.colour, pen)
    taken = [_disc(shape, pen) for _, shape in scaled if isinstance(shape, Point)]
    for mark, shape in scaled:
        label = str(mark.number) if len(marks) > MOST_LABELS else mark.label
        if label:
            taken.append(_draw_label(draw, shape, label, mark.colour, pen, taken))
    return copy


def save_png(image: Image.Image, path: Path) -> None:
    """Write a picture atomically.

    Raises:
        FinesightError: the file cannot be written.
    """
    with files.whole_file(path) as draft:
        image.save(draft, format="PNG")


def _enlargement(width: int, height: int) -> int:
    """The integer factor that makes a picture large enough for labels."""
    wanted = max(
        ceil(SMALLEST_LONG_SIDE / max(width, height)),
        ceil(_SMALLEST_SHORT_SIDE / min(width, height)),
    )
    return max(1, min(wanted, int(sqrt(_MOST_ENLARGED_PIXELS / (width * height)))))


def _pen(width: int, height: int) -> _Pen:
    """Line width and font size, from the area of the picture, bounded by its short side."""
    side = sqrt(width * height)
    letters = round(max(13.0, side / 42))
    letters = max(8, min(letters, round(min(width, height) / 4)))
    line = max(2, round(side / 320))
    return _Pen(line, max(1, round(line / 2)), letters)


def _scaled(shape: Box | Point, factor: int) -> Box | Point:
    if isinstance(shape, Point):
        return Point(shape.x * factor, shape.y * factor)
    return Box(shape.x1 * factor, shape.y1 * factor, shape.x2 * factor, shape.y2 * factor)


def _disc(point: Point, pen: _Pen) -> Box:
    """Bounding box of a drawn point with its rim."""
    reach = pen.radius + pen.halo + 1
    return Box(point.x - reach, point.y - reach, point.x + reach, point.y + reach)


def _area(shape: Box | Point) -> float:
    return shape.area if isinstance(shape, Box) else 0.0


def _draw_shape(draw: ImageDraw.ImageDraw, shape: Box | Point, colour: Colour, pen: _Pen) -> None:
    """Draw an outline between two white lines, visible on any background."""
    halo = (255, 255, 255)
    if isinstance(shape, Point):
        radius = pen.radius
        for grow, fill in ((pen.halo + 1, (0, 0, 0)), (pen.halo, halo), (0, colour)):
            reach = radius + grow
            draw.ellipse(
                (shape.x - reach, shape.y - reach, shape.x + reach, shape.y + reach), fill=fill
            )
        dot = max(1.0, pen.line / 2)
        draw.ellipse((shape.x - dot, shape.y - dot, shape.x + dot, shape.y + dot), fill=halo)
        return
    x1, y1 = round(shape.x1), round(shape.y1)
    x2 = max(round(shape.x2) - 1, x1)  # the right and bottom edges are exclusive
    y2 = max(round(shape.y2) - 1, y1)
    outer = pen.halo
    draw.rectangle((x1 - outer, y1 - outer, x2 + outer, y2 + outer), outline=halo, width=outer)
    inner = pen.line
    if x2 - x1 > 4 * inner and y2 - y1 > 4 * inner:
        draw.rectangle((x1 + inner, y1 + inner, x2 - inner, y2 - inner), outline=halo, width=outer)
    draw.rectangle((x1, y1, x2, y2), outline=colour, width=pen.line)


def _draw_label(
    draw: ImageDraw.ImageDraw,
    shape: Box | Point,
    label: str,
    colour: Colour,
    pen: _Pen,
    taken: Sequence[Box],
) -> Box:
    """Draw a label beside its shape; returns the label's box."""
    width, height = draw.im.size
    font = font_for(label, pen.letters)
    pad = max(2, pen.letters // 5)
    text = fitted(draw, label, font, min(width - 2 * pad, max(width * 0.45, pen.letters * 14)))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    ground_width = right - left + 2 * pad
    ground_height = max(bottom - top, pen.letters) + 2 * pad
    ground = _free_place(shape, (ground_width, ground_height), (width, height), pen, taken)
    draw.rectangle((ground.x1, ground.y1, ground.x2 - 1, ground.y2 - 1), fill=colour)
    rise = (ground_height - (bottom - top)) / 2
    draw.text(
        (ground.x1 + pad - left, ground.y1 + rise - top), text, font=font, fill=ink_on(colour)
    )
    return ground


def _free_place(
    shape: Box | Point,
    ground: tuple[float, float],
    canvas: tuple[int, int],
    pen: _Pen,
    taken: Sequence[Box],
) -> Box:
    """The candidate position around the shape with the least overlap with other labels."""
    places = [_inside(x, y, ground, canvas) for x, y in _corners(shape, ground, pen)]
    return min(places, key=lambda place: (_covered(place, taken), places.index(place)))


def _corners(
    shape: Box | Point, ground: tuple[float, float], pen: _Pen
) -> list[tuple[float, float]]:
    """Candidate upper left corners, the preferred ones first."""
    wide, high = ground
    if isinstance(shape, Point):
        gap = pen.line * 4
        return [
            (shape.x + gap, shape.y - high / 2),
            (shape.x - gap - wide, shape.y - high / 2),
            (shape.x - wide / 2, shape.y - gap - high),
            (shape.x - wide / 2, shape.y + gap),
        ]
    left, right = shape.x1 - pen.halo, shape.x2 + pen.halo - wide
    above, below = shape.y1 - pen.halo - high, shape.y2 + pen.halo
    places = [(left, above), (left, below), (right, above), (right, below)]
    inside = (shape.x1 + pen.line, shape.y1 + pen.line)
    fits_above = above >= 0
    return [*places, inside] if fits_above else [inside, *places]


def _inside(x: float, y: float, ground: tuple[float, float], canvas: tuple[int, int]) -> Box:
    """The label's box, moved into the picture."""
    wide, high = ground
    left = min(max(x, 0.0), max(canvas[0] - wide, 0.0))
    top = min(max(y, 0.0), max(canvas[1] - high, 0.0))
    return Box(round(left), round(top), round(left) + ceil(wide), round(top) + ceil(high))


def _covered(place: Box, taken: Sequence[Box]) -> float:
    """Area of overlap with other labels."""
    total = 0.0
    for other in taken:
        width = min(place.x2, other.x2) - max(place.x1, other.x1)
        height = min(place.y2, other.y2) - max(place.y1, other.y1)
        total += max(0.0, width) * max(0.0, height)
    return total
