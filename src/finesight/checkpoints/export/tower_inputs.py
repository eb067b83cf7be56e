# SPDX-License-Identifier: Apache-2.0
"""Inputs of a vision tower of Qwen2.5-VL in ONNX, with NumPy and Pillow alone.

This file is written beside `vision.onnx` and imports nothing of finesight:

    import onnxruntime
    from PIL import Image
    from tower_inputs import read_config, picture_inputs

    session = onnxruntime.InferenceSession("vision.onnx")
    inputs, grid = picture_inputs(Image.open("a.png"), read_config("preprocessor_config.json"))
    (tokens,) = session.run(None, inputs)       # one row for each visual token, row by row of the picture

Resizing is that of the released processor: sides become multiples of 28 pixels, the area stays inside the limits.

Legend: N patches, P values of a patch, W windows, F frame pairs.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

_MERGE = 2
"""Side of a visual token in patches."""


def read_config(path: str) -> dict[str, Any]:
    """The processor's configuration, beside the model."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # a path as users write it
        return dict(json.load(file))


def picture_inputs(
    picture: Image.Image, config: dict[str, Any]
) -> tuple[dict[str, Array], tuple[int, int, int]]:
    """Inputs of the model for one picture, and its grid: frame pairs, rows and columns of patches."""
    side = config["patch_size"]
    width, height = resized(
        *picture.size, side * _MERGE, config["min_pixels"], config["max_pixels"]
    )
    rgb = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(rgb, dtype=np.float32) / 255
    pixels = (pixels - np.float32(config["image_mean"])) / np.float32(config["image_std"])
    grid = (1, height // side, width // side)
    frames = np.repeat(pixels[None], config["temporal_patch_size"], axis=0)
    positions, windows, whole = grid_inputs(grid, config["window_size"] // side)
    inputs = {
        "patches": patches_of(frames, grid, side),
        "positions": positions,
        "windows": windows,
        "frames": whole,
    }
    return inputs, grid


def resized(width: int, height: int, factor: int, least: int, most: int) -> tuple[int, int]:
    """Width and height as multiples of a factor, with an area between two limits in pixels."""
    new = [max(factor, round(side / factor) * factor) for side in (width, height)]
    if new[0] * new[1] > most:
        scale = math.sqrt(width * height / most)
        new = [max(factor, math.floor(side / scale / factor) * factor) for side in (width, height)]
    elif new[0] * new[1] < least:
        scale = math.sqrt(least / (width * height))
        new = [math.ceil(side * scale / factor) * factor for side in (width, height)]
    return new[0], new[1]


def patches_of(frames: Array, grid: tuple[int, int, int], side: int) -> Array:
    """float32[N, P] of normalised frames float32[2 * pairs, height, width, 3], by visual tokens."""
    pairs, rows, columns = grid
    parts = frames.reshape(
        pairs, -1, rows // _MERGE, _MERGE, side, columns // _MERGE, _MERGE, side, 3
    )
    ordered = parts.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return np.ascontiguousarray(ordered.reshape(pairs * rows * columns, -1), dtype=np.float32)


def grid_inputs(grid: tuple[int, int, int], window: int) -> tuple[Array, Array, Array]:
    """Positions int64[N, 2], windows int64[W, window * window] and frames int64[F, rows * columns].

    Args:
        grid: frame pairs, rows and columns of patches.
        window: side of a window in patches.
    """
    pairs, rows, columns = grid
    place = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    cells = place.reshape(rows // _MERGE, _MERGE, columns // _MERGE, _MERGE, 2)
    position = cells.transpose(0, 2, 1, 3, 4).reshape(-1, 2)  # in the order of the patches
    window_of = position[:, 0] // window * -(-columns // window) + position[:, 1] // window
    count = -(-rows // window) * -(-columns // window)
    table = np.full((pairs, count, window * window), -1, dtype=np.int64)
    for index in range(count):
        members = np.flatnonzero(window_of == index)
        for pair in range(pairs):
            table[pair, index, : len(members)] = members + pair * len(position)
    frames = np.arange(pairs * len(position), dtype=np.int64).reshape(pairs, -1)
    return (
        np.tile(position, (pairs, 1)).astype(np.int64),
        table.reshape(-1, window * window),
        frames,
    )
