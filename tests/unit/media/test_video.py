# SPDX-License-Identifier: Apache-2.0
"""Videos: the frame asked for comes out, at its true time, from every container."""

from __future__ import annotations

import base64
import gc
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from finesight.config.processor import ProcessorConfig
from finesight.conversation import VideoPart
from finesight.errors import ConfigError, UnsupportedMedia
from finesight.geometry import Size
from finesight.media.sampling import frame_indices
from finesight.media.video import open_video
from tests.support.clips import numbered, numbered_frame, read_number, write_clip
from tests.unit.media.conftest import X264

CONTAINERS = [
    ("h264.mp4", "libx264", "yuv420p", X264),
    ("h264.mkv", "libx264", "yuv420p", X264),
    ("h264.ts", "libx264", "yuv420p", X264),
    ("h264.flv", "libx264", "yuv420p", X264),
    ("h264.avi", "libx264", "yuv420p", X264),  # timestamps in decode order
    ("hevc.mp4", "libx265", "yuv420p", {"x265-params": "log-level=none:keyint=20"}),
    ("mpeg4.avi", "mpeg4", "yuv420p", {"bf": "2"}),
    ("mpeg2.mpg", "mpeg2video", "yuv420p", {"bf": "2"}),
    ("vp8.webm", "libvpx", "yuv420p", {"b": "300k", "deadline": "realtime"}),
    ("vp9.webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    ("mjpeg.mov", "mjpeg", "yuvj420p", {}),
    ("wmv2.wmv", "wmv2", "yuv420p", {}),
    ("open.mp4", "libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=12:bframes=3"}),
]


def numbers(clip) -> list[int]:
    return [read_number(frame) for frame in clip.frames()]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"), CONTAINERS, ids=[row[0] for row in CONTAINERS]
)
def test_the_frame_asked_for_comes_out(folder, config, name, codec, pix_fmt, options):
    path = write_clip(
        folder / name, numbered(60), fps=25, codec=codec, pix_fmt=pix_fmt, options=options
    )
    for count in (4, 12, 60):
        found = open_video(VideoPart(source=str(path), nframes=count), config)
        assert found.indices == tuple(frame_indices(0, 59, count))
        assert numbers(found) == list(found.indices)
        times = np.array(found.indices) / 25
        assert np.abs(np.array(found.clock.source_seconds) - times).max() <= 0.00051
        assert found.size == Size(128, 72)
        assert found.notes == ()


def test_pixels_are_those_of_a_full_decode(clip, config):
    with av.open(str(clip)) as container:
        everything = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    found = open_video(VideoPart(source=str(clip), nframes=14), config)
    for index, pixels in zip(found.indices, found.frames(), strict=True):
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - everything[index]).max() <= 2


def test_the_clock_of_an_even_clip_is_the_reference_s(clip, config):
    found = open_video(VideoPart(source=str(clip)), config)
    assert found.num_frames == 4
    assert found.sample_fps == 4 / 60 * 30.0
    assert found.clock.model_seconds == (0.0, 0.5, 1.0, 1.5)
    assert found.indices == (0, 20, 39, 59)
    assert found.clock.source_seconds == pytest.approx((0.0, 20 / 30, 1.3, 59 / 30), abs=1e-12)
    assert found.source_fps == 30.0
    assert found.total_frames == 60


def test_frames_can_be_read_again_and_left_early(clip, config):
    found = open_video(VideoPart(source=clip, nframes=8), config)
    assert read_number(next(found.frames())) == 0
    assert numbers(found) == numbers(found)


def test_bytes_and_addresses(clip, config):
    data = clip.read_bytes()
    packed = "data:video/mp4;base64," + base64.b64encode(data).decode()
    for source in (data, f"file://{clip}", packed):
        assert numbers(open_video(VideoPart(source=source, nframes=2), config)) == [0, 59]


def test_parts_of_a_file(clip, config):
    found = open_video(VideoPart(source=clip, start_seconds=0.5, end_seconds=1.0), config)
    assert found.indices == (15, 20, 25, 30)
    assert numbers(found) == [15, 20, 25, 30]
    assert found.sample_fps == 4 / 16 * 30.0
    assert found.clock.model_seconds[0] == 0.0
    assert found.clock.source_seconds[0] == pytest.approx(0.5)
    late = open_video(VideoPart(source=clip, start_seconds=1.0, end_seconds=50.0), config)
    assert late.notes == ("the clip was asked up to 50 s; the video ends at 2.00 s",)
    assert late.indices[-1] == 59


def test_a_part_without_a_frame(clip, config):
    with pytest.raises(UnsupportedMedia, match="no frame begins between 7 s and its end"):
        open_video(VideoPart(source=clip, start_seconds=7.0), config)


