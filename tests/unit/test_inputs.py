# SPDX-License-Identifier: Apache-2.0
"""Values as users hand them in become plain Python, or are refused by the name of their field."""

from __future__ import annotations

import io
import json
import math
import os
import tempfile

import numpy as np
import pytest
import torch

from finesight.conversation import ImagePart, Sampling, VideoPart
from finesight.errors import ConfigError, UnsupportedMedia
from finesight.geometry import Box, Point, Size
from finesight.inputs import Limits, plain, plain_list, read_if_open, shown, shown_bytes

SCALARS = [
    (np.int64(3), 3, int),
    (np.uint8(3), 3, int),
    (np.float32(0.5), 0.5, float),
    (np.float64(0.5), 0.5, float),
    (np.bool_(True), True, bool),
    (np.array(3), 3, int),
    (np.array(0.5, np.float32), 0.5, float),
    (torch.tensor(3), 3, int),
    (torch.tensor(0.5), 0.5, float),
]


@pytest.mark.parametrize(("value", "expected", "kind"), SCALARS, ids=lambda item: repr(item)[:24])
def test_scalars_become_python_numbers(value, expected, kind):
    found = plain(value)
    assert found == expected
    assert type(found) is kind


def test_what_is_no_scalar_stays():
    array = np.zeros(2)
    assert plain(array) is array
    assert plain("3") == "3"
    assert plain(None) is None


@pytest.mark.parametrize(
    "values", [[0.0, 1.5], (0.0, 1.5), np.array([0.0, 1.5]), torch.tensor([0.0, 1.5])]
)
def test_lists_of_numbers_become_tuples(values):
    found = plain_list(values)
    assert found == (0.0, 1.5)
    assert {type(value) for value in found} == {float}


def test_records_hold_plain_numbers():
    picture = ImagePart(source="a.png", max_pixels=np.int64(5000), page=np.array(2))
    video = VideoPart(
        source="a.mp4", fps=np.float32(2.0), start_seconds=np.float64(1.0), nframes=4.0
    )
    frames = VideoPart(source=("a.png", "b.png"), timestamps=np.array([0.0, 0.5]))
    sampling = Sampling(
        temperature=np.float32(0.5), top_k=torch.tensor(3), loop_guard=np.bool_(False)
    )
    values = [
        *(picture.max_pixels, picture.page, video.fps, video.start_seconds, video.nframes),
        *(frames.timestamps, sampling.temperature, sampling.top_k, sampling.loop_guard),
    ]
    assert json.dumps(values) == "[5000, 2, 2.0, 1.0, 4, [0.0, 0.5], 0.5, 3, false]"
    sampling.check()


def test_places_hold_plain_numbers():
    size = Size(np.int64(3), torch.tensor(4))
    box = Box(np.float32(1), np.array(2), 3.5, torch.tensor(4.0))
    assert (size, box) == (Size(3, 4), Box(1.0, 2, 3.5, 4.0))
    assert json.dumps([size.width, size.height, box.x1, box.y1, box.y2]) == "[3, 4, 1.0, 2, 4.0]"
    assert type(Point(np.int8(1), np.float32(2)).y) is float


NO_NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    True,
    np.bool_(True),
    "4",
    [4],
    10**400,
    np.float32("nan"),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=shown)
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        *((ImagePart, name) for name in ("page", "min_pixels", "max_pixels", "resized_width")),
        *((VideoPart, name) for name in ("fps", "nframes", "min_frames", "max_frames")),
        *((VideoPart, name) for name in ("start_seconds", "end_seconds", "sample_fps")),
        *((VideoPart, name) for name in ("min_pixels", "max_pixels", "total_pixels")),
        *((Sampling, name) for name in ("max_new_tokens", "temperature", "top_p", "top_k")),
        *((Sampling, name) for name in ("repetition_penalty", "seed", "logprobs")),
    ],
    ids=lambda item: item if isinstance(item, str) else item.__name__,
)
def test_what_is_no_number_in_range_is_refused_by_name(kind, field, value):
    source = {} if kind is Sampling else {"source": "a"}
    with pytest.raises(ConfigError, match=rf"has {field}="):
        kind(**source, **{field: value}).check()


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (VideoPart(source="a.mp4", start_seconds=-1.0), "start_seconds=-1.0"),
        (VideoPart(source="a.mp4", end_seconds=-1), "end_seconds=-1"),
        (VideoPart(source="a.mp4", fps=-2.0), "fps=-2.0"),
        (VideoPart(source="a.mp4", fps=np.array([1.0, 2.0])), "fps=array"),
        (VideoPart(source="a.mp4", fps=1e-300), "fps=1e-300"),
        (VideoPart(source="a.mp4", nframes=2.5), "nframes=2.5"),
        (ImagePart(source="a.png", max_pixels=-4), "max_pixels=-4"),
        (ImagePart(source="a.png", min_pixels=10**12), "min_pixels=1000000000000"),
        (ImagePart(source="a.png", page=-1), "page=-1"),
        (Sampling(temperature=1e-40), "temperature=1e-40"),
        (Sampling(seed=2**64), "seed=18446744073709551616"),
        (Sampling(max_new_tokens=None), "max_new_tokens=None"),
        (Sampling(stop=(5,)), r"stop=\(5,\)"),
        (Sampling(stop=7), "stop=7"),
        (Sampling(loop_guard="no"), "loop_guard='no'"),
    ],
)
def test_negative_tiny_and_huge_values_are_refused(part, field):
    with pytest.raises(ConfigError, match=field):
        part.check()


def test_one_stop_text_is_not_taken_apart():
    assert Sampling(stop="END").stop == ("END",)
    assert Sampling(stop=["END", "STOP"]).stop == ("END", "STOP")


def test_limits_say_what_is_expected():
    assert str(Limits(least=0, most=1, excludes_least=True)) == "a number above 0 and at most 1"
    rate = Limits(least=0.000001, most=2_000_000, is_whole=True, unit="pixels")
    assert str(rate) == "a whole number from 0.000001 to 2,000,000 pixels"


def test_an_open_file_is_read_from_its_start(tmp_path):
    buffer = io.BytesIO()
    buffer.write(b"some bytes")  # and stands at its end now
    assert read_if_open(buffer) == b"some bytes"
    assert read_if_open(buffer) == b"some bytes"
    path = tmp_path / "a.bin"
    path.write_bytes(b"of a file")
    with path.open("rb") as stream:
        part = ImagePart(source=stream)
    assert part.source == b"of a file"  # also after it was closed
    assert VideoPart(source=[buffer, path]).source == (b"some bytes", path)


def test_a_temporary_file_and_a_pipe(tmp_path):
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(b"written")
        assert read_if_open(stream) == b"written"
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write(b"through a pipe")
    with os.fdopen(reading, "rb") as stream:
        assert read_if_open(stream) == b"through a pipe"


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("words")
    with (
        path.open() as stream,
        pytest.raises(UnsupportedMedia, match="returns str, expected bytes") as caught,
    ):
        read_if_open(stream)
    assert "rb" in caught.value.hint
    with pytest.raises(UnsupportedMedia, match="closed file"):
        read_if_open(stream)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_500_000_000, "1.5 GB"),
        (2 * 10**15, "2000.0 TB"),
    ],
)
def test_a_number_of_bytes_is_shown_in_a_unit_that_fits(count, text):
    assert shown_bytes(count) == text
