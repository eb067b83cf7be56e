# SPDX-License-Identifier: Apache-2.0
"""A picture that lost its small text to a pixel budget says so, with both sizes and what to do."""

from __future__ import annotations

import pytest
from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.processor.prepare import READABLE_SHRINK


def notes(processor, part):
    """What is said of the prepared item, which is what was said of the measured one."""
    said = processor.measure(part).notes
    assert processor.prepare(part).record.notes == said
    return said


@pytest.fixture
def screen():
    return Image.new("RGB", (560, 280))


def test_sizes_factor_and_remedies(tiny_processor, screen):
    (note,) = notes(tiny_processor, ImagePart(source=screen, max_pixels=28 * 28 * 8))
    assert "from 560 x 280 to 112 x 56" in note
    assert "to 1/25 of its pixels" in note
    assert "at most 6,272" in note
    for remedy in ("--max-pixels", "crop"):
        assert remedy in note


def test_low_detail_is_named_as_the_remedy(tiny_processor):
    part = ImagePart(source=Image.new("RGB", (1400, 1400)), detail="low")
    (note,) = notes(tiny_processor, part)
    assert "at most 262,144" in note
    assert 'leave out detail "low", or crop it' in note
    assert "max-pixels" not in note


def test_the_budget_of_the_checkpoint_counts_as_well(tiny_processor, screen, monkeypatch):
    monkeypatch.setattr(tiny_processor, "config", ProcessorConfig(max_pixels=28 * 28 * 8))
    assert len(notes(tiny_processor, ImagePart(source=screen))) == 1


@pytest.mark.parametrize("max_pixels", [None, 560 * 280 // READABLE_SHRINK])
def test_half_of_each_side_is_still_read(tiny_processor, screen, max_pixels):
    assert notes(tiny_processor, ImagePart(source=screen, max_pixels=max_pixels)) == ()


def test_a_size_that_was_asked_for_is_no_surprise(tiny_processor, screen):
    part = ImagePart(source=screen, resized_height=28, resized_width=56)
    assert notes(tiny_processor, part) == ()


def test_frames_of_a_video(tiny_processor, video_file):
    part = VideoPart(source=str(video_file), nframes=4, min_pixels=28 * 28, max_pixels=28 * 28)
    (note,) = notes(tiny_processor, part)
    assert note.startswith("each frame was shrunk from 112 x 84 to 28 x 28, to 1/12")
    assert "fewer frames" in note
