# SPDX-License-Identifier: Apache-2.0
"""A video as a list of pictures: times, rates, padding, and what contradicts them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from finesight.conversation import VideoPart
from finesight.errors import ConfigError, DecodeError, MediaError, UnsupportedMedia
from finesight.geometry import Size
from finesight.media.video import open_video


def pictures(count: int, size: tuple[int, int] = (6, 4)) -> tuple[Image.Image, ...]:
    return tuple(Image.new("RGB", size, (10 * index, 0, 0)) for index in range(count))


def reds(clip) -> list[int]:
    return [int(frame[0, 0, 0]) // 10 for frame in clip.frames()]


def test_at_a_rate(config):
    clip = open_video(VideoPart(source=pictures(4), sample_fps=4.0), config)
    assert reds(clip) == [0, 1, 2, 3]
    assert clip.size == Size(6, 4)
    assert clip.sample_fps == 4.0
    assert clip.clock.model_seconds == clip.clock.source_seconds == (0.0, 0.25, 0.5, 0.75)
    assert clip.notes == ()


def test_without_a_rate_the_configured_one_is_taken_and_said(config):
    clip = open_video(VideoPart(source=pictures(2)), config)
    assert clip.sample_fps == 2.0
    assert clip.notes == ("no timestamps: frames taken as 2 per second",)


def test_fps_of_a_list_is_the_rate_it_was_taken_at(config):
    assert open_video(VideoPart(source=pictures(2), fps=5.0), config).sample_fps == 5.0
    with pytest.raises(ConfigError, match=r"fps=5.0 and sample_fps=2.0"):
        open_video(VideoPart(source=pictures(2), fps=5.0, sample_fps=2.0), config)


def test_at_times(config):
    times = (10.0, 10.5, 13.0, 19.0)
    clip = open_video(VideoPart(source=pictures(4), timestamps=times), config)
    assert clip.clock.source_seconds == times
    assert clip.clock.model_seconds == (0.0, 0.5, 3.0, 9.0)
    assert clip.sample_fps == pytest.approx(3 / 9)


def test_an_odd_number_is_padded_with_the_last(config):
    clip = open_video(VideoPart(source=pictures(3), timestamps=(0.0, 1.0, 2.0)), config)
    assert reds(clip) == [0, 1, 2, 2]
    assert clip.indices == (0, 1, 2, 2)
    assert clip.clock.source_seconds == (0.0, 1.0, 2.0, 2.0)
    assert clip.clock.model_seconds == (0.0, 1.0, 2.0, 2.0)
    assert clip.notes == ("the last of 3 frames is shown 2 times",)
    even = open_video(VideoPart(source=pictures(3), sample_fps=1.0), config)
    assert even.clock.model_seconds == (0.0, 1.0, 2.0, 3.0)
    assert even.clock.source_seconds == (0.0, 1.0, 2.0, 2.0)


def test_one_picture(config):
    clip = open_video(VideoPart(source=pictures(1), timestamps=(7.0,)), config)
    assert reds(clip) == [0, 0]
    assert clip.sample_fps == 2.0
    assert clip.clock.source_seconds == (7.0, 7.0)


def test_every_kind_of_source(config, tmp_path):
    image = pictures(3)[2]
    stream = io.BytesIO()
    image.save(stream, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(stream.getvalue())
    packed = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    sources = (image, path, str(path), stream.getvalue(), f"file://{path}", packed)
    assert reds(open_video(VideoPart(source=sources, sample_fps=1.0), config)) == [2] * 6
    arrays = tuple(np.asarray(picture) for picture in pictures(2))
    assert reds(open_video(VideoPart(source=arrays, sample_fps=1.0), config)) == [0, 1]


def test_a_jpeg_clip_in_an_address(config):
    packed = []
    for gray in (0, 120, 240):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), (gray,) * 3).save(stream, "JPEG")
        packed.append(base64.b64encode(stream.getvalue()).decode())
    source = "data:video/jpeg;base64," + ",".join(packed)
    clip = open_video(VideoPart(source=source), config)
    assert reds(clip) == [0, 12, 24, 24]
    for broken in (",@", ",\u00e9"):
        with pytest.raises(DecodeError, match="is not valid base64"):
            open_video(VideoPart(source=source + broken), config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timestamps": (0.0, 2.0, 1.0)}, "run backwards at frame 2: 2.0 s, then 1.0 s"),
        ({"timestamps": (0.0, 1.0, float("nan"))}, r"timestamps\[2\]=nan; it must be a number"),
        ({"timestamps": (0.0, 1.0, float("inf"))}, r"timestamps\[2\]=inf; it must be a number"),
        ({"timestamps": (-1.0, 0.0, 1.0)}, r"timestamps\[0\]=-1.0; it must be a number from 0"),
        ({"timestamps": "0 1 2"}, "timestamps='0 1 2'; it must be a list of seconds"),
        ({"timestamps": (0.0, 1.0)}, "3 frames but 2 timestamps"),
        ({"timestamps": (0.0, 1.0, 2.0), "fps": 2.0}, "both timestamps and fps"),
        ({"timestamps": (0.0, 1.0, 2.0), "sample_fps": 2.0}, "both timestamps and sample_fps"),
        ({"sample_fps": 0.0}, "sample_fps=0.0; it must be a number from 0.000001 to 1,000,000"),
        ({"sample_fps": float("inf")}, "sample_fps=inf; it must be a number"),
        ({"fps": "auto"}, "which only a file takes"),
        ({"max_frames": 2}, "which only a file takes"),
        ({"nframes": 2}, "which only a file takes"),
        ({"start_seconds": 1.0}, "which only a file takes"),
    ],
)
def test_options_that_do_not_fit(config, options, message):
    with pytest.raises(ConfigError, match=message):
        open_video(VideoPart(source=pictures(3), **options), config)


def test_no_pictures(config):
    with pytest.raises(ConfigError, match="an empty list of frames"):
        open_video(VideoPart(source=()), config)


def test_pictures_of_several_sizes(config):
    clip = open_video(VideoPart(source=(*pictures(2), *pictures(1, (5, 4)))), config)
    with pytest.raises(UnsupportedMedia, match="frame 2 of 3 is 5 x 4 pixels, frame 0 is 6 x 4"):
        list(clip.frames())


def test_a_bad_picture_is_counted(config, tmp_path):
    clip = open_video(VideoPart(source=(*pictures(1), tmp_path / "gone.png")), config)
    with pytest.raises(MediaError, match=r"frame 1 of 2: .*gone\.png cannot be opened"):
        list(clip.frames())
    with pytest.raises(MediaError, match="frame 0 of 1: bytes"):
        open_video(VideoPart(source=(b"nonsense",)), config)


def test_one_picture_that_is_no_list(config):
    with pytest.raises(UnsupportedMedia, match=r"picture in memory \(6 x 4\) is no video"):
        open_video(VideoPart(source=pictures(1)[0]), config)


def test_some_of_the_frames_keep_their_times(config):
    clip = open_video(VideoPart(source=pictures(5), timestamps=(0.0, 1, 2.5, 4, 9)), config)
    some = clip.only([1, 3, 5])  # the last is the repeated one
    assert reds(some) == [1, 3, 4]
    assert some.clock.source_seconds == (1.0, 4.0, 9.0)
    assert (some.num_frames, some.sample_fps) == (3, clip.sample_fps)
    broken = (*pictures(3), Image.new("RGB", (9, 9)))
    with pytest.raises(UnsupportedMedia, match="frame 3 of 4 is 9 x 9 pixels, frame 1 is 6 x 4"):
        reds(open_video(VideoPart(source=broken, sample_fps=1.0), config).only([1, 3]))
