# SPDX-License-Identifier: Apache-2.0
"""Pixels that are already decoded: arrays of numpy, torch or another library that numpy can read."""

from __future__ import annotations

import numpy as np
from PIL import Image

from finesight.errors import UnsupportedMedia
from finesight.inputs import ArrayLike

_PICTURE_HINT = "a picture is uint8[height, width, 3] in RGB, or [height, width], or with alpha 4"


def array_name(array: ArrayLike) -> str:
    """Name of an array in messages, such as `array uint8[48, 64, 3]`."""
    return f"array {str(array.dtype).removeprefix('torch.')}{list(array.shape)}"


def picture_of_array(array: ArrayLike) -> Image.Image:
    """A picture from decoded pixels.

    Args:
        array: `uint8[H, W, 3]` in RGB, `uint8[H, W, 4]` with alpha, `uint8[H, W]` or
            `uint8[H, W, 1]` in gray.

    Raises:
        UnsupportedMedia: another type or shape, or memory that cannot be read, such as that of a GPU.
    """
    try:
        pixels = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # on a GPU, or part of a graph
        raise UnsupportedMedia(
            f"the {array_name(array)} cannot be read: {str(error).splitlines()[0]}",
            hint="give array.detach().cpu()",
        ) from error
    channels = pixels.shape[2:]
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and channels[0] in (1, 3, 4))
    if pixels.dtype != np.uint8 or not is_picture or not pixels.size:
        raise UnsupportedMedia(f"an {array_name(array)} is no picture", hint=_hint(pixels))
    return Image.fromarray(pixels[..., 0] if channels == (1,) else pixels)


def _hint(pixels: np.ndarray) -> str:
    """Hint for an array that is not a picture."""
    if pixels.ndim == 4:
        return "a video of this shape goes to videos=; several pictures are a list of arrays"
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] not in (1, 3, 4):
        return f"{_PICTURE_HINT}; move the channels last: array.transpose(1, 2, 0)"
    if np.issubdtype(pixels.dtype, np.floating):
        return f"{_PICTURE_HINT}; values of 0 to 1: (array * 255).round().astype('uint8')"
    return _PICTURE_HINT
