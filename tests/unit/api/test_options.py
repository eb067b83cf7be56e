# SPDX-License-Identifier: Apache-2.0
"""What is said beside a question becomes a conversation and a sampling, or an error."""

from __future__ import annotations

import pytest

from finesight.api import options
from finesight.conversation import ImagePart, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError


def parts_of(conversation):
    return conversation.messages[-1].parts


def test_media_come_before_the_question():
    media = options.media_parts(["a.png"], ["b.mp4"], ())
    conversation = options.conversation_from("Why?", media, {})
    kinds = [type(part) for part in parts_of(conversation)]
    assert kinds == [ImagePart, VideoPart, TextPart]


def test_one_source_needs_no_list():
    assert options.media_parts("a.png", "b.mp4", ()) == options.media_parts(
        ["a.png"], ["b.mp4"], ()
    )


def test_a_sequence_of_pictures_is_a_frame_list():
    (part,) = options.media_parts((), [("f1.png", "f2.png")], ())
    assert part == VideoPart(source=("f1.png", "f2.png"))


def test_options_reach_their_parts():
    media = options.media_parts(["a.png"], ["b.mp4"], ())
    asked = options.AskOptions(fps=4.0, start=1.0, max_pixels=100_000, system="Be brief.")
    conversation = options.conversation_from("Why?", media, asked)
    picture, video, _ = parts_of(conversation)
    assert (picture.max_pixels, video.max_pixels) == (100_000, 100_000)
    assert (video.fps, video.start_seconds) == (4.0, 1.0)
    assert conversation.messages[0].role == "system"


def test_a_parts_own_options_win():
    own = ImagePart(source="a.png", max_pixels=5000)
    conversation = options.conversation_from("?", [own], {"max_pixels": 9000})
    assert parts_of(conversation)[0].max_pixels == 5000


@pytest.mark.parametrize(
    ("media", "asked", "what"),
    [
        ((), {"fps": 2.0}, "fps given without a picture or video"),
        (("a.png",), {"nframes": 4}, "nframes given without a video"),
        ((), {"max_pixels": 1000}, "max_pixels given without a picture or video"),
    ],
)
def test_an_option_without_effect_is_an_error(media, asked, what):
    parts = options.media_parts(list(media), (), ())
    with pytest.raises(ConfigError, match=what):
        options.conversation_from("?", parts, asked)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown option 'max_pixel'") as caught:
        options.check_options({"max_pixel": 3})
    assert "max_pixels" in caught.value.hint


def test_said_options_win_over_the_checkpoints():
    defaults = Sampling(temperature=0.5, top_k=3, max_new_tokens=77)
    sampling = options.sampling_from({"temperature": 0.0, "stop": "END", "seed": 3}, defaults)
    assert sampling == Sampling(temperature=0.0, top_k=3, max_new_tokens=77, stop=("END",), seed=3)


def test_a_value_out_of_range_is_an_error():
    with pytest.raises(ConfigError, match=r"top_p=1\.5"):
        options.sampling_from({"top_p": 1.5}, Sampling())


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [
        ("1", [0]),
        ("1-3,7", [0, 1, 2, 6]),
        ("9-", [8, 9]),
        (" 2 - 3 ", [1, 2]),
        (4, [4]),
        ([0, 2], [0, 2]),
        (range(2), [0, 1]),
    ],
)
def test_pages(pages, numbers):
    assert options.page_numbers(pages, 10) == numbers


@pytest.mark.parametrize(
    "pages",
    ["0", "11", "3-1", "a", "", "1-2-3", "-3", 10, [-1], "12-", "9" * 5000, "1-" + "9" * 12],
)
def test_pages_that_are_not_there(pages):
    with pytest.raises(ConfigError):
        options.page_numbers(pages, 10)
