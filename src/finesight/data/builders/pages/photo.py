# SPDX-License-Identifier: Apache-2.0
"""A drawn page as a photo or scan shows it: perspective, shadow, then blur, noise and JPEG."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
from PIL import Image

from finesight.data.builders.paper import Colour, wear

__all__ = ["Perspective", "shade"]

Picture = npt.NDArray[np.uint8]
MOST_INSET = 0.045
"""Largest shift of a corner towards the middle, as a share of the side."""


class Perspective:
    """Moves the corners of a picture inwards, by a projective map.

    Args:
        rng: random generator of the shifts.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        strength: 0 moves nothing, 1 up to `MOST_INSET`.
    """

    def __init__(self, rng: random.Random, width: int, height: int, strength: float) -> None:
        self._corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
        inward = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], np.float64)
        shifts = np.array([(rng.random(), rng.random()) for _ in range(4)]) * inward
        self._targets = self._corners + shifts * (width, height) * MOST_INSET * strength
        self._map = _projective(self._corners, self._targets)

    def points(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Where points `float64[n, 2]` are moved to."""
        lifted = np.column_stack((points, np.ones(len(points)))) @ self._map.T
        moved: npt.NDArray[np.float64] = lifted[:, :2] / lifted[:, 2:]
        return moved

    def picture(self, image: Picture, border: Colour) -> Picture:
        """The moved picture, of the same size, `uint8[H, W, 3]`; what it does not cover has the colour `border`."""
        backward = _projective(self._targets, self._corners)
        moved = Image.fromarray(image).transform(
            (image.shape[1], image.shape[0]),
            Image.Transform.PERSPECTIVE,
            tuple((backward / backward[2, 2]).ravel()[:8]),
            Image.Resampling.BICUBIC,
            fillcolor=border,
        )
        return np.asarray(moved)


def shade(image: Picture, rng: random.Random, strength: float) -> Picture:
    """Uneven light across the picture, then blur, noise and JPEG: `uint8[H, W, 3]`."""
    height, width = image.shape[:2]
    if rng.random() < 0.7:
        angle = rng.uniform(0, 2 * np.pi)
        across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * np.float32(
            np.cos(angle)
        )
        down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
        slope = np.clip((across + down) * rng.uniform(0.8, 4) + rng.uniform(0.2, 0.8), 0, 1)
        light = 1 - rng.uniform(0.1, 0.45) * strength * slope
        image = (image * light[:, :, None]).astype(np.uint8)
    return wear(image, rng, strength)


def _projective(
    source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The projective map `float64[3, 3]` that takes four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.array(rows), np.array(values))
    return np.append(solved, 1.0).reshape(3, 3)
