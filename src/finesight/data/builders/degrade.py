# SPDX-License-Identifier: Apache-2.0
"""Degradations of photographs and screenshots of text, in strengths that keep the text readable.

Strengths are bounded by the letter height, because a blur of two pixels removes small letters and is invisible on large
ones, and by the contrast of the text. No degradation moves the text.
"""

from __future__ import annotations

import io
import math
import random

import numpy as np
from PIL import Image, ImageFilter

from finesight.data.builders.paper import Picture

__all__ = ["degrade"]

LEAST_LETTER = 7.5
"""Letter height in pixels below which a picture is not scaled down."""


def degrade(
    picture: Picture, rng: random.Random, letter_height: float, contrast: float
) -> tuple[Picture, tuple[str, ...]]:
    """Apply one to four degradations.

    Args:
        picture: `uint8[H, W, 3]`.
        rng: random generator.
        letter_height: of the smallest text, in pixels.
        contrast: least WCAG contrast ratio of the text against its surroundings.

    Returns:
        The degraded picture, and the names of the degradations: "shadow", "blur", "motion", "rescale", "noise", "jpeg".
    """
    strength = min(max((contrast - 1.5) / 5, 0.25), 1.0)
    names = []
    if rng.random() < 0.35:
        picture = _shadow(picture, rng)
        names.append("shadow")
    if (
        rng.random() < 0.65
    ):  # one way of losing sharpness: together they would make letters unreadable
        can_shrink = letter_height > 1.2 * LEAST_LETTER
        kind = rng.choice(("blur", "motion", "rescale") if can_shrink else ("blur", "motion"))
        soften = {"blur": _blur, "motion": _motion, "rescale": _rescale}[kind]
        picture = soften(picture, rng, letter_height)
        names.append(kind)
    if rng.random() < 0.45:
        picture = _noise(picture, rng, strength * min(3 + 0.35 * letter_height, 28))
        names.append("noise")
    if rng.random() < 0.5 or not names:
        picture = _jpeg(picture, rng, letter_height)
        names.append("jpeg")
    return picture, tuple(names)


def _shadow(picture: Picture, rng: random.Random) -> Picture:
    """Darken one side, gradually or with a soft edge."""
    height, width = picture.shape[:2]
    angle = rng.uniform(0, 2 * math.pi)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * math.cos(angle)
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * math.sin(angle)
    steepness = rng.choice((0.5, 1.0, 4.0))
    ramp = np.clip((across + down) * steepness + 0.5 + rng.uniform(-0.3, 0.3), 0, 1)
    gain = 1 - ramp * rng.uniform(0.15, 0.5)
    shaded: Picture = (picture * gain[:, :, None]).astype(np.uint8)
    return shaded


def _blur(picture: Picture, rng: random.Random, letter_height: float) -> Picture:
    radius = rng.uniform(0.3, max(0.45, min(0.085 * letter_height, 5)))
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def _motion(picture: Picture, rng: random.Random, letter_height: float) -> Picture:
    """The mean of copies shifted along a line whose middle is the old position."""
    length = rng.uniform(1.5, max(2.0, min(0.24 * letter_height, 14)))
    angle = rng.uniform(0, math.pi)
    reach = math.ceil(length / 2)
    steps = np.linspace(-length / 2, length / 2, 2 * reach + 1)
    shifts = [(round(step * math.cos(angle)), round(step * math.sin(angle))) for step in steps]
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros(picture.shape, np.uint16)
    for x, y in shifts:
        total += padded[reach + y : reach + y + height, reach + x : reach + x + width]
    return (total // len(shifts)).astype(np.uint8)


def _rescale(picture: Picture, rng: random.Random, letter_height: float) -> Picture:
    """Scale down, then up to the old size."""
    factor = rng.uniform(1.15, min(4.0, letter_height / LEAST_LETTER))
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    small = image.resize(
        (max(1, round(width / factor)), max(1, round(height / factor))), Image.Resampling.BILINEAR
    )
    way = rng.choice(
        (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    )
    return np.asarray(small.resize((width, height), way))


def _noise(picture: Picture, rng: random.Random, most: float) -> Picture:
    """Add grey Gaussian noise of a standard deviation of up to `most`."""
    spread = rng.uniform(1, max(2.0, most))
    generator = np.random.default_rng(rng.getrandbits(32))
    noise = generator.standard_normal(picture.shape[:2], np.float32) * spread
    return np.clip(picture + noise[:, :, None], 0, 255).astype(np.uint8)


def _jpeg(picture: Picture, rng: random.Random, letter_height: float) -> Picture:
    lowest = 30 + 2.5 * max(0.0, 20 - letter_height)
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "JPEG", quality=round(rng.uniform(lowest, 95)))
    return np.asarray(Image.open(packed))
