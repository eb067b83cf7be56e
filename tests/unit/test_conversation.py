# SPDX-License-Identifier: Apache-2.0
"""Contradicting options are refused where they are given, with both values."""

from __future__ import annotations

import pytest

from finesight.conversation import (
    Conversation,
    ImagePart,
    Message,
    Sampling,
    TextPart,
    VideoPart,
)
from finesight.errors import ConfigError

FRAMES = ("a.png", "b.png")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (VideoPart(source="a.mp4", fps=2.0, nframes=8), "both fps=2.0 and nframes=8"),
        (VideoPart(source="a.mp4", fps=0), "fps=0"),
        (VideoPart(source="a.mp4", fps=float("nan")), "fps=nan"),
        (VideoPart(source="a.mp4", fps="often"), "fps='often'"),
        (VideoPart(source="a.mp4", nframes=0), "nframes=0"),
        (VideoPart(source="a.mp4", start_seconds=5, end_seconds=5), "not after its start"),
        (VideoPart(source="a.mp4", timestamps=(0.0,)), "only a list of frames takes"),
        (VideoPart(source="a.mp4", sample_fps=2.0), "only a list of frames takes"),
        (VideoPart(source=()), "empty list of frames"),
        (VideoPart(source=FRAMES, timestamps=(0.0,)), "2 frames but 1 timestamps"),
        (VideoPart(source=FRAMES, timestamps=(0.0, 1.0), sample_fps=2.0), "both timestamps"),
        (VideoPart(source=FRAMES, nframes=2), "only a file takes"),
        (VideoPart(source=FRAMES, start_seconds=1.0), "only a file takes"),
        (VideoPart(source="a.mp4", min_pixels=9, max_pixels=8), "min_pixels=9 exceeds"),
        (ImagePart(source="a.png", min_pixels=9, max_pixels=8), "min_pixels=9 exceeds"),
        (ImagePart(source="a.png", resized_height=28), "go together"),
        (VideoPart(source="a.mp4", resized_width=28), "go together"),
    ],
)
def test_contradicting_media_options_are_refused(part, said):
    with pytest.raises(ConfigError, match=said):
        part.check()


@pytest.mark.parametrize(
    "part",
    [
        VideoPart(source="a.mp4", fps="auto", max_frames=64),
        VideoPart(source="a.mp4", nframes=8, start_seconds=1.0, end_seconds=1.5),
        VideoPart(source=FRAMES, timestamps=(0.0, 0.0)),
        VideoPart(source=FRAMES, sample_fps=1.0),
        ImagePart(source=b"bytes", resized_height=28, resized_width=56),
    ],
)
def test_sensible_media_options_pass(part):
    part.check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", 0),
        ("temperature", -0.1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", 1e-300),
        ("repetition_penalty", float("inf")),
        ("temperature", float("inf")),
        ("temperature", float("nan")),
        ("seed", 2**64),
        ("seed", -(2**63) - 1),
        ("logprobs", 21),
        ("stop", ("",)),
        ("stop", ("a",) * 1001),
    ],
)
def test_a_sampling_value_out_of_range_is_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        Sampling(**{name: value}).check()


def test_media_come_in_order_of_appearance():
    first, second = ImagePart(source="a.png"), VideoPart(source="b.mp4")
    conversation = Conversation(
        (
            Message("user", (TextPart("Look:"), first)),
            Message("assistant", (TextPart("Yes."),)),
            Message("user", (second, TextPart("And this?"))),
        )
    )
    assert list(conversation.media()) == [first, second]
