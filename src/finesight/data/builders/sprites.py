# SPDX-License-Identifier: Apache-2.0
"""Objects of a scene: icon drawings, coloured shapes and words, each as a named RGBA picture.

The picture is scaled, rotated, mirrored and cropped to its ink, so its size is that of the object's box.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from finesight.data.builders.drawing import draw_rows, measure_row
from finesight.data.builders.paper import Colour
from finesight.data.sources.fonts import Face
from finesight.data.sources.icons import Drawing, IconLibrary

__all__ = ["COLOURS", "SHAPES", "Cutout", "icon_cutout", "shape_cutout", "word_cutout"]

COLOURS: dict[str, Colour] = {
    "red": (220, 38, 38), "green": (34, 160, 60), "blue": (40, 90, 220), "yellow": (245, 205, 40),
    "orange": (245, 130, 30), "purple": (140, 60, 190), "black": (25, 25, 25), "white": (248, 248, 248),
    "pink": (245, 130, 180), "brown": (130, 80, 40), "gray": (128, 128, 128),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "diamond", "hexagon")
SUPERSAMPLE = 4
_MOST_STRETCH = 0.25
"""Largest change of the logarithm of width over height."""
_MOST_SHEAR = 0.25
"""Largest horizontal shift per row, in pixels."""
_MOST_HUE = 0.5
"""Largest hue rotation, in radians: green may become olive or teal, but not red."""
OPAQUE = 64
"""Alpha above which a pixel counts as ink."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """An object that can be pasted into a scene.

    Attributes:
        name: its name in answers; for words, the word.
        kind: "icon", "shape" or "word".
        source: drawing or face id, empty for shapes.
        picture: RGBA, cropped to its ink.
        colour: mean colour of its ink; the background is chosen to differ from it.
    """

    name: str
    kind: str
    source: str
    picture: Image.Image
    colour: Colour


def icon_cutout(
    rng: random.Random,
    library: IconLibrary,
    drawing: Drawing,
    size: int,
    *,
    tilt: float,
    vary: float = 0.0,
) -> Cutout:
    """A drawing whose longer side is about `size` pixels, mirrored half the time.

    Args:
        rng: random generator.
        library: holds the drawing's pixels.
        drawing: the drawing.
        size: pixels of the longer side, before rotation.
        tilt: largest rotation, in degrees.
        vary: strength of changes of aspect ratio, shear and colours; 0 changes nothing, 1 as much as the name allows.
            There are few drawings of each object; unvaried, a model recognises them by their colours alone.
    """
    # Premultiplied alpha: no conversion at each of the next steps.
    picture = library.sprite(drawing).convert("RGBa")
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = size / max(picture.size)
    stretch = math.exp(vary * rng.uniform(-_MOST_STRETCH, _MOST_STRETCH)) if vary else 1.0
    across, down = scale * min(1.0, stretch), scale * min(1.0, 1 / stretch)
    target = (max(4, round(picture.width * across)), max(4, round(picture.height * down)))
    picture = picture.resize(target, Image.Resampling.HAMMING)
    if vary:
        picture = _sheared(picture, vary * rng.uniform(-_MOST_SHEAR, _MOST_SHEAR))
    angle = rng.uniform(-tilt, tilt)
    if abs(angle) > 2:
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    picture = picture.convert("RGBA")
    if vary:
        picture = _recoloured(rng, picture, vary)
    return Cutout(drawing.name, "icon", drawing.id, _cropped(picture), _mean_colour(picture))


def _sheared(picture: Image.Image, slope: float) -> Image.Image:
    """Shift each row by `slope` pixels against the row above it."""
    extra = abs(slope) * picture.height
    size = (picture.width + math.ceil(extra), picture.height)
    shift = -extra if slope > 0 else 0.0
    return picture.transform(
        size, Image.Transform.AFFINE, (1, slope, shift, 0, 1, 0), Image.Resampling.BILINEAR
    )


def _recoloured(rng: random.Random, picture: Image.Image, vary: float) -> Image.Image:
    """Change hue, saturation (at times to grey) and brightness."""
    pixels = np.asarray(picture).astype(np.float32)
    grey = pixels[:, :, :3] @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    angle = vary * rng.uniform(-_MOST_HUE, _MOST_HUE)
    strength = 1 + vary * rng.uniform(-0.6, 0.3)
    if rng.random() < 0.1 * vary:
        strength = 0.0
    # A rotation about the grey axis: Rodrigues' formula for the axis (1, 1, 1) / sqrt(3).
    cosine, sine = math.cos(angle), math.sin(angle) / 3**0.5
    turn = np.full((3, 3), (1 - cosine) / 3, dtype=np.float32) + np.float32(cosine) * np.eye(3)
    turn += sine * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    colour = (pixels[:, :, :3] - grey[:, :, None]) @ turn.T.astype(np.float32)
    gain = 1 + vary * rng.uniform(-0.3, 0.25)
    pixels[:, :, :3] = gain * (grey[:, :, None] + strength * colour)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _mean_colour(picture: Image.Image) -> Colour:
    """Mean colour of the ink."""
    pixels = np.asarray(picture).reshape(-1, 4)
    ink = pixels[pixels[:, 3] > OPAQUE]
    mean = ink[:, :3].mean(axis=0) if len(ink) else np.zeros(3)
    return int(mean[0]), int(mean[1]), int(mean[2])


def shape_cutout(rng: random.Random, colour: str, shape: str, size: int) -> Cutout:
    """A filled shape, as in "red circle", about `size` pixels wide; its colour varies a little."""
    red, green, blue = (min(255, max(0, value + rng.randint(-12, 12))) for value in COLOURS[colour])
    mask = _shape_mask(shape).resize((size, size), Image.Resampling.BOX)
    if shape == "square" or shape == "triangle":
        mask = mask.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC, expand=True)
    picture = Image.new("RGBA", mask.size, (red, green, blue, 0))
    picture.putalpha(mask)
    return Cutout(f"{colour} {shape}", "shape", "", _cropped(picture), (red, green, blue))


@lru_cache(maxsize=len(SHAPES))
def _shape_mask(shape: str) -> Image.Image:
    side = 96 * SUPERSAMPLE
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    if shape == "circle":
        pen.ellipse((0, 0, side - 1, side - 1), fill=255)
    elif shape == "square":
        pen.rectangle((side * 0.05, side * 0.05, side * 0.95, side * 0.95), fill=255)
    else:
        pen.polygon(_corners(shape, side), fill=255)
    return mask


def _corners(shape: str, side: int) -> list[tuple[float, float]]:
    centre = side / 2
    if shape == "star":
        radii = [0.5 * side if k % 2 == 0 else 0.2 * side for k in range(10)]
    else:
        radii = [0.5 * side] * {"triangle": 3, "diamond": 4, "hexagon": 6}[shape]
    turn = 2 * math.pi / len(radii)
    return [
        (centre + radius * math.sin(k * turn), centre - radius * math.cos(k * turn))
        for k, radius in enumerate(radii)
    ]


def word_cutout(face: Face, text: str, size: int, colour: Colour) -> Cutout:
    """A word at `size` pixels per em, cropped to its ink."""
    left, top, right, bottom = measure_row(text, face, size, right_to_left=False)
    canvas = (right - left + 4, bottom - top + 4)
    mask = draw_rows([text], [(2 - left, 2 - top)], face, size, canvas).mask
    picture = Image.new("RGBA", canvas, (*colour, 0))
    picture.putalpha(mask)
    return Cutout(text, "word", face.id, _cropped(picture), colour)


def _cropped(picture: Image.Image) -> Image.Image:
    ink = np.asarray(picture.getchannel("A")) > OPAQUE
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return picture
    return picture.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
