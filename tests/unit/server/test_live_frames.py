# SPDX-License-Identifier: Apache-2.0
"""Frames of a live video are checked when they arrive, and dropped ones are counted by reason."""

from __future__ import annotations

import asyncio
import math

import pytest

import finesight
from finesight.errors import ConfigError
from finesight.server.live_frames import (
    MOST_FRAME_BYTES,
    MOST_FRAMES_PER_SECOND,
    FrameIntake,
    LiveOptions,
)
from tests.support.live_frames import jpeg, message


@pytest.fixture(scope="module")
def processor():
    return finesight.load("tiny").engine.processor


class Clock:
    """A clock that a test sets."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def intake(processor):
    clock = Clock()
    made = FrameIntake(processor, LiveOptions(max_pixels=28 * 28 * 12), now=clock)
    made.clock = clock
    return made


def add(intake, seconds, content):
    intake.clock.seconds += 1
    return asyncio.run(intake.add(message(seconds, content)))


def test_frames_are_kept_at_one_size_and_at_the_clients_times(intake):
    for number in range(3):
        assert add(intake, 100 + number / 2, jpeg(number)) is None
    part = intake.part(intake.frames())
    part.check()
    assert part.timestamps == (100.0, 100.5, 101.0)
    assert (part.resized_height, part.resized_width) == (84, 112)
    assert intake.report(intake.frames()) == {
        "received": 3,
        "kept": 3,
        "thinned": 0,
        "expired": 0,
        "dropped": {},
        "kept_seconds": [100.0, 100.5, 101.0],
        "visual_tokens": 24,
    }


@pytest.mark.parametrize(
    ("seconds", "content", "reason", "words"),
    [
        (4.0, jpeg(1), "time", "the one before is of 5 s"),
        (math.nan, jpeg(1), "time", "nan"),
        (math.inf, jpeg(1), "time", "inf"),
        (6.0, b"", "no_frame", "JPEG"),
        (6.0, b"\x89PNG", "no_frame", "JPEG"),
        (6.0, jpeg(1)[:300], "broken", "bytes"),
        (6.0, jpeg(1, (56, 84)), "size", "56 x 84"),
        (6.0, b"\xff\xd8\xff" + bytes(MOST_FRAME_BYTES), "too_large", "2,000,000"),
    ],
)
def test_a_frame_that_cannot_be_kept_is_dropped_and_counted(
    intake, seconds, content, reason, words
):
    assert add(intake, 5.0, jpeg()) is None
    dropped = add(intake, seconds, content)
    assert (dropped.reason, intake.dropped) == (reason, {reason: 1})
    assert words in dropped.message
    assert add(intake, 7.0, jpeg(2)) is None
    report = intake.report(intake.frames())
    assert (report["received"], report["kept"], report["dropped"]) == (3, 2, {reason: 1})


def test_a_message_without_a_whole_time_is_no_frame(intake):
    assert asyncio.run(intake.add(b"abc")).reason == "no_frame"


def test_the_rate_of_frames_is_limited(intake):
    def burst():
        return [
            asyncio.run(intake.add(message(number, jpeg())))
            for number in range(MOST_FRAMES_PER_SECOND + 2)
        ]

    outcomes = burst()
    assert outcomes[:-2] == [None] * MOST_FRAMES_PER_SECOND
    assert [each.reason for each in outcomes[-2:]] == ["rate", "rate"]
    intake.clock.seconds += 1
    assert asyncio.run(intake.add(message(100, jpeg()))) is None


def test_a_pair_that_exceeds_the_budget_is_said(processor):
    intake = FrameIntake(processor, LiveOptions(max_visual_tokens=11, max_pixels=28 * 28 * 12))
    dropped = asyncio.run(intake.add(message(0, jpeg())))
    assert dropped.reason == "budget"
    assert "12 visual tokens; max_visual_tokens is 11" in dropped.message
    assert intake.frames() == ()


@pytest.mark.parametrize(
    "given",
    [
        {"max_visual_tokens": 0},
        {"max_visual_tokens": 1.5},
        {"max_pixels": True},
        {"window_seconds": "long"},
        {"window_seconds": 0},
        {"other": 1},
    ],
)
def test_options_out_of_range_and_unknown_ones_are_refused(given):
    with pytest.raises(ConfigError, match=next(iter(given))):
        LiveOptions.from_dict(given)


def test_options_are_read():
    options = LiveOptions.from_dict({"max_visual_tokens": 100.0, "window_seconds": None})
    assert options == LiveOptions(max_visual_tokens=100)
