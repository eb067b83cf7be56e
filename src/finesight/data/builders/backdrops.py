# SPDX-License-Identifier: Apache-2.0
"""Backgrounds without letters: plain paper, gradients, crops of photographs, panels like those of a screen."""

from __future__ import annotations

import math
import random
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from finesight.data.builders.paper import Colour, Picture, background
from finesight.data.sources.photos import Photo, load_photo

__all__ = ["Backdrop", "any_colour", "gradient", "photo_crop", "plain", "screen"]

Backdrop = Literal["plain", "gradient", "photo", "screen"]
"""Kind of a background."""


def any_colour(rng: random.Random) -> Colour:
    """A colour: grey, near white, near black, or saturated, a quarter each."""
    roll = rng.random()
    if roll < 0.25:
        grey = rng.randrange(256)
        return grey, grey, grey
    if roll < 0.5:
        return _near(rng, 255)
    if roll < 0.75:
        return _near(rng, 0)
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _near(rng: random.Random, end: int) -> Colour:
    """A colour whose channels differ from `end`, 0 or 255, by less than 56."""
    first, second, third = (abs(end - rng.randrange(56)) for _ in range(3))
    return first, second, third


def plain(rng: random.Random, size: tuple[int, int]) -> Picture:
    """Paper of one colour, often with a soft texture; `uint8[H, W, 3]`."""
    return background(rng, any_colour(rng), size, rng.random())


def gradient(rng: random.Random, size: tuple[int, int]) -> Picture:
    """Two colours, blended along a direction or from a centre; `uint8[H, W, 3]`."""
    width, height = size
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    if rng.random() < 0.7:
        angle = rng.uniform(0, 2 * math.pi)
        ramp = across * math.cos(angle) + down * math.sin(angle)
        ramp = (ramp / (abs(math.cos(angle)) + abs(math.sin(angle))) + 1) / 2
    else:
        centre_x, centre_y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        ramp = np.minimum(np.hypot(across - centre_x, down - centre_y) / rng.uniform(1, 2.5), 1)
    first = np.array(any_colour(rng), np.float32)
    second = np.array(any_colour(rng), np.float32)
    mixed: Picture = (first + (second - first) * ramp[:, :, None]).astype(np.uint8)
    return mixed


def photo_crop(rng: random.Random, size: tuple[int, int], photo: Photo) -> Picture:
    """A crop of a photograph at a random scale, mirrored, with other brightness and colours; `uint8[H, W, 3]`."""
    width, height = size
    source = load_photo(photo.path)
    rows, columns = source.shape[:2]
    most = min(columns / width, rows / height)
    zoom = most if most < 0.4 else rng.uniform(0.4, min(most, 2.5))
    box_width, box_height = max(1, int(width * zoom)), max(1, int(height * zoom))
    left, top = rng.randint(0, columns - box_width), rng.randint(0, rows - box_height)
    crop = Image.fromarray(source[top : top + box_height, left : left + box_width])
    pixels = np.asarray(crop.resize(size, Image.Resampling.BILINEAR))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.2:
        pixels = pixels[::-1]
    if rng.random() < 0.3:
        pixels = pixels[:, :, rng.sample(range(3), 3)]
    gain, offset = rng.uniform(0.6, 1.2), rng.uniform(-25, 25)
    levels = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)
    changed: Picture = levels[pixels]
    return changed


def screen(rng: random.Random, size: tuple[int, int]) -> Picture:
    """A panel in a light or dark theme with bars, boxes, lines, switches and dots; `uint8[H, W, 3]`."""
    is_dark = rng.random() < 0.4
    base = _near(rng, 0 if is_dark else 255)
    image = Image.new("RGB", size, base)
    pen = ImageDraw.Draw(image)
    accent = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    shades = [base, accent, _shifted(rng, base), _shifted(rng, base), any_colour(rng)]
    if rng.random() < 0.5:  # a bar along one side
        _bar(rng, pen, size, rng.choice(shades))
    for _ in range(rng.randint(2, 4 + size[0] * size[1] // 12_000)):
        rng.choice((_box, _box, _line, _switch, _dots))(rng, pen, size, rng.choice(shades))
    return np.asarray(image).copy()


def _shifted(rng: random.Random, colour: Colour) -> Colour:
    """A slightly lighter or darker colour."""
    step = rng.choice((-1, 1)) * rng.randint(8, 60)
    red, green, blue = (min(max(value + step, 0), 255) for value in colour)
    return red, green, blue


def _bar(rng: random.Random, pen: ImageDraw.ImageDraw, size: tuple[int, int], fill: Colour) -> None:
    width, height = size
    thick = rng.randint(8, 48)
    pen.rectangle(
        rng.choice(
            (
                (0, 0, width, thick),
                (0, height - thick, width, height),
                (0, 0, thick, height),
                (width - thick, 0, width, height),
            )
        ),
        fill=fill,
    )


def _box(rng: random.Random, pen: ImageDraw.ImageDraw, size: tuple[int, int], fill: Colour) -> None:
    left, top = rng.randint(-20, size[0]), rng.randint(-20, size[1])
    right = left + rng.randint(12, max(24, size[0] // 2))
    bottom = top + rng.randint(8, max(16, size[1] // 2))
    outline = _shifted(rng, fill)
    pen.rounded_rectangle(
        (left, top, right, bottom),
        radius=rng.choice((0, 0, 3, 6, 12)),
        fill=fill if rng.random() < 0.7 else None,
        outline=outline,
        width=rng.randint(1, 2),
    )


def _line(
    rng: random.Random, pen: ImageDraw.ImageDraw, size: tuple[int, int], fill: Colour
) -> None:
    at = rng.randint(0, size[1]) if (is_level := rng.random() < 0.7) else rng.randint(0, size[0])
    ends = (0, at, size[0], at) if is_level else (at, 0, at, size[1])
    pen.line(ends, fill=_shifted(rng, fill), width=rng.randint(1, 3))


def _switch(
    rng: random.Random, pen: ImageDraw.ImageDraw, size: tuple[int, int], fill: Colour
) -> None:
    high = rng.randint(8, 24)
    left, top = rng.randint(0, size[0]), rng.randint(0, size[1])
    pen.rounded_rectangle((left, top, left + 2 * high, top + high), high // 2, fill=fill)
    knob = left + 1 if rng.random() < 0.5 else left + high
    pen.ellipse((knob, top + 1, knob + high - 2, top + high - 1), fill=_shifted(rng, fill))


def _dots(
    rng: random.Random, pen: ImageDraw.ImageDraw, size: tuple[int, int], fill: Colour
) -> None:
    side, left, top = rng.randint(3, 14), rng.randint(0, size[0]), rng.randint(0, size[1])
    draw = pen.ellipse if rng.random() < 0.6 else pen.rectangle
    for number in range(rng.randint(1, 4)):
        x = left + number * 2 * side
        draw((x, top, x + side, top + side), fill=fill)
