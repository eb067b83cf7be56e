# SPDX-License-Identifier: Apache-2.0
"""Pieces of text with a letter height, slanted or in perspective, painted legibly over any background.

The letter height is the height of the ink of a capital, or of the reference letter of a script without capitals. A
piece is drawn upright, then mapped by one homography; its character centres and row boxes are mapped by the same one.

Legibility: the ink differs from the pixels around the letters by at least a given contrast ratio. Where no colour does
that, the text gets a board.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from finesight.data.builders.backdrops import any_colour
from finesight.data.builders.drawing import draw_rows, measure_row
from finesight.data.builders.paper import Colour, Picture, contrast, luminance
from finesight.data.record import Glyph
from finesight.data.sources.fonts import Face, load_font

__all__ = ["Backing", "Piece", "Slant", "draw_piece", "em_of", "paint"]

Backing = Literal["none", "board", "outline", "shadow"]
"""What separates the ink from the background."""

Matrix = npt.NDArray[np.float64]

REFERENCE: dict[str, str] = {
    "han": "国",
    "kana": "あ",
    "hangul": "한",
    "hebrew": "א",
    "arabic": "ا",
}
"""Letter whose ink height is the letter height, by script; "H" for scripts with capitals."""

MEASURED_AT = 200
"""Pixels per em at which a face is measured."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
PERCENTILES = (2, 98)
"""Percentiles of the luminance around the letters that the ink is compared with."""


@dataclass(frozen=True, slots=True)
class Slant:
    """How a piece is mapped from upright.

    Attributes:
        quarter: rotation counter-clockwise by 0, 90, 180 or 270 degrees.
        degrees: further rotation, -8 to 8.
        corners: shift of the four corners (clockwise from the top left), as shares of the height, for perspective.
    """

    quarter: int = 0
    degrees: float = 0.0
    corners: tuple[tuple[float, float], ...] = ((0.0, 0.0),) * 4

    @classmethod
    def draw(cls, rng: random.Random, quarters: Sequence[int] = (0,)) -> Slant:
        """Draw a rotation of up to 8 degrees, or a mild perspective, or a quarter turn from `quarters`."""
        quarter = rng.choice(quarters)
        if quarter and rng.random() < 0.6:
            return cls(quarter)
        if rng.random() < 0.5:
            return cls(quarter, degrees=rng.uniform(-8, 8))
        shifts = tuple((rng.uniform(-0.25, 0.25), rng.uniform(-0.12, 0.12)) for _ in range(4))
        return cls(quarter, degrees=rng.uniform(-4, 4), corners=shifts)


@dataclass(frozen=True, slots=True)
class Piece:
    """Drawn text without colours; positions are in its pixels.

    Attributes:
        ink: mask `uint8[h, w]`, 255 where the letters are.
        ring: mask of the letters thickened by a stroke.
        board: mask of the rectangle around the text.
        glyphs: characters in reading order.
        rows: text and box `(x1, y1, x2, y2)` of each row.
        letter_height: in pixels, before the mapping.
    """

    ink: npt.NDArray[np.uint8]
    ring: npt.NDArray[np.uint8]
    board: npt.NDArray[np.uint8]
    glyphs: tuple[Glyph, ...]
    rows: tuple[tuple[str, tuple[int, int, int, int]], ...]
    letter_height: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.ink.shape[1], self.ink.shape[0]


@lru_cache(maxsize=4096)
def _height_of_em(path: str, index: int, letter: str) -> float:
    """Ink height of a letter at one pixel per em."""
    box = load_font(path, index, MEASURED_AT).getbbox(letter, anchor="ls")
    return float(box[3] - box[1]) / MEASURED_AT


def em_of(face: Face, script: str, letter_height: float) -> int:
    """Whole pixels per em at which a face has about the letter height, at least 1; 0 if it lacks the letter."""
    letter = REFERENCE.get(script, "H")
    height = _height_of_em(face.path, face.index, letter) if face.covers(letter) else 0.0
    return max(1, round(letter_height / height)) if height > 0.2 else 0


