# SPDX-License-Identifier: Apache-2.0
"""Image augmentation: enlarge, shrink and move a stored picture, change its colours.

A small model memorises a drawn picture after two epochs. Moving the letters by a few pixels changes every patch, and
costs far less than drawing a new picture.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

from finesight.data.record import Glyph, SceneObject, Truth

_MOST_ENLARGED_PIXELS = 512 * 28 * 28
_MOST_SQUEEZE = 0.25
_MOST_STRETCH = 0.12


def enlarge(
    image: npt.NDArray[np.uint8],
    truth: Truth,
    random: np.random.Generator,
    letter_pixels: tuple[float, float],
) -> tuple[npt.NDArray[np.uint8], Truth]:
    """Enlarge a picture of small text and its truth, so that a visual token shows fewer letters.

    The distance of its letters is drawn from a range, evenly in its logarithm. A picture with larger letters is
    unchanged, and none gets more than 512 visual tokens. Only for pictures whose answers have no coordinates.

    Args:
        image: uint8[H, W, 3].
        truth: in pixels of `image`.
        random: generator of the distance.
        letter_pixels: least and greatest distance between the centres of neighbouring letters, in pixels.
    """
    least, most = letter_pixels
    wanted = math.exp(random.uniform(math.log(least), math.log(most)))
    height, width = image.shape[:2]
    factor = min(
        wanted / (_letter_distance(truth) or wanted),
        math.sqrt(_MOST_ENLARGED_PIXELS / (height * width)),
    )
    if factor <= 1:
        return image, truth
    size = round(width * factor), round(height * factor)
    larger = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    return larger, _moved(truth, (size[0] / width, size[1] / height), (0, 0))


def _letter_distance(truth: Truth) -> float | None:
    """Median distance between the centres of letters that follow each other; None without such letters."""
    glyphs = truth.glyphs or ()
    distances = [
        math.hypot(second.x - first.x, second.y - first.y)
        for first, second in pairwise(glyphs)
        if second.order == first.order + 1
    ]
    return statistics.median(distances) if distances else None


def squeeze(
    image: npt.NDArray[np.uint8], truth: Truth, random: np.random.Generator, strength: float
) -> tuple[npt.NDArray[np.uint8], Truth]:
    """Shrink a picture and its truth, and move them to a random place in a canvas of the old size.

    The border repeats the edge pixels. Only for pictures whose answers have no coordinates.

    Args:
        image: uint8[H, W, 3].
        truth: in pixels of `image`.
        random: generator of scale and place.
        strength: 0 changes nothing; 1 shrinks by up to 25%, and by up to 12% more in one direction.
    """
    height, width = image.shape[:2]
    scale = 1 - strength * _MOST_SQUEEZE * random.random() ** 2
    aspect = random.uniform(-1, 1) * strength * _MOST_STRETCH
    new_width = max(round(width * scale * min(1, 1 - aspect)), 1)
    new_height = max(round(height * scale * min(1, 1 + aspect)), 1)
    left = int(random.integers(0, width - new_width + 1))
    top = int(random.integers(0, height - new_height + 1))
    small = np.asarray(
        Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BILINEAR)
    )
    border = ((top, height - new_height - top), (left, width - new_width - left), (0, 0))
    moved = _moved(truth, (new_width / width, new_height / height), (left, top))
    return np.pad(small, border, mode="edge"), moved


def _moved(truth: Truth, factors: tuple[float, float], by: tuple[int, int]) -> Truth:
    """The truth of a picture that was scaled by `factors`, then shifted."""
    (factor_x, factor_y), (left, top) = factors, by
    if truth.glyphs is not None:
        glyphs = tuple(
            Glyph(item.char, item.x * factor_x + left, item.y * factor_y + top, item.order)
            for item in truth.glyphs
        )
        truth = replace(truth, glyphs=glyphs)
    if truth.objects is not None:
        objects = []
        for (x1, y1, x2, y2), name in truth.objects:
            start = math.floor(x1 * factor_x + left), math.floor(y1 * factor_y + top)
            end = math.ceil(x2 * factor_x + left), math.ceil(y2 * factor_y + top)
            objects.append(SceneObject((*start, *end), name))
        truth = replace(truth, objects=tuple(objects))
    return truth


def jitter(
    image: npt.NDArray[np.uint8],
    random: np.random.Generator,
    strength: float,
    *,
    may_invert: bool = True,
) -> npt.NDArray[np.uint8]:
    """Change contrast, brightness, polarity, colour balance and noise of a picture.

    Args:
        image: uint8[H, W, 3].
        random: generator of the changes.
        strength: 0 changes nothing, 1 is the full range.
        may_invert: whether the colours may be inverted.
    """
    if strength == 0 or random.random() > 0.8 * strength + 0.1:
        return image
    pixels = image.astype(np.float32)
    if may_invert and random.random() < 0.15 * strength:
        pixels = 255 - pixels
    gain = 1 + strength * random.uniform(-0.35, 0.1)
    offset = strength * random.uniform(-25, 25)
    tint = 1 + strength * random.uniform(-0.08, 0.08, size=3)
    pixels = (pixels - 128) * gain * tint.astype(np.float32) + 128 + offset
    if random.random() < 0.4 * strength:
        pixels += (
            random.standard_normal(image.shape, dtype=np.float32) * random.uniform(2, 14) * strength
        )
    return np.clip(pixels, 0, 255).astype(np.uint8)
