# SPDX-License-Identifier: Apache-2.0
"""Cuts pixels into patches: one row of numbers per 14 x 14 pixels of two frames.

Patches come in *merge order*: the 2 x 2 patches that become one visual token are neighbours, tokens
run left to right and top to bottom, frame pairs one after the other. A picture counts as two
equal frames. The values of a row run over (colour, frame, row, column).

The permutation is done on bytes before the conversion to floats, which moves a quarter of the
memory.

Legend: F frames, T = F / 2 frame pairs, N = t * h * w patches, P = 3 * 2 * 14 * 14 values of a
patch. Source: Qwen2-VL image processor of transformers; parity: tests/parity/test_patches.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from finesight.config.model import VisionConfig
from finesight.config.processor import ProcessorConfig
from finesight.errors import LayoutError
from finesight.geometry import Size

Grid = tuple[int, int, int]

_PAIRS_AT_ONCE = 1
"""Frame pairs resized together; more use a quarter of a gigabyte for 1080p and are not faster."""


def patchify_image(
    pixels: np.ndarray, vision: VisionConfig, config: ProcessorConfig
) -> tuple[Tensor, Grid]:
    """Cut one picture that already has its final size.

    Args:
        pixels: uint8[H, W, 3], sides multiples of `vision.resize_factor`.
        vision: patch sizes.
        config: mean and standard deviation.

    Returns:
        float32[N, P] patches and the grid `(1, H / 14, W / 14)`.

    Raises:
        LayoutError: a side is not a multiple of the grid step.
    """
    writable = np.require(pixels, requirements=["C", "W"])  # torch warns about read-only memory
    frames = torch.from_numpy(writable).permute(2, 0, 1)[None]  # uint8[1, 3, H, W]
    grid = grid_of(Size(width=pixels.shape[1], height=pixels.shape[0]), 1, vision)
    rows = _normalise(_to_rows(frames, vision), config)  # [N, 3, 1, 196]
    repeated = rows.expand(-1, -1, vision.temporal_patch_size, -1)
    return repeated.reshape(rows.shape[0], -1), grid


def patchify_video(
    frames: Iterable[np.ndarray],
    num_frames: int,
    resized: Size,
    vision: VisionConfig,
    config: ProcessorConfig,
) -> tuple[Tensor, Grid]:
    """Resize and cut frames as they are decoded, a few pairs at a time.

    Args:
        frames: uint8[H, W, 3] each, `num_frames` of them; a last odd frame is repeated.
        num_frames: their number.
        resized: size the model sees, sides multiples of `vision.resize_factor`.
        vision: patch sizes.
        config: mean and standard deviation.

    Returns:
        float32[N, P] patches and the grid `(num_frames / 2, H / 14, W / 14)`.

    Raises:
        LayoutError: `frames` has another number of frames.
    """
    grid = grid_of(resized, -(-num_frames // vision.temporal_patch_size), vision)
    patches = torch.empty(grid[0] * grid[1] * grid[2], vision.patch_values)
    filled = 0
    for rows in stream_video(frames, num_frames, resized, vision, config):
        patches[filled : filled + rows.shape[0]] = rows
        filled += rows.shape[0]
    return patches, grid


def stream_video(
    frames: Iterable[np.ndarray],
    num_frames: int,
    resized: Size,
    vision: VisionConfig,
    config: ProcessorConfig,
) -> Iterator[Tensor]:
    """As `patchify_video`, but yields float32[n, P] patches of a few frame pairs at a time.

    Raises:
        LayoutError: `frames` has another number of frames; found when they are read.
    """
    step = vision.temporal_patch_size
    seen = 0
    for chunk in _chunks(frames, step * _PAIRS_AT_ONCE):
        seen += len(chunk)
        if seen > num_frames:
            break
        chunk += [chunk[-1]] * (-len(chunk) % step)
        stacked = torch.from_numpy(np.stack(chunk)).permute(0, 3, 1, 2)  # uint8[F, 3, H, W]
        yield _normalise(_to_rows(resize_frames(stacked, resized), vision), config).flatten(1)
    if seen != num_frames:
        raise LayoutError(f"the video has {seen} frames instead of {num_frames}")


def resize_image(image: Image.Image, resized: Size) -> np.ndarray:
    """Bicubic resize of an RGB picture to uint8[H, W, 3]; skipped if it has that size."""
    if image.size != (resized.width, resized.height):
        image = image.resize((resized.width, resized.height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def resize_frames(frames: Tensor, resized: Size) -> Tensor:
    """Antialiased bicubic resize of uint8[F, 3, H, W] frames, rounded to uint8 again."""
    target = (resized.height, resized.width)
    if tuple(frames.shape[-2:]) == target:
        return frames
    smooth = functional.interpolate(frames.float(), target, mode="bicubic", antialias=True)
    return smooth.clamp_(0, 255).round_().to(torch.uint8)


def grid_of(resized: Size, num_pairs: int, vision: VisionConfig) -> Grid:
    """Grid of a picture (one pair) or video of a given size.

    Raises:
        LayoutError: a side is not a multiple of the grid step.
    """
    for side in (resized.height, resized.width):
        if side % vision.resize_factor or side < 1:
            raise LayoutError(
                f"a side of {side} pixels is not a multiple of {vision.resize_factor}",
                hint="resize with smart_resize first",
            )
    return num_pairs, resized.height // vision.patch_size, resized.width // vision.patch_size


def _to_rows(frames: Tensor, vision: VisionConfig) -> Tensor:
    """uint8[F, 3, H, W] to uint8[N, 3, f, 196], f frames per patch (1 for a picture)."""
    size, merge = vision.patch_size, vision.spatial_merge_size
    num_frames, channels, height, width = frames.shape
    per_patch = min(num_frames, vision.temporal_patch_size)
    cells_high, cells_wide = height // (size * merge), width // (size * merge)
    blocks = frames.reshape(
        num_frames // per_patch,
        per_patch,
        channels,
        cells_high,
        merge,
        size,
        cells_wide,
        merge,
        size,
    )
    # to (pair, cell row, cell column, row in cell, column in cell, colour, frame, y, x)
    ordered = blocks.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return ordered.reshape(-1, channels, per_patch, size * size)


def _normalise(rows: Tensor, config: ProcessorConfig) -> Tensor:
    """(value / 255 - mean) / std per colour, as one subtraction and one multiplication."""
    mean, inverse_std = _statistics(config.image_mean, config.image_std)
    return rows.to(torch.float32).sub_(mean).mul_(inverse_std)


@lru_cache(maxsize=8)
def _statistics(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation of byte values, float32[3, 1, 1] each, rounded from float64."""
    scaled_mean = torch.tensor(mean, dtype=torch.float64) * 255
    inverse_std = 1 / (torch.tensor(std, dtype=torch.float64) * 255)
    return scaled_mean.float().view(-1, 1, 1), inverse_std.float().view(-1, 1, 1)


def _chunks(frames: Iterable[np.ndarray], length: int) -> Iterator[list[np.ndarray]]:
    iterator = iter(frames)
    for first in iterator:
        yield list(chain((first,), islice(iterator, length - 1)))