def draw_piece(
    rng: random.Random, rows: Sequence[str], face: Face, em: int, script: str, slant: Slant
) -> Piece | None:
    """Draw rows of text, aligned left, right or centred; None if a row has no ink.

    Args:
        rng: draws alignment, leading, padding and the thickness of the outline.
        rows: texts, top to bottom.
        face: covers the texts.
        em: pixels per em.
        script: script of the texts, a key of `fonts.SCRIPT_SAMPLES`.
        slant: mapping from upright.
    """
    rtl = script in ("arabic", "hebrew")
    height = em * _height_of_em(face.path, face.index, REFERENCE.get(script, "H"))
    boxes = [measure_row(text, face, em, rtl) for text in rows]
    if min(min(box[2] - box[0], box[3] - box[1]) for box in boxes) < 1:
        return None
    stroke = max(1, round(height * rng.uniform(0.06, 0.14)))
    pad = max(stroke + 1, round(height * rng.uniform(0.25, 0.7)))
    leading = round(em * rng.uniform(1.15, 1.6))
    side = 1.0 if rtl else rng.choice((0.0, 0.0, 0.5, 1.0))
    width = max(box[2] - box[0] for box in boxes)
    origins = [
        (round(pad - box[0] + side * (width - box[2] + box[0])), pad - boxes[0][1] + row * leading)
        for row, box in enumerate(boxes)
    ]
    bottom = max(y + box[3] for (_, y), box in zip(origins, boxes, strict=True))
    canvas = (width + 2 * pad, bottom + pad)
    ink = draw_rows(rows, origins, face, em, canvas, rtl)
    ring = draw_rows(rows, origins, face, em, canvas, rtl, stroke=stroke).mask
    board = Image.new("L", canvas)
    ImageDraw.Draw(board).rounded_rectangle(
        (0, 0, canvas[0] - 1, canvas[1] - 1), rng.choice((0, 0, 0.3, 0.5)) * pad, fill=255
    )
    matrix, size = _mapping(slant, canvas)
    corners = [
        [(x + box[0], y + box[1]), (x + box[2], y + box[1]), (x + box[2], y + box[3]), (x + box[0], y + box[3])]
        for (x, y), box in zip(origins, boxes, strict=True)
    ]  # fmt: skip
    return Piece(
        ink=_mapped(ink.mask, matrix, size),
        ring=_mapped(ring, matrix, size),
        board=_mapped(board, matrix, size),
        glyphs=_mapped_glyphs(ink.glyphs, matrix, size),
        rows=tuple(
            (text, _bounds(_apply(matrix, quad), size))
            for text, quad in zip(rows, corners, strict=True)
        ),
        letter_height=height,
    )


