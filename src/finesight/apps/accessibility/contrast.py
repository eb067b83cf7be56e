# SPDX-License-Identifier: Apache-2.0
"""Contrast of a text with its background, measured from pixels by the formula of WCAG 2.

The background is the most frequent colour of the box. The text is the colour that differs most from it: edges of
letters are blended with the background, so that a mean would be too low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from finesight.geometry import Box, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEAST_CONTRAST", "Contrast", "contrast_of"]

Colour: TypeAlias = tuple[int, int, int]

LEAST_CONTRAST = 4.5
"""Ratio that WCAG 2 asks of text of ordinary size (success criterion 1.4.3)."""

_LEAST_BACKGROUND = 0.3
"""Share of a box that its most frequent colour must have; a photograph has no one background."""
_LEAST_PIXELS = 3
"""Pixels of the text's colour; fewer are noise."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A text's contrast.

    Attributes:
        ratio: from 1 to 21.
        text: its colour, red, green and blue from 0 to 255.
        background: likewise.
    """

    ratio: float
    text: Colour
    background: Colour

    @property
    def is_low(self) -> bool:
        """Whether it is below what WCAG 2 asks of text."""
        return self.ratio < LEAST_CONTRAST

    def __str__(self) -> str:
        return f"{self.ratio:.1f}, {_hex(self.text)} on {_hex(self.background)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        colours = {"text": _hex(self.text), "background": _hex(self.background)}
        return {"ratio": round(self.ratio, 2), **colours, "is_low": self.is_low}


def contrast_of(pixels: NDArray[np.uint8], box: Box) -> Contrast | None:
    """Contrast of the text in a box; None if it has no even background, or nothing is drawn on it.

    Args:
        pixels: uint8[H, W, 3], the screenshot.
        box: of the text, in its pixels.
    """
    height, width = pixels.shape[:2]
    inside, _ = box.clipped(Size(width, height))
    rows, columns = slice(int(inside.y1), int(inside.y2)), slice(int(inside.x1), int(inside.x2))
    colours = pixels[rows, columns].reshape(-1, 3)
    if len(colours) < _LEAST_PIXELS:
        return None
    coarse, counts = np.unique(colours // 8, axis=0, return_counts=True)
    common = int(counts.argmax())
    if counts[common] < _LEAST_BACKGROUND * len(colours):
        return None
    background = np.median(colours[(colours // 8 == coarse[common]).all(axis=1)], axis=0)
    ratios = _ratios(colours, background)
    farthest = np.argsort(ratios)[-_LEAST_PIXELS]
    if (colours[farthest] // 8 == coarse[common]).all():
        return None
    return Contrast(float(ratios[farthest]), _colour(colours[farthest]), _colour(background))


def _ratios(colours: NDArray[np.uint8], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """WCAG contrast of each colour, float64[N], with the background."""
    one, other = _luminance(colours), _luminance(background)
    ratios: NDArray[np.float64] = (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)
    return ratios


def _luminance(colours: NDArray[Any]) -> NDArray[np.float64]:
    """Relative luminance of sRGB colours [..., 3], from 0 to 1."""
    shares = np.asarray(colours, dtype=np.float64) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    found: NDArray[np.float64] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return found


def _colour(values: NDArray[Any]) -> Colour:
    red, green, blue = (round(float(one)) for one in values)
    return red, green, blue


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{one:02x}" for one in colour)