def test_variable_frame_rate(folder, config):
    shown = [
        Fraction(time).limit_denominator(10) for time in (0, 1, 2, 2.1, 2.2, 2.3, 3, 5, 8, 8.5)
    ]
    for name in ("vfr.mp4", "vfr.mkv"):
        path = write_clip(folder / name, numbered(10), times=shown, options=X264)
        found = open_video(VideoPart(source=path, nframes=4), config)
        assert numbers(found) == [0, 6, 7, 9]
        assert found.clock.source_seconds == pytest.approx((0, 3, 5, 8.5))
        assert found.clock.model_seconds == found.clock.source_seconds
        assert "variable frame rate" in found.notes[0]
        assert "5.00 to 8.00 s" in found.notes[0]
        part = VideoPart(source=path, nframes=2, start_seconds=2.1, end_seconds=5.0)
        later = open_video(part, config)
        assert numbers(later) == [3, 7]
        assert later.clock.model_seconds == pytest.approx((0.0, 2.9))
        assert later.clock.source_seconds == pytest.approx((2.1, 5.0))


def test_a_rate_of_whole_milliseconds_is_constant(folder, config):
    path = write_clip(folder / "ntsc.mkv", numbered(90), fps=Fraction(30000, 1001))
    found = open_video(VideoPart(source=path), config)
    assert found.notes == ()
    assert found.source_fps == 30000 / 1001
    assert found.indices == tuple(frame_indices(0, 89, found.num_frames))


def test_a_clip_that_starts_late_is_counted_from_its_start(folder, config):
    shown = [Fraction(5) + Fraction(index, 10) for index in range(10)]
    path = write_clip(folder / "late.mp4", numbered(10), times=shown, options=X264)
    found = open_video(VideoPart(source=path, nframes=2), config)
    assert found.clock.source_seconds == pytest.approx((0.0, 0.9))


def test_video_that_starts_after_its_sound(folder, config):
    path = folder / "sound_first.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options=X264)
        video.width, video.height, video.pix_fmt = 128, 72, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 24_000), np.int16), layout="mono")
        silence.sample_rate, silence.pts, silence.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(sound.encode(silence))
        for index, pixels in enumerate(numbered(20)):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = index + 10, Fraction(1, 10)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    found = open_video(VideoPart(source=path, nframes=2, start_seconds=2.0), config)
    assert numbers(found) == [10, 19]
    assert found.clock.source_seconds == pytest.approx((2.0, 2.9))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_metadata_is_applied(folder, config, degrees):
    upright = list(numbered(4))
    stored = [np.ascontiguousarray(np.rot90(frame, -degrees // 90)) for frame in upright]
    path = write_clip(folder / f"turned_{degrees}.mp4", stored, rotation=degrees)
    found = open_video(VideoPart(source=path, nframes=4), config)
    assert found.size == Size(128, 72)
    assert numbers(found) == [0, 1, 2, 3]


def test_frames_are_dropped_without_the_garbage_collector(folder, config):
    path = write_clip(folder / "dropped.mp4", list(numbered(60)))
    frames = open_video(VideoPart(source=path, nframes=60), config).frames()
    gc.collect()
    gc.disable()
    try:
        for _ in frames:
            alive = sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())
            assert alive <= 20  # some are in the decoder
    finally:
        gc.enable()


def test_mirrored_display_matrix(folder, config):
    path = folder / "mirrored.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options=X264)
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        stream.set_display_rotation(90, hflip=True)
        for index in range(2):
            pixels = np.ascontiguousarray(numbered_frame(index)[:, ::-1])
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    found = open_video(VideoPart(source=path, nframes=2), config)
    assert found.size == Size(72, 128)
    turned = [np.rot90(frame, turn) for frame in found.frames() for turn in (1, 3)]
    assert 1 in {read_number(frame) for frame in turned}


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (127, 71), (200, 2)])
def test_odd_sizes(folder, config, size):
    width, height = size
    frames = [np.full((height, width, 3), (200, 100, 50), np.uint8)] * 4
    path = write_clip(folder / "odd.mp4", frames, pix_fmt="yuv444p")
    found = open_video(VideoPart(source=path), config)
    assert found.size == Size(width, height)
    for pixels in found.frames():
        assert pixels.shape == (height, width, 3)
        assert np.abs(pixels.astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_black_and_white_in_both_ranges(folder, config, codec, color_range):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, 32:] = 255
    name = f"range.{'mp4' if codec == 'libx264' else 'webm'}"
    path = write_clip(folder / name, [frame] * 2, codec=codec, color_range=color_range)
    pixels = next(open_video(VideoPart(source=path), config).frames())
    assert pixels[:, :24].max() <= 4
    assert pixels[:, 40:].min() >= 251


