# SPDX-License-Identifier: Apache-2.0
"""A part of a clip keeps both clocks apart: what the model was told, and when it really was."""

from __future__ import annotations

import numpy as np
import pytest

from finesight.geometry import Clock, Size
from finesight.media.clip import VideoClip


def read(indices):
    """One frame per different index, its number in every value."""
    for index in dict.fromkeys(indices):
        yield np.full((4, 6, 3), index, dtype=np.uint8)


@pytest.fixture
def clip() -> VideoClip:
    """Starts a minute into its source, with a slow model clock and one repeated frame."""
    return VideoClip(
        name="made up",
        size=Size(6, 4),
        sample_fps=2.0,
        clock=Clock(
            model_seconds=(0.0, 0.5, 1.0, 1.5, 2.0, 2.5),
            source_seconds=(60.0, 60.6, 61.0, 61.7, 62.0, 62.0),
        ),
        indices=(10, 16, 20, 27, 30, 30),
        source_fps=10.0,
        total_frames=31,
        notes=("a note",),
        _read=read,
    )


def test_some_frames_keep_their_own_two_times(clip):
    some = clip.only([1, 3, 4])
    assert some.clock.model_seconds == (0.5, 1.5, 2.0)
    assert some.clock.source_seconds == (60.6, 61.7, 62.0)
    assert some.indices == (16, 27, 30)
    assert [int(frame[0, 0, 0]) for frame in some.frames()] == [16, 27, 30]


def test_the_rest_of_the_clip_stays(clip):
    some = clip.only([0])
    assert (some.num_frames, some.sample_fps, some.source_fps) == (1, 2.0, 10.0)
    assert (some.name, some.size, some.total_frames) == ("made up", Size(6, 4), 31)
    assert some.notes == ("a note",)
    assert clip.num_frames == 6


def test_a_repeated_frame_is_decoded_once_and_shown_twice(clip):
    frames = list(clip.frames())
    assert [int(frame[0, 0, 0]) for frame in frames] == [10, 16, 20, 27, 30, 30]
    assert frames[4] is frames[5]
