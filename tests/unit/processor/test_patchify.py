# SPDX-License-Identifier: Apache-2.0
"""Where each pixel goes, and that a video may come frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.config.sizes import named_config
from finesight.errors import LayoutError
from finesight.geometry import Size
from finesight.processor.patchify import (
    grid_of,
    patchify_image,
    patchify_video,
    resize_frames,
    resize_image,
)

VISION = named_config("3b").vision
PLAIN = ProcessorConfig(image_mean=(0, 0, 0), image_std=(1 / 255, 1 / 255, 1 / 255))
"""Normalisation that leaves byte values as they are."""


def pixel(patches, grid, frame, colour, y, x):
    """The value of one pixel, found by the layout's own rule, step by step."""
    _, _, columns = grid
    cell_row, cell_column = y // 28, x // 28
    inside = (y // 14 % 2) * 2 + x // 14 % 2
    patch = (
        (frame // 2) * grid[1] * columns + (cell_row * (columns // 2) + cell_column) * 4 + inside
    )
    value = colour * 392 + (frame % 2) * 196 + (y % 14) * 14 + x % 14
    return patches[patch, value].item()


def test_every_pixel_of_a_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (56, 84, 3), dtype=np.uint8)
    patches, grid = patchify_image(pixels, VISION, PLAIN)
    assert grid == (1, 4, 6)
    assert patches.shape == (24, 1176)
    assert patches.is_contiguous()
    for y, x, colour in ((0, 0, 0), (13, 14, 1), (27, 28, 2), (28, 83, 0), (55, 55, 1)):
        for frame in (0, 1):  # a picture is shown as two equal frames
            value = pixel(patches, grid, frame, colour, y, x)
            assert value == pytest.approx(pixels[y, x, colour], abs=1e-3)


def test_every_pixel_of_a_video():
    frames = np.random.default_rng(0).integers(0, 256, (6, 28, 56, 3), dtype=np.uint8)
    patches, grid = patchify_video(iter(frames), 6, Size(56, 28), VISION, PLAIN)
    assert grid == (3, 2, 4)
    for frame in range(6):
        for y, x, colour in ((0, 0, 0), (27, 55, 2), (14, 30, 1)):
            value = pixel(patches, grid, frame, colour, y, x)
            assert value == pytest.approx(frames[frame, y, x, colour], abs=1e-3)


def test_normalisation():
    config = ProcessorConfig()
    black = np.zeros((28, 28, 3), dtype=np.uint8)
    patches, _ = patchify_image(black, VISION, config)
    for colour in range(3):
        expected = -config.image_mean[colour] / config.image_std[colour]
        values = patches[:, colour * 392 : (colour + 1) * 392]
        assert torch.allclose(values, torch.full_like(values, expected), atol=1e-6)


def test_odd_number_of_frames_repeats_the_last():
    frames = [np.full((28, 28, 3), value, dtype=np.uint8) for value in (1, 2, 3)]
    patches, grid = patchify_video(frames, 3, Size(28, 28), VISION, PLAIN)
    assert grid == (2, 2, 2)
    assert pixel(patches, grid, 2, 0, 0, 0) == pixel(patches, grid, 3, 0, 0, 0)


@pytest.mark.parametrize("given", [0, 3, 5, 40])
def test_wrong_number_of_frames_is_an_error(given):
    frames = [np.zeros((28, 28, 3), dtype=np.uint8)] * given
    with pytest.raises(LayoutError, match="instead of 4"):
        patchify_video(frames, 4, Size(28, 28), VISION, PLAIN)


@pytest.mark.parametrize("side", [0, 14, 30])
def test_sides_off_the_grid_are_refused(side):
    with pytest.raises(LayoutError, match=f"{side} pixels is not a multiple of 28"):
        grid_of(Size(28, side), 1, VISION)


def test_picture_of_the_right_size_is_not_resampled():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 56, 3), dtype=np.uint8))
    assert np.array_equal(resize_image(image, Size(56, 28)), np.asarray(image))


def test_frames_of_the_right_size_are_taken_as_they_are():
    frames = torch.zeros(2, 3, 28, 28, dtype=torch.uint8)
    assert resize_frames(frames, Size(28, 28)) is frames


def test_resized_frames_stay_in_range():
    frames = torch.randint(0, 2, (2, 3, 40, 40), dtype=torch.uint8) * 255
    resized = resize_frames(frames, Size(56, 28))
    assert resized.dtype == torch.uint8
    assert resized.shape == (2, 3, 28, 56)
    flat = resize_frames(torch.full((2, 3, 40, 40), 255, dtype=torch.uint8), Size(56, 28))
    assert (flat == 255).all()  # overshoot of the kernel is clamped, not wrapped round
