# SPDX-License-Identifier: Apache-2.0
"""Videos that are broken, cut short or none at all: the error names the file, and the time where there is one."""

from __future__ import annotations

import re
from fractions import Fraction

import av
import numpy as np
import pytest

from finesight.conversation import VideoPart
from finesight.errors import DecodeError, FetchRefused, MediaTooLarge, UnsupportedMedia
from finesight.media import container as container_module
from finesight.media.video import open_video
from tests.support.clips import numbered, read_number, write_clip

GRAINY = {"preset": "ultrafast", "g": "15", "bf": "0"}


@pytest.fixture(scope="module")
def grainy() -> list[np.ndarray]:
    """60 numbered frames with noise, so that every packet holds some thousand bytes."""
    random = np.random.default_rng(0)
    return [frame // 2 + random.integers(0, 100, frame.shape, np.uint8) for frame in numbered(60)]


def read(path, config, **options) -> list[int]:
    clip = open_video(VideoPart(source=path, **options), config)
    return [read_number(frame) for frame in clip.frames()]


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
@pytest.mark.parametrize("filler", ["zeros", "noise"])
def test_broken_in_the_middle(folder, config, grainy, name, filler):
    data = bytearray(write_clip(folder / name, grainy, options=GRAINY).read_bytes())
    start, end = len(data) * 45 // 100, len(data) // 2
    noise = np.random.default_rng(1).integers(0, 256, end - start, np.uint8).tobytes()
    data[start:end] = bytes(end - start) if filler == "zeros" else noise
    path = folder / f"broken_{name}"
    path.write_bytes(data)
    with pytest.raises(
        DecodeError, match=rf"broken_{re.escape(name)} is broken: the frame at"
    ) as e:
        read(path, config, nframes=20)
    seconds = float(re.search(r"the frame at ([\d.]+) s", str(e.value)).group(1))
    assert 0.7 < seconds < 1.4
    assert f"end_seconds below {seconds:.2f}" in e.value.hint
    # The intact parts can be used; what comes out is whole.
    assert read(path, config, nframes=4, end_seconds=0.6)[0] == 0
    assert len(read(path, config, nframes=4, start_seconds=1.55)) == 4


def test_a_file_whose_index_is_missing(folder, config, clip):
    path = folder / "no_index.mp4"
    path.write_bytes(clip.read_bytes()[:1500])
    with pytest.raises(DecodeError, match=r"no_index\.mp4 is a broken MP4 video") as caught:
        read(path, config)
    assert "saved completely" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "options"), [("front.mp4", {"movflags": "faststart"}), ("cut.mkv", {})]
)
def test_cut_short(folder, config, grainy, name, options):
    whole = write_clip(folder / name, grainy, options=GRAINY, container_options=options)
    path = folder / f"short_{name}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with pytest.raises(DecodeError, match=r"is cut short: it ends at 1\.\d\d s") as caught:
        read(path, config)
    seconds = float(caught.value.hint.rpartition("=")[2])
    assert read(path, config, nframes=4, end_seconds=seconds - 0.1)[0] == 0


def write_song(path, *, has_cover: bool) -> None:
    with av.open(str(path), "w", format="mp4") as target:
        sound = target.add_stream("aac", rate=8000)
        if has_cover:
            cover = target.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            picture = av.VideoFrame(16, 16, "yuvj420p")
            picture.pts, picture.time_base = 0, Fraction(1, 1)
            target.mux([*cover.encode(picture), *cover.encode(None)])
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        silence.sample_rate, silence.pts, silence.time_base = 8000, 0, Fraction(1, 8000)
        target.mux([*sound.encode(silence), *sound.encode(None)])


def test_nothing_but_sound(folder, config):
    write_song(folder / "sound.m4a", has_cover=False)
    with pytest.raises(UnsupportedMedia, match=r"sound\.m4a has no video stream: only audio"):
        read(folder / "sound.m4a", config)


def test_a_cover_picture_is_no_video(folder, config):
    write_song(folder / "song.m4a", has_cover=True)
    with pytest.raises(UnsupportedMedia, match=r"song\.m4a has no video stream"):
        read(folder / "song.m4a", config)


def test_no_frames(folder, config):
    path = folder / "frameless.mkv"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        target.start_encoding()
    with pytest.raises((DecodeError, UnsupportedMedia), match=r"frameless\.mkv"):
        read(path, config)


def test_a_stream_without_times(folder, config):
    path = write_clip(folder / "raw.h264", numbered(4))
    with pytest.raises(UnsupportedMedia, match="has 4 video packets without any time") as caught:
        read(path, config)
    assert "ffmpeg" in caught.value.hint


def test_things_that_are_no_video(folder, config, clip):
    text = folder / "words.mp4"
    text.write_text("no video, only words")
    with pytest.raises(UnsupportedMedia, match=r"words\.mp4 is no video but a text file"):
        read(text, config)
    picture = folder / "picture.mp4"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(UnsupportedMedia, match="is no video but a PNG picture") as caught:
        read(picture, config)
    assert "images= in Python, --image" in caught.value.hint
    empty = folder / "empty.mp4"
    empty.touch()
    with pytest.raises(DecodeError, match=r"is empty \(0 bytes\)"):
        read(empty, config)
    with pytest.raises(FetchRefused, match="is a directory"):
        read(folder, config)


def test_a_playlist_opens_nothing(folder, config, clip):
    """FFmpeg would open the files and addresses that a playlist names."""
    path = folder / "innocent.mp4"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UnsupportedMedia, match=r"innocent\.mp4 is no video but a playlist"):
        read(path, config)
    path.write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    with pytest.raises(UnsupportedMedia, match="is no video but a text file"):
        read(path, config)


def test_frames_that_are_too_large(clip, config, monkeypatch):
    monkeypatch.setattr(container_module, "MAX_FRAME_PIXELS", 128 * 72 - 1)
    with pytest.raises(MediaTooLarge, match="frames of 128 x 72 pixels; at most 9,215"):
        read(clip, config)


def test_a_wrong_extension_does_not_matter(folder, config, clip):
    path = folder / "really_mp4.avi"
    path.write_bytes(clip.read_bytes())
    assert read(path, config, nframes=2) == [0, 59]


def test_flipped_bytes_never_end_in_another_error(folder, config, clip):
    random = np.random.default_rng(0)
    path = folder / "flipped.mp4"
    data = clip.read_bytes()
    for _ in range(25):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 20):
            broken[place] = random.integers(0, 256)
        path.write_bytes(broken)
        try:
            read(path, config, nframes=4)
        except (DecodeError, UnsupportedMedia, MediaTooLarge) as error:
            message = str(error)
            assert "flipped.mp4" in message  # any of three is fine, and none too
