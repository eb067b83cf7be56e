# SPDX-License-Identifier: Apache-2.0
"""From the values a picture file stores to 8-bit RGB on white.

Gray values of more than 8 bits are scaled, not cut off: a 12-bit file reaches white at 4,095. TIFF
may count from white to black; the values are then turned over. PNG may name one stored value as
transparent; it is looked for among the stored values, before they are scaled.

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


def stored_bits(image: Image.Image) -> int:
    """Bits per sample in the file; has to be asked before the pixels are loaded."""
    if isinstance(image, TiffImageFile):
        return int(np.atleast_1d(image.tag_v2.get(_BITS_PER_SAMPLE, 1))[0])
    if isinstance(image, PngImageFile) and image.tile:
        packed = re.search(r";(\d+)", str(image.tile[0].args))  # L;2, L;4, RGB;16B
        return int(packed[1]) if packed else 8
    return 16 if image.mode.startswith("I;16") else 8


def to_rgb(image: Image.Image, bits: int) -> Image.Image:
    """A loaded picture as RGB; what is transparent shows white.

    Args:
        image: of any mode.
        bits: from `stored_bits`.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_deep_gray(image, bits)).convert("RGB")
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = _with_scaled_key(image, bits).convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _with_scaled_key(image: Image.Image, bits: int) -> Image.Image:
    """Bring PNG's transparent value to the depth that its pixels were loaded at.

    Of 16-bit colours Pillow keeps the upper 8 bits, so that neighbours of the key count as the key.
    """
    key = image.info.get("transparency")
    if bits in (2, 4) and image.mode == "L" and isinstance(key, int):
        scaled: object = key * 255 // (2**bits - 1)
    elif bits == 16 and image.mode == "RGB" and isinstance(key, tuple):
        scaled = tuple(value >> 8 for value in key)
    else:
        return image
    image = image.copy()  # the caller's own record of the file stays
    image.info["transparency"] = scaled
    return image


def _deep_gray(image: Image.Image, bits: int) -> NDArray[np.uint8]:
    """Gray of more than 8 bits as `uint8[H, W]`."""
    values: NDArray[np.generic] = np.asarray(image)
    is_tiff = isinstance(image, TiffImageFile)
    if is_tiff and bits == 32 and image.mode == "I" and _tag(image, _SAMPLE_FORMAT) == _UNSIGNED:
        values = values.view(np.uint32)  # Pillow has no unsigned mode of 32 bits
    gray = _to_bytes(values, _full_range(image, values, bits))
    if is_tiff and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        gray = 255 - gray
    key = image.info.get("transparency")
    if isinstance(key, int):
        gray[values == key] = 255
    return gray


def _tag(image: Image.Image, number: int) -> int | None:
    """One value of a tag of a TIFF; unsigned where a file says nothing of its sample format."""
    assert isinstance(image, TiffImageFile)
    value = image.tag_v2.get(number, _UNSIGNED if number == _SAMPLE_FORMAT else None)
    first: int | None = value[0] if isinstance(value, tuple) else value
    return first


def _full_range(image: Image.Image, values: NDArray[np.generic], bits: int) -> float | None:
    """The value that is white, where the format says it; else None."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return 2.0**bits - 1 if bits in range(9, 17) else 65535.0
    if image.format in ("PPM", "PNG"):
        return 65535.0 if np.issubdtype(values.dtype, np.integer) else 1.0
    return None


def _to_bytes(values: NDArray[np.generic], full: float | None) -> NDArray[np.uint8]:
    """Scale values to 0..255.

    Without a stated range it is read off the values: 0..1 (floats only), 0..255 or 0..65535 where
    they fit, else from the least to the largest.
    """
    gray = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(gray.min()), float(gray.max())
    if full is not None:
        low, high = 0.0, full
    elif low >= 0:
        is_float = np.issubdtype(values.dtype, np.floating)
        limits = (1.0, 255.0, 65535.0) if is_float else (255.0, 65535.0)
        fitting = [limit for limit in limits if high <= limit]
        low, high = (0.0, fitting[0]) if fitting else (low, high)
    scaled = (gray - low) * (255.0 / ((high - low) or 1.0))
    eight_bits: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return eight_bits
