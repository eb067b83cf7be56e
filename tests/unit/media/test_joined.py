# SPDX-License-Identifier: Apache-2.0
"""Recordings laid one behind the other (`cat a.ts b.ts`): the clock starts anew, the times go on."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from finesight.conversation import VideoPart
from finesight.media.video import open_video
from tests.support.clips import numbered_frame, read_number, write_clip

FPS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("joined")


def recording(folder, numbers, *, start=0, suffix="ts", **options):
    """Frames that carry these numbers, in a file whose clock starts at `start` seconds."""
    path = folder / f"{numbers.start}-{numbers.stop}-{start}.{suffix}"
    times = [Fraction(index, FPS) + start for index in range(len(numbers))]
    encoder = {"preset": "ultrafast", "g": "5", "bf": "2", "b_strategy": "0"}
    frames = (numbered_frame(number) for number in numbers)
    given = {"options": encoder, "times": times} | options
    return write_clip(path, frames, fps=FPS, **given)


def joined(folder, name, *paths):
    path = folder / name
    path.write_bytes(b"".join(part.read_bytes() for part in paths))
    return path


def shown(clip):
    return [read_number(frame) for frame in clip.frames()]


@pytest.mark.parametrize("starts", [(0, 0), (5, 0), (300, 0)], ids=["again", "back", "far back"])
def test_times_of_the_second_follow_those_of_the_first(folder, config, starts):
    """A clock that falls back by more than a minute FFmpeg takes for one of 33 bits that ran over."""
    first = recording(folder, range(20), start=starts[0])
    second = recording(folder, range(20, 34), start=starts[1])
    path = joined(folder, f"two-{starts[0]}.ts", first, second)
    clip = open_video(VideoPart(source=path, nframes=34), config)
    assert shown(clip) == list(range(34))
    expected = [number / FPS for number in range(34)]
    assert clip.clock.source_seconds == pytest.approx(expected, abs=1e-4)
    assert clip.source_fps == pytest.approx(FPS)
    assert clip.notes == (
        "2 recordings are joined in the file, the second from 2.00 s on; its clock starts anew there, "
        "and times are counted on",
    )


SIZES = [((128, 72), (256, 144)), ((256, 144), (128, 72)), ((128, 72), (144, 256))]


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "mpeg4"])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_frames_of_another_size_are_scaled_and_it_is_said(folder, config, codec, before, after):
    """The MPEG-2 decoder forgets the picture it holds when the size changes, unless it is emptied."""
    parts = []
    for number, size in enumerate((before, after)):
        frames = (numbered_frame(index, *size) for index in range(30 * number, 30 * (number + 1)))
        parts.append(write_clip(folder / f"{number}.ts", frames, fps=25, codec=codec))
    path = joined(folder, "sizes.ts", *parts)
    clip = open_video(VideoPart(source=path, nframes=60), config)
    assert shown(clip) == list(range(60))
    assert (clip.size.width, clip.size.height) == before
    assert clip.notes[1:] == (
        f"the frames change their size once: from 1.20 s on they are {after[0]} x {after[1]}; "
        f"all are scaled to {before[0]} x {before[1]}, the size of the first frame shown",
    )
    early = open_video(VideoPart(source=path, nframes=8, end_seconds=1.0), config)
    assert not any("size" in note for note in early.notes)


def test_the_same_size_again_is_no_change(folder, config):
    path = joined(folder, "same.ts", recording(folder, range(20)), recording(folder, range(20, 40)))
    assert len(open_video(VideoPart(source=path, nframes=4), config).notes) == 1


def test_a_short_recording_before_a_long_one(folder, config):
    first, second = recording(folder, range(6)), recording(folder, range(6, 26))
    clip = open_video(
        VideoPart(source=joined(folder, "short.ts", first, second), nframes=26), config
    )
    assert shown(clip) == list(range(26))


def test_three_recordings_and_a_part_across_their_ends(folder, config):
    parts = [recording(folder, range(start, start + 12)) for start in (0, 12, 24)]
    path = joined(folder, "three.ts", *parts)
    asked = VideoPart(source=path, start_seconds=1.0, end_seconds=2.55, fps=FPS)
    clip = open_video(asked, config)
    assert shown(clip) == list(range(10, 26))
    assert clip.clock.source_seconds == pytest.approx([number / FPS for number in range(10, 26)])
    assert "3 recordings" in clip.notes[0]


def test_changes_are_found_in_both(folder, config):
    path = joined(folder, "auto.ts", recording(folder, range(20)), recording(folder, range(20, 40)))
    clip = open_video(VideoPart(source=path, fps="auto", max_frames=12), config)
    numbers = shown(clip)
    assert numbers == sorted(numbers)
    assert min(numbers) < 20 <= max(numbers)
    assert clip.clock.source_seconds == pytest.approx([number / FPS for number in numbers])


def test_program_streams(folder, config):
    first = write_clip(folder / "a.mpg", map(numbered_frame, range(20)), fps=25, codec="mpeg1video")
    second = write_clip(
        folder / "b.mpg", map(numbered_frame, range(20, 40)), fps=25, codec="mpeg1video"
    )
    clip = open_video(
        VideoPart(source=joined(folder, "two.mpg", first, second), nframes=40), config
    )
    assert shown(clip) == list(range(40))
    assert clip.clock.source_seconds == pytest.approx(
        [number / 25 for number in range(40)], abs=1e-4
    )


def test_a_single_recording_is_left_alone(folder, config):
    late = recording(folder, range(20), start=500)
    clip = open_video(VideoPart(source=late, nframes=20), config)
    assert shown(clip) == list(range(20))
    assert clip.clock.source_seconds == pytest.approx([number / FPS for number in range(20)])
    assert clip.notes == ()


def test_a_gap_ahead_stays_a_gap(folder, config):
    """A clock that jumps ahead may be the truth: a receiver that lost its signal."""
    first, later = recording(folder, range(20)), recording(folder, range(20, 30), start=30)
    clip = open_video(VideoPart(source=joined(folder, "gap.ts", first, later), nframes=30), config)
    assert shown(clip) == list(range(30))
    assert clip.clock.source_seconds[20] == pytest.approx(29.8, abs=0.3)
    assert clip.notes[0].startswith("variable frame rate")


def test_times_before_zero_stay_right(folder, config):
    """Decode times that start below 0 (an edit list of an MP4 with B-frames) are no restart."""
    path = recording(folder, range(20), suffix="mp4")
    with av.open(str(path)) as container:
        dts = [packet.dts for packet in container.demux(video=0) if packet.size]
    assert dts[0] < 0
    clip = open_video(VideoPart(source=path, nframes=20), config)
    assert shown(clip) == list(range(20))
    assert clip.clock.source_seconds == pytest.approx([number / FPS for number in range(20)])
    assert clip.notes == ()
