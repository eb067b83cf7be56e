# SPDX-License-Identifier: Apache-2.0
"""Number, range and indices of frames against qwen-vl-utils, over drawn clips: equal, errors too.

Two known differences, both on purpose: a part in which one frame begins is taken (the reference
refuses it), and of a clip of one frame `open_video` shows it twice.
"""

from __future__ import annotations

import random

import pytest
import torch

from finesight.errors import UnsupportedMedia
from finesight.media.sampling import frame_indices, frame_range, smart_nframes

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def reference():
    from qwen_vl_utils import vision_process

    return vision_process


def drawn_cases(count: int):
    draw = random.Random(0)
    for _ in range(count):
        total = draw.choice([draw.randint(2, 60), draw.randint(2, 3000), draw.randint(2, 200_000)])
        source_fps = draw.choice(
            [30.0, 25.0, 30000 / 1001, 24000 / 1001, 60.0, draw.uniform(1, 120)]
        )
        options = {}
        if draw.random() < 0.25:
            options["nframes"] = draw.randint(1, 80)
        else:
            if draw.random() < 0.8:
                options["fps"] = draw.choice(
                    [0.25, 0.5, 1.0, 2.0, 4.0, 10.0, draw.uniform(0.1, 12)]
                )
            if draw.random() < 0.3:
                options["min_frames"] = draw.randint(1, 20)
            if draw.random() < 0.3:
                options["max_frames"] = draw.randint(2, 900)
        duration = total / source_fps
        part = {}
        if draw.random() < 0.4:
            part["video_start"] = draw.uniform(-1, duration)
        if draw.random() < 0.4:
            part["video_end"] = draw.uniform(part.get("video_start", 0.0), duration + 2)
        yield total, source_fps, options, part


def test_frames_are_those_of_the_reference(reference):
    compared = refused = 0
    for total, source_fps, options, part in drawn_cases(1500):
        try:
            first, last, length = reference.calculate_video_frame_range(part, total, source_fps)
        except (ValueError, UnboundLocalError):
            refused += 1
            continue
        assert (first, last) == frame_range(
            total,
            source_fps,
            start_seconds=part.get("video_start"),
            end_seconds=part.get("video_end"),
        )
        try:
            expected = reference.smart_nframes(options, length, source_fps)
        except ValueError:
            refused += 1
            with pytest.raises(UnsupportedMedia):
                smart_nframes(length, source_fps, **options)
            continue
        assert smart_nframes(length, source_fps, **options) == expected
        indices = torch.linspace(first, last, expected).round().long().tolist()
        if torch.backends.cpu.get_cpu_capability() != "DEFAULT":  # torch then rounds otherwise
            assert frame_indices(first, last, expected) == indices
        compared += 1
    assert compared > 1000
    assert refused > 50
