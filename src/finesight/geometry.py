# SPDX-License-Identifier: Apache-2.0
"""Boxes, points and times, and the two records that map them to the original picture and video.

A model sees a *resized* picture and an *evenly spaced* clock. A user has the original picture and its true times.
`Resize` and `Clock` are made once, when the media is prepared, and are part of the reply; nothing computes them again.

Frames of reference: a bare `Box` or `Point` is in original pixels; a variable that ends in `_resized` is in the
pixels the model saw. x grows to the right, y downwards; a box is `(x1, y1, x2, y2)`, right and bottom edges exclusive.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from finesight.errors import LayoutError
from finesight.inputs import settle

__all__ = ["Box", "Clock", "Point", "Resize", "Size", "iou"]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        settle(self, ("width", "height"))

    def check(self) -> None:
        """Raise `LayoutError` unless both sides are at least one pixel."""
        if self.width < 1 or self.height < 1:
            raise LayoutError(f"size {self.width} x {self.height} has a side under 1 pixel")

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a picture, in pixels."""

    x: float
    y: float

    def __post_init__(self) -> None:
        settle(self, ("x", "y"))

    def clipped(self, size: Size) -> tuple[Point, bool]:
        """Move the point into `size`; the flag says whether it had to move."""
        moved = Point(
            min(max(self.x, 0.0), float(size.width)), min(max(self.y, 0.0), float(size.height))
        )
        return moved, moved != self


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        settle(self, ("x1", "y1", "x2", "y2"))

    @property
    def width(self) -> float:
        """Horizontal extent; negative if the corners are swapped."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Vertical extent; negative if the corners are swapped."""
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Area in square pixels; 0 if the corners are swapped."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def center(self) -> Point:
        """Middle of the box."""
        return Point((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2)

    def contains(self, point: Point) -> bool:
        """Whether the point lies inside or on the edge."""
        return self.x1 <= point.x <= self.x2 and self.y1 <= point.y <= self.y2

    def clipped(self, size: Size) -> tuple[Box, bool]:
        """Cut the box to `size`; the flag says whether anything was cut off."""
        first, first_moved = Point(self.x1, self.y1).clipped(size)
        second, second_moved = Point(self.x2, self.y2).clipped(size)
        return Box(first.x, first.y, second.x, second.y), first_moved or second_moved


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0.0 where neither has an area."""
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    overlap = max(0.0, width) * max(0.0, height)
    union = first.area + second.area - overlap
    return overlap / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Resize:
    """What happened to the pixels of one media item: the size it had and the size the model saw.

    For a picture turned by its EXIF orientation, `original` is the upright size: the one every viewer shows.
    """

    original: Size
    resized: Size

    def check(self) -> None:
        """Raise `LayoutError` if either size is empty."""
        self.original.check()
        self.resized.check()

    @property
    def scale_x(self) -> float:
        """Original pixels per resized pixel, horizontally."""
        return self.original.width / self.resized.width

    @property
    def scale_y(self) -> float:
        """Original pixels per resized pixel, vertically."""
        return self.original.height / self.resized.height

    def point_to_original(self, point_resized: Point) -> tuple[Point, bool]:
        """Map a point in the model's pixels to original pixels; the flag says whether it was clipped."""
        inside, clipped = point_resized.clipped(self.resized)
        return Point(inside.x * self.scale_x, inside.y * self.scale_y), clipped

    def to_original(self, box_resized: Box) -> tuple[Box, bool]:
        """Map a box in the model's pixels to original pixels; the flag says whether it was clipped."""
        inside, clipped = box_resized.clipped(self.resized)
        sx, sy = self.scale_x, self.scale_y
        return Box(inside.x1 * sx, inside.y1 * sy, inside.x2 * sx, inside.y2 * sy), clipped

    def point_to_resized(self, point: Point) -> Point:
        """Where a point of the original lies in the picture the model sees."""
        return Point(point.x / self.scale_x, point.y / self.scale_y)

    def to_resized(self, box: Box) -> Box:
        """Where a box of the original lies in the picture the model sees."""
        sx, sy = self.scale_x, self.scale_y
        return Box(box.x1 / sx, box.y1 / sy, box.x2 / sx, box.y2 / sy)


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of one video, frame by frame.

    Attributes:
        model_seconds: when the model believes each sampled frame was shown, counted from the clip's start
            (the clock of the position ids: evenly spaced for evenly sampled video).
        source_seconds: when each frame really is shown in the source, counted from the source's start.
    """

    model_seconds: tuple[float, ...]
    source_seconds: tuple[float, ...]

    def check(self) -> None:
        """Raise `LayoutError` unless both clocks have the same length and never run backwards."""
        if len(self.model_seconds) != len(self.source_seconds) or not self.model_seconds:
            raise LayoutError(
                f"clock has {len(self.model_seconds)} model times and {len(self.source_seconds)} source times"
            )
        for name, times in (("model", self.model_seconds), ("source", self.source_seconds)):
            for index, (before, after) in enumerate(pairwise(times)):
                if after < before:
                    raise LayoutError(
                        f"{name} clock runs backwards at frame {index + 1}: {before} s then {after} s"
                    )

    def to_source(self, model_second: float) -> tuple[float, bool]:
        """Turn a time the model stated into a time of the source.

        Linear between frames. The last frame lasts as long as the step before it, so that an event can end
        with it. Times beyond that, and before the first frame, are clamped and flagged.

        Returns:
            The source time in seconds, and whether it had to be clamped.
        """
        model, source = self._extended()
        if model_second <= model[0]:
            return source[0], model_second < model[0]
        if model_second >= model[-1]:
            return source[-1], model_second > model[-1]
        right = bisect_right(model, model_second)
        before, after = model[right - 1], model[right]
        share = (model_second - before) / (after - before)
        return source[right - 1] + share * (source[right] - source[right - 1]), False

    def _extended(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Both clocks with one more knot: the moment the last distinct frame ends."""
        model, source = list(self.model_seconds), list(self.source_seconds)
        while (
            len(source) > 1 and source[-1] == source[-2]
        ):  # a repeated padding frame shows nothing new
            source.pop()
            model.pop()
        if len(source) > 1:
            model.append(2 * model[-1] - model[-2])
            source.append(2 * source[-1] - source[-2])
        return tuple(model), tuple(source)
