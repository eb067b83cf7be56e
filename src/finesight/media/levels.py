# SPDX-License-Identifier: Apache-2.0
"""Converts stored pixel values to 8-bit RGB on white.

Gray values of more than 8 bits are scaled, not clipped: in a 12-bit file 4,095 is white. TIFF
values may go from white to black; they are then inverted. Floats and integers of 32 bits do not
specify the value of white; `assumed_range` then estimates it from all but a few values. PNG
may define one stored value as transparent; it is compared before scaling.

Source: TIFF 6.0, PhotometricInterpretation and BitsPerSample; PNG specification, tRNS.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO = 0
_UNSIGNED = 1
_LARGEST = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16))
_FEWEST_FOR_AN_OUTLIER = 16  # pixels
_TOLERANCE = 1.1  # tolerance beyond the range, relative to it


def stored_bits(image: Image.Image) -> int:
    """Bits per sample in the file; must be called before the pixels are loaded."""
    if isinstance(image, TiffImageFile):
        return int(np.atleast_1d(image.tag_v2.get(_BITS_PER_SAMPLE, 1))[0])
    if isinstance(image, PngImageFile) and image.tile:
        packed = re.search(r";(\d+)", str(image.tile[0].args))  # L;2, L;4, RGB;16B
        return int(packed[1]) if packed else 8
    return 16 if image.mode.startswith("I;16") else 8


def to_rgb(image: Image.Image, bits: int) -> Image.Image:
    """A loaded picture as RGB; transparent parts are white.

    Args:
        image: of any mode.
        bits: from `stored_bits`.
    """
    if is_deep(image):
        return Image.fromarray(_deep_gray(image, bits)).convert("RGB")
    if image.mode == "La":  # Pillow has no other conversion
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = _with_scaled_key(image, bits).convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _with_scaled_key(image: Image.Image, bits: int) -> Image.Image:
    """Scale PNG's transparent value to the depth of the loaded pixels.

    Pillow keeps the upper 8 bits of 16-bit colours, so values close to the key count as the key.
    """
    key = image.info.get("transparency")
    if bits in (2, 4) and image.mode == "L" and isinstance(key, int):
        scaled: object = key * 255 // (2**bits - 1)
    elif bits == 16 and image.mode == "RGB" and isinstance(key, tuple):
        scaled = tuple(value >> 8 for value in key)
    else:
        return image
    image = image.copy()  # do not change the caller's picture
    image.info["transparency"] = scaled
    return image


def assumed_range(image: Image.Image, bits: int) -> str:
    """The values assumed for black and white if the file does not specify them; empty if it does.

    Args:
        image: loaded, of any mode.
        bits: from `stored_bits`.
    """
    if not is_deep(image):
        return ""
    values = _stored_values(image, bits)
    if _full_range(image, values, bits) is not None:
        return ""
    gray, (low, high) = _finite(values), _likely_range(values)
    outside = int(np.count_nonzero((gray < low) | (gray > high)))
    clipped = f"; {outside:,} of {values.size:,} values lie outside and are clipped"
    return (
        f"the picture does not say how dark or bright its values are: {low:g} to {high:g} is taken for the full range"
        f"{clipped if outside else ''}"
    )


def is_deep(image: Image.Image) -> bool:
    """Whether gray of more than 8 bits, or floats, is stored; needs no pixels."""
    return image.mode.startswith("I") or image.mode == "F"


def states_white(image: Image.Image) -> bool:
    """Whether the format of a deep picture specifies the value of white; needs no pixels."""
    return image.mode.startswith("I;16") or image.format in ("PPM", "PNG")


def _deep_gray(image: Image.Image, bits: int) -> NDArray[np.uint8]:
    """Gray of more than 8 bits as `uint8[H, W]`."""
    values = _stored_values(image, bits)
    full = _full_range(image, values, bits)
    gray = _to_bytes(values, *(_likely_range(values) if full is None else (0.0, full)))
    if isinstance(image, TiffImageFile) and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        gray = 255 - gray
    key = image.info.get("transparency")
    if isinstance(key, int):
        gray[values == key] = 255
    return gray


def _stored_values(image: Image.Image, bits: int) -> NDArray[np.generic]:
    values: NDArray[np.generic] = np.asarray(image)
    is_unsigned = isinstance(image, TiffImageFile) and _tag(image, _SAMPLE_FORMAT) == _UNSIGNED
    if is_unsigned and bits == 32 and image.mode == "I":
        values = values.view(np.uint32)  # Pillow has no unsigned mode of 32 bits
    return values


def _tag(image: Image.Image, number: int) -> int | None:
    """One value of a tag of a TIFF; a missing sample format means unsigned."""
    assert isinstance(image, TiffImageFile)
    value = image.tag_v2.get(number, _UNSIGNED if number == _SAMPLE_FORMAT else None)
    first: int | None = value[0] if isinstance(value, tuple) else value
    return first


def _full_range(image: Image.Image, values: NDArray[np.generic], bits: int) -> float | None:
    """The value of white, if the format specifies it; else None."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return 2.0**bits - 1 if bits in range(9, 17) else 65535.0
    if image.format in ("PPM", "PNG"):
        return 65535.0 if np.issubdtype(values.dtype, np.integer) else 1.0
    return None


def _likely_range(values: NDArray[np.generic]) -> tuple[float, float]:
    """The most likely values of black and white.

    0..1 (floats only), or 0 to the largest value of 8, 10, 12, 14 or 16 bits, the depths of cameras and scanners: the
    smallest of these ranges that the values fit.

    One value in a hundred may be an outlier, and at least one in any but a tiny picture: a dead pixel, or a marker for
    no data. The others may exceed the range by a tenth, as resampling does at edges. If no range fits, it is that
    from the least to the largest value.
    """
    gray = _finite(values).ravel()
    few = max(gray.size // 100, int(gray.size >= _FEWEST_FOR_AN_OUTLIER))
    ordered = np.partition(gray, (few, gray.size - 1 - few))
    low, high = float(ordered[few]), float(ordered[gray.size - 1 - few])
    limits = (1.0, *_LARGEST) if np.issubdtype(values.dtype, np.floating) else _LARGEST
    fitting = [limit for limit in limits if high <= _TOLERANCE * limit]
    return (0.0, fitting[0]) if fitting and low >= (1 - _TOLERANCE) * max(high, 0) else (low, high)


def _finite(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """As floats; NaN becomes 0."""
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _to_bytes(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """Scale `low`..`high` to 0..255; values outside are clipped."""
    scaled = (_finite(values) - low) * (255.0 / ((high - low) or 1.0))
    eight_bits: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return eight_bits