def test_transparent_video_is_put_on_white(folder, config):
    frame = np.zeros((16, 32, 4), np.uint8)
    frame[:, :16] = (255, 0, 0, 255)
    frame[:, 24:] = (0, 0, 0, 128)
    path = write_clip(folder / "alpha.mov", [frame] * 2, codec="qtrle", pix_fmt="argb")
    pixels = next(open_video(VideoPart(source=path), config).frames())
    assert pixels[8, [4, 20, 28]].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]


def test_animated_gif(folder, config):
    path = write_clip(folder / "a.gif", numbered(12), fps=10, codec="gif", pix_fmt="rgb8")
    found = open_video(VideoPart(source=path, nframes=4), config)
    assert numbers(found) == [0, 4, 7, 11]
    assert found.clock.source_seconds == pytest.approx((0, 0.4, 0.7, 1.1))


def test_a_stream_that_changes_its_size(folder, config):
    """Frames of another size are scaled to the first one's, as players do."""
    small = write_clip(folder / "small.ts", numbered(10), fps=10)
    shown = [Fraction(index, 10) for index in range(10, 20)]
    large = [numbered_frame(index, 256, 144) for index in range(10, 20)]
    after = write_clip(folder / "large.ts", large, times=shown)
    joined = folder / "joined.ts"
    joined.write_bytes(small.read_bytes() + after.read_bytes())
    found = open_video(VideoPart(source=joined, nframes=20), config)
    assert {frame.shape for frame in found.frames()} == {(72, 128, 3)}
    assert numbers(found) == list(range(20))
    (note,) = found.notes
    assert "from 1.00 s on they are 256 x 144; all are scaled to 128 x 72" in note


def test_pictures_of_vp8_that_are_never_shown(folder, config):
    """A packet marked as hidden is no frame: it is not counted and not waited for."""
    shown = write_clip(folder / "shown.webm", numbered(12), codec="libvpx", options={"b": "300k"})
    hidden = folder / "hidden.webm"
    with av.open(str(shown)) as source, av.open(str(hidden), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if packet.size == 0:
                continue
            data = bytearray(bytes(packet))
            if number == 5:
                data[0] &= ~0x10  # show_frame off
            again = av.Packet(bytes(data))
            again.pts, again.dts, again.time_base = packet.pts, packet.dts, packet.time_base
            again.is_keyframe, again.stream = packet.is_keyframe, copy
            target.mux(again)
    found = open_video(VideoPart(source=hidden, nframes=10), config)
    assert found.total_frames == 11
    there = [number for number in range(12) if number != 5]
    assert numbers(found) == [there[index] for index in found.indices]


# Very short clips, and budgets


def test_one_frame_is_shown_twice(folder, config):
    path = write_clip(folder / "one.mp4", numbered(1))
    found = open_video(VideoPart(source=path), config)
    assert numbers(found) == [0, 0]
    assert found.notes == ("the clip has 1 frame, shown 2 times",)
    assert found.clock.source_seconds == (0.0, 0.0)
    assert found.clock.model_seconds == (0.0, 0.5)


def test_a_part_of_one_frame_is_shown_twice(clip, config):
    found = open_video(VideoPart(source=clip, start_seconds=1.0, end_seconds=1.01), config)
    assert numbers(found) == [30, 30]


def test_fewer_frames_than_the_least_number(folder, config):
    path = write_clip(folder / "three.mp4", numbered(3))
    assert numbers(open_video(VideoPart(source=path), config)) == [0, 2]


def test_more_frames_than_there_are(clip, config):
    with pytest.raises(UnsupportedMedia, match=r"plain\.mp4: nframes=62 gives 62 frames; between"):
        open_video(VideoPart(source=clip, nframes=62), config)


def test_budgets_come_from_the_part_or_the_configuration(clip):
    config = ProcessorConfig(fps=10.0, max_frames=8)
    assert open_video(VideoPart(source=clip), config).num_frames == 8
    assert open_video(VideoPart(source=clip, max_frames=20), config).num_frames == 20
    assert open_video(VideoPart(source=clip, fps=1.0, min_frames=6), config).num_frames == 6


def test_contradicting_options(clip, config):
    with pytest.raises(ConfigError, match=r"both fps=2\.0 and nframes=4"):
        open_video(VideoPart(source=clip, fps=2.0, nframes=4), config)


def test_clocks_never_run_backwards(clip, config):
    for part in (VideoPart(source=clip, fps=7.3), VideoPart(source=clip, fps="auto")):
        found = open_video(part, config)
        found.clock.check()
        assert all(after > before for before, after in pairwise(found.clock.model_seconds))


def test_some_of_the_frames_are_decoded_alone(folder, config):
    path = write_clip(folder / "some.mp4", numbered(60), fps=25, options=X264)
    clip = open_video(VideoPart(source=path, nframes=12), config)
    some = clip.only([0, 4, 11])
    assert numbers(some) == [clip.indices[0], clip.indices[4], clip.indices[11]]
    assert some.clock.source_seconds == tuple(clip.clock.source_seconds[n] for n in (0, 4, 11))
