# SPDX-License-Identifier: Apache-2.0
"""Backgrounds, colours and degradations of drawn pictures.

`difficulty` in 0..1 scales everything: at 0 dark ink on plain light paper, at 1 any pair of colours down to a WCAG
contrast ratio of 1.8, gradients and textures, blur, noise and JPEG. The least contrast is guaranteed.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["Look", "background", "contrast", "ink_and_paper", "luminance", "render", "wear"]

Colour = tuple[int, int, int]
Picture = npt.NDArray[np.uint8]

TEXTURE = 512
MAX_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Look:
    """Colours and degradation of a piece of text.

    Attributes:
        ink: sRGB.
        paper: sRGB of the background.
        difficulty: strength of texture and degradations, in 0..1.
    """

    ink: Colour
    paper: Colour
    difficulty: float

    @classmethod
    def draw(cls, rng: random.Random, difficulty: float) -> Look:
        """Draw two colours of enough contrast."""
        return cls(*ink_and_paper(rng, difficulty), difficulty)


def contrast(first: Colour, second: Colour) -> float:
    """WCAG contrast ratio of two sRGB colours, 1 to 21."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Colour) -> float:
    """WCAG relative luminance of an sRGB colour, 0 to 1."""
    red, green, blue = (
        (value / 255 / 12.92) if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4
        for value in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_and_paper(rng: random.Random, difficulty: float) -> tuple[Colour, Colour]:
    """Ink and paper whose contrast is at least 9 at difficulty 0 and 1.8 at difficulty 1.

    The share of light ink on dark paper rises from 0.1 to 0.4.
    """
    if rng.random() < 0.25:  # print: black on white
        shade = rng.randrange(30)
        white = 255 - rng.randrange(20)
        return (shade, shade, shade), (white, white, white)
    least = 9.0 - 7.2 * difficulty
    for _ in range(20):
        spread = int(40 + 110 * difficulty)
        paper = (
            255 - rng.randrange(spread),
            255 - rng.randrange(spread),
            255 - rng.randrange(spread),
        )
        ink = (rng.randrange(spread), rng.randrange(spread), rng.randrange(spread))
        if contrast(ink, paper) >= least:
            break
    else:
        ink, paper = (10, 10, 10), (250, 250, 250)
    if rng.random() < 0.1 + 0.3 * difficulty:
        return paper, ink
    return ink, paper


def background(
    rng: random.Random, paper: Colour, size: tuple[int, int], difficulty: float
) -> Picture:
    """Paper of one colour, with a gradient or a soft texture at higher difficulty: `uint8[H, W, 3]`.

    Sides are at most `MAX_SIDE` pixels.
    """
    width, height = size
    roll = rng.random()
    if roll >= 0.9 * difficulty:
        return np.full((height, width, 3), paper, np.uint8)
    picture = np.full((height, width, 3), paper, np.float32)
    if roll < 0.5 * difficulty:
        reach = rng.uniform(10, 20 + 50 * difficulty)
        across = np.linspace(-reach / 2, reach / 2, width, dtype=np.float32)[None, :, None]
        down = np.linspace(-reach / 2, reach / 2, height, dtype=np.float32)[:, None, None]
        slope = rng.random()
        picture += across * slope + down * (1 - slope)
    else:
        grain = _texture(rng.randrange(16))
        top, left = rng.randrange(TEXTURE), rng.randrange(TEXTURE)
        patch = grain[top : top + height, left : left + width]
        picture += (patch * rng.uniform(4, 8 + 22 * difficulty))[:, :, None]
    return np.clip(picture, 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _texture(number: int) -> npt.NDArray[np.float32]:
    """Smooth noise of unit variance, fine or coarse by `number`, tiled to `TEXTURE + MAX_SIDE` a side."""
    rng = np.random.default_rng(number)
    cells = TEXTURE >> (number % 5 + 1)
    small = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    grown = np.asarray(small.resize((TEXTURE, TEXTURE), Image.Resampling.BICUBIC), np.float32)
    unit: npt.NDArray[np.float32] = (grown - grown.mean()) / grown.std()
    return np.tile(unit, (MAX_SIDE // TEXTURE + 2,) * 2)


def render(mask: Image.Image, rng: random.Random, look: Look) -> Picture:
    """Composite ink over a background by its mask, then degrade: `uint8[H, W, 3]`."""
    paper = background(rng, look.paper, mask.size, look.difficulty)
    alpha = np.asarray(mask, np.uint16)[:, :, None]
    mixed = (paper * (255 - alpha) + np.asarray(look.ink, np.uint16) * alpha + 127) // 255
    return wear(mixed.astype(np.uint8), rng, look.difficulty)


def wear(picture: Picture, rng: random.Random, difficulty: float) -> Picture:
    """Degrade by blur, noise and JPEG; probability and strength of each grow with the difficulty."""
    if rng.random() < 0.5 * difficulty:
        radius = rng.uniform(0.2, 0.35 + 0.55 * difficulty)
        blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius))
        picture = np.asarray(blurred)
    if rng.random() < 0.7 * difficulty:
        spread = rng.uniform(1, 3 + 15 * difficulty)
        noise = _noise(rng, picture.shape[:2]) * spread
        picture = np.clip(picture + noise[:, :, None], 0, 255).astype(np.uint8)
    if rng.random() < 0.5 * difficulty:
        packed = io.BytesIO()
        quality = int(rng.uniform(90 - 55 * difficulty, 92))
        Image.fromarray(picture).save(packed, "JPEG", quality=quality)
        picture = np.asarray(Image.open(packed))
    return picture


def _noise(rng: random.Random, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(rng.getrandbits(32)).standard_normal(shape, np.float32)