def _mapping(slant: Slant, canvas: tuple[int, int]) -> tuple[Matrix, tuple[int, int]]:
    """Homography from upright pixels to mapped pixels, and the size of the mapped picture."""
    width, height = canvas
    start = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    end = start + np.array(slant.corners) * min(width, height)
    angle = math.radians(-slant.degrees)
    turned = end @ np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    for _ in range(slant.quarter // 90):
        turned = np.stack((turned[:, 1], -turned[:, 0]), axis=1)
    turned -= turned.min(axis=0)
    across, down = (max(1, math.ceil(reach - 1e-6)) for reach in turned.max(axis=0))
    return _homography(start, turned), (across, down)


def _homography(start: Matrix, end: Matrix) -> Matrix:
    """The 3 x 3 matrix that maps four points to four points."""
    rows = []
    for (x, y), (u, v) in zip(start, end, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
    solved = np.linalg.solve(np.array(rows), end.reshape(8))
    return np.append(solved, 1.0).reshape(3, 3)


def _apply(matrix: Matrix, points: Sequence[tuple[float, float]]) -> Matrix:
    """Mapped points, `float64[n, 2]`."""
    mapped = np.column_stack((np.array(points, np.float64), np.ones(len(points)))) @ matrix.T
    places: Matrix = mapped[:, :2] / mapped[:, 2:]
    return places


def _mapped(mask: Image.Image, matrix: Matrix, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if size == mask.size and np.allclose(matrix, np.eye(3)):
        return np.asarray(mask)
    backward = np.linalg.inv(matrix)
    coefficients = tuple((backward / backward[2, 2]).reshape(9)[:8])
    warped = mask.transform(
        size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC
    )
    return np.asarray(warped)


def _mapped_glyphs(
    glyphs: Sequence[Glyph], matrix: Matrix, size: tuple[int, int]
) -> tuple[Glyph, ...]:
    places = np.clip(_apply(matrix, [(glyph.x, glyph.y) for glyph in glyphs]), 0, size)
    return tuple(
        Glyph(glyph.char, float(x), float(y), glyph.order)
        for glyph, (x, y) in zip(glyphs, places, strict=True)
    )


def _bounds(points: Matrix, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Smallest whole-pixel box around the points, inside the picture."""
    low = np.floor(np.maximum(points.min(axis=0), 0)).astype(int)
    high = np.ceil(np.minimum(points.max(axis=0), size)).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def paint(
    picture: Picture, piece: Piece, at: tuple[int, int], rng: random.Random, backing: Backing, least: float
) -> tuple[Backing, float]:  # fmt: skip
    """Paint a piece into a picture, in place.

    Args:
        picture: `uint8[H, W, 3]`.
        piece: fits at `at`.
        at: left and top, in pixels.
        rng: draws the colours.
        backing: what is painted under the ink.
        least: least WCAG contrast ratio of the ink.

    Returns:
        The backing, "board" where nothing else gave enough contrast, and the contrast ratio.
    """
    left, top = at
    width, height = piece.size
    region = picture[top : top + height, left : left + width]
    if backing == "board":
        _blend(region, piece.board, any_colour(rng))
    elif backing != "none":
        _surround(region, piece, rng, backing, least)
    ink = _ink_for(region, piece, rng, least)
    if ink is None:
        backing = "board"
        _blend(region, piece.board, any_colour(rng))
        ink = _ink_for(region, piece, rng, least) or _best_end(region, piece)
    reached = _ratio(luminance(ink), *_surroundings(region, piece))
    _blend(region, piece.ink, ink)
    return backing, reached


def _surround(
    region: Picture, piece: Piece, rng: random.Random, backing: Backing, least: float
) -> None:
    """Paint an outline, or a soft shadow, in a light or dark colour."""
    is_light = rng.random() < 0.4
    colour = any_colour(rng)
    if contrast(colour, BLACK if is_light else WHITE) < least + 2:
        colour = WHITE if is_light else BLACK
    mask = piece.ring
    if backing == "shadow":
        spread = max(1.0, 0.08 * piece.letter_height)
        soft = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(spread))
        mask = np.minimum(np.asarray(soft, np.uint16) * 5 // 2, 255).astype(np.uint8)
    _blend(region, mask, colour)


def _ink_for(region: Picture, piece: Piece, rng: random.Random, least: float) -> Colour | None:
    """A colour with enough contrast to the pixels around the letters, or None if neither black nor white has it."""
    low, high = _surroundings(region, piece)
    for want in (least if rng.random() < 0.35 else max(least, 4.5), least):
        for _ in range(12):
            colour = any_colour(rng)
            if _ratio(luminance(colour), low, high) >= want:
                return colour
    best = _best_end(region, piece)
    return best if _ratio(luminance(best), low, high) >= least else None


def _best_end(region: Picture, piece: Piece) -> Colour:
    """Black or white, whichever differs more from the pixels around the letters; at least 4.5 on one colour."""
    low, high = _surroundings(region, piece)
    return max(BLACK, WHITE, key=lambda end: _ratio(luminance(end), low, high))


def _ratio(ink: float, low: float, high: float) -> float:
    """Contrast ratio to the nearer of two luminances; 1 between them."""
    return max((ink + 0.05) / (high + 0.05), (low + 0.05) / (ink + 0.05), 1.0)


def _surroundings(region: Picture, piece: Piece) -> tuple[float, float]:
    """Low and high percentile of the luminance around the letters."""
    around = region[(piece.ring > 127) & (piece.ink < 128)]
    values = LUMINANCE[0][around[:, 0]] + LUMINANCE[1][around[:, 1]] + LUMINANCE[2][around[:, 2]]
    low, high = np.percentile(values, PERCENTILES) if len(values) else (0.0, 1.0)
    return float(low), float(high)


LUMINANCE = np.array(
    [
        [luminance((value, 0, 0)) for value in range(256)],
        [luminance((0, value, 0)) for value in range(256)],
        [luminance((0, 0, value)) for value in range(256)],
    ]
)
"""Share of each channel's value in the relative luminance, `float64[3, 256]`."""


def _blend(region: Picture, mask: npt.NDArray[np.uint8], colour: Colour) -> None:
    """Paint a colour through a mask, in place."""
    alpha = mask.astype(np.uint16)[:, :, None]
    mixed = (region * (255 - alpha) + np.asarray(colour, np.uint16) * alpha + 127) // 255
    region[...] = mixed.astype(np.uint8)
