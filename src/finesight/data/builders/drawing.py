# SPDX-License-Identifier: Apache-2.0
"""Draw rows of text as an ink mask, with the position of each character.

A mask is drawn upright (`draw_rows`), rotated and sheared a little (`warp`), composited over a background
(`finesight.data.builders.paper`), then rotated by quarter turns (`turn`). Each step moves the character centres with
the pixels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from finesight.data.record import Glyph
from finesight.data.sources.fonts import Face, load_font

__all__ = ["Ink", "draw_rows", "measure_row", "row_length", "turn", "warp"]


@dataclass(frozen=True, slots=True)
class Ink:
    """A drawn mask with its characters.

    Attributes:
        mask: picture of mode "L": 0 is background, 255 is ink.
        glyphs: characters in reading order, in pixels of the mask.
    """

    mask: Image.Image
    glyphs: tuple[Glyph, ...]


def measure_row(text: str, face: Face, size: int, right_to_left: bool) -> tuple[int, int, int, int]:
    """Ink box `(left, top, right, bottom)` of a row drawn at the origin with anchor "ls"."""
    font = load_font(face.path, face.index, size, right_to_left)
    left, top, right, bottom = font.getbbox(text, anchor="ls", direction=_direction(right_to_left))
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def row_length(text: str, face: Face, size: int, right_to_left: bool) -> float:
    """Advance width of a row, in pixels."""
    font = load_font(face.path, face.index, size, right_to_left)
    return font.getlength(text, direction=_direction(right_to_left))


def _direction(right_to_left: bool) -> str | None:
    """Pillow's name for the direction; the basic layout engine takes none."""
    return "rtl" if right_to_left else None


def draw_rows(
    rows: Sequence[str],
    origins: Sequence[tuple[float, float]],
    face: Face,
    size: int,
    canvas: tuple[int, int],
    right_to_left: bool = False,
    *,
    stroke: int = 0,
) -> Ink:
    """Draw rows with their baselines starting at `origins`.

    Args:
        rows: texts, top to bottom.
        origins: left end of each baseline, in pixels.
        face: font face that covers the texts.
        size: pixels per em.
        canvas: width and height of the mask.
        right_to_left: the rows are Arabic or Hebrew.
        stroke: pixels by which every letter is thickened on all sides.

    Returns:
        The mask with one `Glyph` per character other than white space; `order` counts spaces and line ends.
    """
    font = load_font(face.path, face.index, size, right_to_left)
    mask = Image.new("L", canvas)
    pen = ImageDraw.Draw(mask)
    direction = _direction(right_to_left)
    glyphs: list[Glyph] = []
    order = 0
    for text, (left, baseline) in zip(rows, origins, strict=True):
        pen.text(
            (left, baseline), text, 255, font, anchor="ls", direction=direction, stroke_width=stroke
        )
        _, top, _, bottom = font.getbbox(text, anchor="ls", direction=direction)
        middle = baseline + (top + bottom) / 2
        centres = _centres(text, font, right_to_left)
        for index, (char, x) in enumerate(zip(text, centres, strict=True)):
            if char.strip():
                # An Arabic prefix can be wider than the row, and swashes reach past their advance.
                inside = min(max(left + x, 0.0), float(canvas[0]))
                glyphs.append(Glyph(char, inside, middle, order + index))
        order += len(text) + 1
    return Ink(mask, tuple(glyphs))


def _centres(text: str, font: ImageFont.FreeTypeFont, right_to_left: bool) -> list[float]:
    """Centre of each character's advance, from the left end of the row.

    Prefix widths include kerning. In Arabic the last letter of a prefix takes its final form, so the error is a pixel
    or two there.
    """
    direction = _direction(right_to_left)
    edges = [0.0]
    edges += [font.getlength(text[:end], direction=direction) for end in range(1, len(text) + 1)]
    centres = [(edges[index] + edges[index + 1]) / 2 for index in range(len(text))]
    return [edges[-1] - x for x in centres] if right_to_left else centres


def warp(ink: Ink, rng: random.Random, strength: float) -> Ink:
    """Rotate by up to 2.5 degrees and shear by up to 0.12 about the centre, times `strength`.

    The angle is also bounded by the aspect ratio, so that the ends of a wide row stay inside the picture.
    """
    width, height = ink.mask.size
    longest = math.atan2(0.12 * height, width / 2)
    angle = rng.uniform(-1, 1) * min(math.radians(2.5), longest) * strength
    shear = rng.uniform(-0.12, 0.12) * strength
    forward = np.array(
        [[math.cos(angle), math.sin(angle) + shear], [-math.sin(angle), math.cos(angle)]]
    )
    backward = np.linalg.inv(forward)
    centre = np.array([width / 2, height / 2])
    offset = centre - backward @ centre
    coefficients = (*backward[0], offset[0], *backward[1], offset[1])
    mask = ink.mask.transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    moved = []
    for glyph in ink.glyphs:
        x, y = forward @ (np.array([glyph.x, glyph.y]) - centre) + centre
        inside = (min(max(float(x), 0.0), width), min(max(float(y), 0.0), height))
        moved.append(Glyph(glyph.char, *inside, glyph.order))
    return Ink(mask, tuple(moved))


def turn(
    image: npt.NDArray[np.uint8], glyphs: Sequence[Glyph], degrees: int
) -> tuple[npt.NDArray[np.uint8], tuple[Glyph, ...]]:
    """Rotate a picture and its characters counter-clockwise by 0, 90, 180 or 270 degrees.

    Args:
        image: `uint8[H, W, 3]`.
        glyphs: in pixels of `image`.
        degrees: multiple of 90.

    Returns:
        The rotated picture (contiguous) and its characters at their new positions, in the same order.
    """
    height, width = image.shape[:2]
    moved = []
    for glyph in glyphs:
        x, y = {
            0: (glyph.x, glyph.y),
            90: (glyph.y, width - glyph.x),
            180: (width - glyph.x, height - glyph.y),
            270: (height - glyph.y, glyph.x),
        }[degrees]
        moved.append(Glyph(glyph.char, x, y, glyph.order))
    return np.ascontiguousarray(np.rot90(image, degrees // 90)), tuple(moved)
