# SPDX-License-Identifier: Apache-2.0
"""Converts decoded frames to upright RGB pixels, or to thumbnails.

The display matrix of a file (its rotation) is applied, so that pixels and coordinates are
those of a player. Transparent parts become white, as in pictures. Colour matrix and range follow
the tags of the file. As in the reference, non-square pixels stay as stored. HDR is not tone-mapped.
"""

from __future__ import annotations

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from finesight.geometry import Size

THUMBNAIL_SIDE = 64
"""Longer side of a thumbnail, in pixels."""

_Matrix = tuple[tuple[int, int], tuple[int, int]]


class FrameConverter:
    """Turns frames into `uint8[H, W, 3]` of one size.

    Args:
        stored: size of the frames as stored, before rotation. A stream may change its size
            midway; such frames are scaled to this one, as players do.
    """

    def __init__(self, stored: Size) -> None:
        self._stored = stored
        self._reformatter = VideoReformatter()
        self._matrices: dict[int, _Matrix] = {}
        """By rotation: `side_data` refers to its frame and back, so that the frame would stay in memory until the
        garbage collector runs. A video has few rotations."""

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Convert one frame."""
        has_alpha = any(component.is_alpha for component in frame.format.components)
        converted = self._reformatter.reformat(
            frame,
            width=self._stored.width,
            height=self._stored.height,
            format="rgba" if has_alpha else "rgb24",
            interpolation=Interpolation.BICUBIC,
            src_color_range=frame.color_range,
            threads=1,
        )
        pixels: NDArray[np.uint8] = converted.to_ndarray().astype(np.uint8, copy=False)
        if has_alpha:
            pixels = _on_white(pixels)
        if frame.rotation not in self._matrices:
            self._matrices[frame.rotation] = _matrix(frame)
        return np.ascontiguousarray(_upright(pixels, self._matrices[frame.rotation]))


def upright_size(frame: VideoFrame) -> Size:
    """Size of a frame after rotation."""
    (_, column), _ = _matrix(frame)
    if column:
        return Size(frame.height, frame.width)
    return Size(frame.width, frame.height)


class Thumbnailer:
    """Turns frames into small pictures, `uint8[h, w, 3]`, each pixel the mean of its area."""

    def __init__(self, stored: Size) -> None:
        scale = THUMBNAIL_SIDE / max(stored.width, stored.height)
        self._width = max(1, round(stored.width * scale))
        self._height = max(1, round(stored.height * scale))
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Convert one frame."""
        small = self._reformatter.reformat(
            frame,
            width=self._width,
            height=self._height,
            format="rgb24",
            interpolation=Interpolation.AREA,
            src_color_range=frame.color_range,
            threads=1,
        )
        pixels: NDArray[np.uint8] = small.to_ndarray().astype(np.uint8, copy=False)
        return pixels


def _on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + 255 * (255 - alpha)
    opaque: NDArray[np.uint8] = ((mixed + 127) // 255).astype(np.uint8)
    return opaque


def _matrix(frame: VideoFrame) -> _Matrix:
    """Directions of the display matrix: `((x from x, x from y), (y from x, y from y))`, each -1, 0 or 1.

    A rotation is rounded to a multiple of 90 degrees.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return (1, 0), (0, 1)
    a, b, _, c, d = np.frombuffer(bytes(data), "<i4")[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1, 0), (0, -1 if d < 0 else 1)
    return (0, -1 if c < 0 else 1), (-1 if b < 0 else 1, 0)


def _upright(pixels: NDArray[np.uint8], matrix: _Matrix) -> NDArray[np.uint8]:
    (x_from_x, x_from_y), (y_from_x, y_from_y) = matrix
    if x_from_y:
        pixels = pixels.transpose(1, 0, 2)
    if x_from_x + x_from_y < 0:
        pixels = pixels[:, ::-1]
    if y_from_x + y_from_y < 0:
        pixels = pixels[::-1]
    return pixels
