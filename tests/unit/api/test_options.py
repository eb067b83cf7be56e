# SPDX-License-Identifier: Apache-2.0
"""What is said beside a question becomes a conversation and a sampling, or an error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from finesight.api import options
from finesight.api.sources import media_parts
from finesight.conversation import ImagePart, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError


def parts_of(conversation):
    return conversation.messages[-1].parts


def test_media_come_before_the_question():
    media = media_parts(["a.png"], ["b.mp4"], ())
    conversation = options.conversation_from("Why?", media, {})
    kinds = [type(part) for part in parts_of(conversation)]
    assert kinds == [ImagePart, VideoPart, TextPart]


def test_options_reach_their_parts():
    media = media_parts(["a.png"], ["b.mp4"], ())
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
    parts = media_parts(media, (), ())
    with pytest.raises(ConfigError, match=what):
        options.conversation_from("?", parts, asked)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown option 'max_pixel'") as caught:
        options.checked_options({"max_pixel": 3})
    assert "max_pixels" in caught.value.hint


def test_said_options_win_over_the_checkpoints():
    defaults = Sampling(temperature=0.5, top_k=3, max_new_tokens=77)
    sampling = options.sampling_from({"temperature": 0.0, "stop": "END", "seed": 3}, defaults)
    assert sampling == Sampling(temperature=0.0, top_k=3, max_new_tokens=77, stop=("END",), seed=3)


def test_a_value_out_of_range_is_an_error():
    with pytest.raises(ConfigError, match=r"top_p=1\.5"):
        options.sampling_from({"top_p": 1.5}, Sampling())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("image", "images"),
        ("video", "videos"),
        ("pdfs", "pdf"),
        ("max_tokens", "max_new_tokens"),
        ("pages", 'pdf=("scan.pdf", "1-3")'),
    ],
)
def test_near_names_are_suggested(wrong, right):
    with pytest.raises(ConfigError, match=f"unknown option '{wrong}'") as caught:
        options.checked_options({wrong: "a"})
    assert right in caught.value.hint


NUMBERS = [name for name in options.AskOptions.__annotations__ if name in options._LIMITS]


NO_NUMBERS = (math.nan, math.inf, -1e9, True, np.bool_(True), "3", [3], 10**400)


@pytest.mark.parametrize(
    ("name", "value"),
    # a seed may be negative
    [(n, v) for n in NUMBERS for v in NO_NUMBERS if (n, v) != ("seed", -1e9)],
)
def test_what_is_no_number_is_refused_by_the_name_of_the_option(name, value):
    with pytest.raises(ConfigError, match=f"^the option {name}="):
        options.checked_options({name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("system", 5, "a text"),
        ("tools", "search", "a list of tools"),
        ("stop", 5, "a text or a list of texts"),
        ("add_vision_id", 1, "True or False"),
        ("loop_guard", "yes", "True or False"),
        ("json_schema", 5, "a JSON Schema"),
        ("regex", b"a", "a text"),
        ("choice", 5, "a list of texts"),
        ("grammar", ["boxes"], "a text"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value, expected):
    with pytest.raises(ConfigError, match=f"^the option {name}=.*; it must be {expected}"):
        options.checked_options({name: value})


def test_none_leaves_an_option_out():
    nothing = dict.fromkeys(options.AskOptions.__annotations__)
    assert options.checked_options(nothing) == {}
    assert options.sampling_from(nothing, Sampling(top_k=3)) == Sampling(top_k=3)


def test_options_become_plain_numbers():
    asked = {"fps": np.float32(2), "nframes": None, "max_pixels": np.array(5000), "seed": 3.0}
    found = options.checked_options(asked)
    assert found == {"fps": 2.0, "max_pixels": 5000, "seed": 3}
    assert [type(value) for value in found.values()] == [float, int, int]
    assert options.checked_options({"fps": "auto"}) == {"fps": "auto"}


def test_the_question_is_a_text():
    with pytest.raises(ConfigError, match="the question is a int"):
        options.conversation_from(5, [], {})


def test_a_tool_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="tool 0 has no function name"):
        options.conversation_from("?", [], {"tools": [5]})


def test_options_beside_a_conversation_are_those_of_sampling():
    base = Sampling(temperature=0.5)
    assert options.sampling_of(base, {"top_k": 3}, Sampling()) == Sampling(temperature=0.5, top_k=3)
    assert options.sampling_of(None, {}, base) == base
    for name in ("fps", "images", "system"):
        with pytest.raises(ConfigError, match=f"{name} cannot be combined with a conversation"):
            options.sampling_of(None, {name: 1}, base)
    with pytest.raises(ConfigError, match="unknown option 'max_tokens'"):
        options.sampling_of(None, {"max_tokens": 1}, base)
    with pytest.raises(ConfigError, match="sampling is a dict"):
        options.sampling_of({"top_k": 3}, {}, base)


@pytest.mark.parametrize(("name", "value"), [("top_p", 0.5), ("top_k", 3), ("min_p", 0.1)])
def test_options_that_choose_among_tokens_need_a_temperature(name, value):
    greedy = Sampling(temperature=0.0)
    with pytest.raises(ConfigError, match=f"{name}={value} has no effect at temperature 0"):
        options.sampling_from({name: value}, greedy)
    assert options.sampling_from({name: value, "temperature": 0.5}, greedy).temperature == 0.5
    assert options.sampling_from({name: 1.0 if name == "top_p" else 0}, greedy) == greedy


@pytest.mark.parametrize(
    ("name", "where"),
    [("all", "all_=True"), ("stream", "model.stream"), ("model", "finesight.load")],
)
def test_words_that_are_options_elsewhere_say_where(name, where):
    with pytest.raises(ConfigError, match="unknown option") as caught:
        options.checked_options({name: True})
    assert where in caught.value.hint


def test_values_of_tools_are_plain_json():
    def asked(value):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"x": value}}}
        return options.conversation_from("?", [], {"tools": [tool]})

    (tool,) = asked(np.int64(3)).tools
    assert type(tool["function"]["parameters"]["x"]) is int
    for value in (math.nan, {1, 2}):
        with pytest.raises(ConfigError, match="a tool is no JSON"):
            asked(value)
