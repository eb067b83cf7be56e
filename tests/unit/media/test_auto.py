# SPDX-License-Identifier: Apache-2.0
"""`fps="auto"`: frames go where the picture changes, within the budget of even sampling."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clips import BurstClip, write_burst_clip
from finesight.conversation import VideoPart
from finesight.geometry import Size
from finesight.media import change as change_module
from finesight.media.change import scan_changes
from finesight.media.source import localize
from finesight.media.timeline import read_timeline
from finesight.media.video import open_video
from tests.support.clips import numbered, read_number, write_clip

BUDGET = 16


def shown(burst_clip: BurstClip, config, fps) -> tuple[float, ...]:
    """True times of the frames shown, each checked against the file's regular clock of 15 frames per second."""
    part = VideoPart(source=burst_clip.path, fps=fps, max_frames=BUDGET)
    clip = open_video(part, config)
    clip.clock.check()
    times = np.array(clip.clock.source_seconds)
    assert np.abs(times - np.array(clip.indices) / 15).max() < 1e-6
    assert clip.num_frames <= BUDGET
    assert clip.num_frames % 2 == 0
    if fps == "auto":
        assert clip.clock.model_seconds == pytest.approx(times - times[0])
    return clip.clock.source_seconds


@pytest.fixture(scope="module")
def burst_clips(folder) -> list[BurstClip]:
    return [
        write_burst_clip(
            folder / f"burst_{seed}.mp4", seconds=40, num_bursts=6, seed=seed, fps=15, noise=noise
        )
        for seed, noise in ((0, 0.0), (1, 3.0))
    ]


def test_bursts_get_a_frame(burst_clips, config):
    found = even = 0
    for burst_clip in burst_clips:
        found += burst_clip.hits(shown(burst_clip, config, "auto"))
        even += burst_clip.hits(shown(burst_clip, config, None))
    assert found >= 0.9 * 12
    assert even <= 0.6 * 12  # otherwise the clips would prove nothing


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_bursts_get_a_frame_in_many_clips(folder, config, noise):
    found = total = 0
    for seed in range(10, 16):
        burst_clip = write_burst_clip(
            folder / "many.mp4",
            seconds=60 + 6 * (seed - 10),
            num_bursts=8,
            seed=seed,
            fps=15,
            noise=noise,
        )
        found += burst_clip.hits(shown(burst_clip, config, "auto"))
        total += len(burst_clip.bursts)
    assert found >= 0.9 * total


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_still_clip_gets_the_least_number(folder, config, noise):
    path = folder / f"still_{noise}.mp4"
    write_burst_clip(path, seconds=20, num_bursts=0, seed=3, fps=15, noise=noise)
    for least in (4, 8):
        clip = open_video(VideoPart(source=path, fps="auto", min_frames=least), config)
        assert clip.num_frames == least
        assert clip.clock.source_seconds[0] == 0.0
        assert clip.clock.source_seconds[-1] == pytest.approx(299 / 15)


def test_a_slow_fade_is_noticed(folder, config):
    """From frame to frame nothing moves by more than a level; over the clip everything does."""
    frames = (np.full((72, 128, 3), 30 + index // 3, np.uint8) for index in range(450))
    path = write_clip(folder / "fade.mp4", frames, fps=15)
    clip = open_video(VideoPart(source=path, fps="auto"), config)
    assert clip.num_frames >= 10
    assert np.diff(clip.clock.source_seconds).max() < 6


def test_a_change_of_colour_alone_is_noticed(folder, config):
    """Red and green of the same brightness."""
    frames = (
        np.full((72, 128, 3), (0, 138, 0) if 100 <= index < 106 else (255, 8, 0), np.uint8)
        for index in range(300)
    )
    path = write_clip(folder / "colour.mp4", frames, fps=15)
    clip = open_video(VideoPart(source=path, fps="auto", max_frames=8), config)
    assert any(100 <= index < 106 for index in clip.indices)


def test_everything_moves(clip, config):
    found = open_video(VideoPart(source=clip, fps="auto"), config)
    assert found.num_frames == 4
    assert [read_number(frame) for frame in found.frames()] == list(found.indices)


def test_a_part_of_a_clip(burst_clips, config):
    start, end = burst_clips[0].bursts[3]
    part = VideoPart(
        source=burst_clips[0].path, fps="auto", start_seconds=start - 3, end_seconds=end + 3
    )
    clip = open_video(part, config)
    assert clip.clock.model_seconds[0] == 0.0
    assert clip.clock.source_seconds[0] >= start - 3
    assert any(start <= time < end for time in clip.clock.source_seconds)


def test_a_clip_too_large_to_look_through(folder, config, monkeypatch):
    """Then the packets tell where to look: of ten seconds between key frames, one holds the change."""

    def frames():
        for index in range(600):
            frame = np.full((72, 128, 3), 60, np.uint8)
            if 432 <= index < 440:
                frame[20:50, 10 * (index - 430) : 10 * (index - 430) + 30] = 230
            yield frame

    options = {"preset": "ultrafast", "g": "60", "sc_threshold": "0"}
    path = write_clip(folder / "long.mp4", frames(), fps=15, options=options)
    monkeypatch.setattr(change_module, "MAX_SCAN_PIXELS", 128 * 72 * 100)
    clip = open_video(VideoPart(source=path, fps="auto", max_frames=8), config)
    assert any(432 <= index < 440 for index in clip.indices)
    assert clip.notes == (
        "69 of 600 frames were looked at for changes: key frames, and where the file holds most "
        "data",
    )


def test_a_clip_of_key_frames_too_large_to_look_through(folder, config, monkeypatch):
    path = write_clip(folder / "keys.mov", numbered(60), codec="mjpeg", pix_fmt="yuvj420p")
    monkeypatch.setattr(change_module, "MAX_SCAN_PIXELS", 128 * 72 * 20)
    local = localize(path, kind="video")
    change, note = scan_changes(local, read_timeline(local), 0, 59, Size(128, 72))
    assert note.startswith("20 of 60 frames")
    assert np.diff(np.flatnonzero(change)).max() <= 6
