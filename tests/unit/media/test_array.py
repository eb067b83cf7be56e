# SPDX-License-Identifier: Apache-2.0
"""Arrays are pictures and videos if they have the shape and type of pixels; else the error says which they need."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from finesight.conversation import VideoPart
from finesight.errors import UnsupportedMedia
from finesight.geometry import Size
from finesight.media.image import image_size, load_image
from finesight.media.pdf import num_pages
from finesight.media.source import source_name
from finesight.media.video import open_video


def filled(*shape: int, value: int = 7) -> np.ndarray:
    return np.full(shape, value, np.uint8)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
@pytest.mark.parametrize("shape", [(4, 6, 3), (4, 6), (4, 6, 1)])
def test_pixels_are_a_picture(library, shape):
    array = library(filled(*shape))
    assert load_image(array).getpixel((5, 3)) == (7, 7, 7)
    assert image_size(array) == Size(6, 4)
    assert source_name(array) == f"array uint8{list(shape)}"


def test_alpha_shows_white():
    array = filled(4, 6, 4)
    array[..., 3] = 0
    assert load_image(array).getpixel((0, 0)) == (255, 255, 255)


def test_a_view_is_read_as_it_looks():
    array = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(np.asarray(load_image(array[::-1, ::2])), array[::-1, ::2])


@pytest.mark.parametrize(
    ("array", "said", "hint"),
    [
        (np.zeros((4, 6, 3), np.float32), r"float32\[4, 6, 3\] is no picture", "255"),
        (np.zeros((4, 6), np.uint16), r"uint16\[4, 6\] is no picture", "uint8"),
        (filled(3, 4, 6), r"uint8\[3, 4, 6\] is no picture", "channels last"),
        (filled(2, 4, 6, 3), r"uint8\[2, 4, 6, 3\] is no picture", "videos="),
        (filled(4, 6, 2), r"uint8\[4, 6, 2\] is no picture", "uint8"),
        (filled(0, 6, 3), r"uint8\[0, 6, 3\] is no picture", "uint8"),
        (filled(6), r"uint8\[6\] is no picture", "uint8"),
        (torch.zeros(4, 6, 3), r"float32\[4, 6, 3\] is no picture", "255"),
        (torch.zeros(4, 6, 3, requires_grad=True), "cannot be read", "detach"),
    ],
)
def test_other_arrays_are_refused_with_what_is_expected(array, said, hint):
    with pytest.raises(UnsupportedMedia, match=said) as caught:
        load_image(array)
    assert hint in caught.value.hint


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_frames_are_a_video(config, library):
    frames = filled(4, 8, 12, 3)
    frames[:] = np.arange(4, dtype=np.uint8)[:, None, None, None]
    clip = open_video(VideoPart(source=library(frames), sample_fps=4.0), config)
    assert clip.size == Size(12, 8)
    assert [int(frame[0, 0, 0]) for frame in clip.frames()] == [0, 1, 2, 3]
    assert clip.clock.source_seconds == (0.0, 0.25, 0.5, 0.75)


def test_frames_without_a_rate_are_taken_at_the_usual_one_and_it_is_said(config):
    clip = open_video(VideoPart(source=filled(2, 8, 12, 3)), config)
    assert clip.notes == ("no timestamps: frames taken as 2 per second",)


def test_what_is_no_video_or_pdf(config):
    with pytest.raises(UnsupportedMedia, match=r"array uint8\[8, 12, 3\] is no video") as caught:
        open_video(VideoPart(source=filled(8, 12, 3)), config)
    assert "uint8[frames, height, width, 3]" in caught.value.hint
    with pytest.raises(UnsupportedMedia, match=r"frame 0 of 2: an array float64\[8, 12, 3\]"):
        open_video(VideoPart(source=np.zeros((2, 8, 12, 3))), config)
    with pytest.raises(UnsupportedMedia, match=r"array uint8\[8, 12, 3\] is no PDF"):
        num_pages(filled(8, 12, 3))


def test_a_list_of_frames_is_a_video_too(config):
    frames = [Image.new("RGB", (12, 8)), filled(8, 12, 3)]
    assert open_video(VideoPart(source=frames, sample_fps=1.0), config).num_frames == 2
