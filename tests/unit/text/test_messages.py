# SPDX-License-Identifier: Apache-2.0
"""The dictionaries users already have are read as they are, and nothing in them is passed over."""

from __future__ import annotations

import base64
import warnings

import numpy as np
import pytest
from PIL import Image

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.text.messages import conversation_from, read_messages, write_messages

PICTURE = Image.new("RGB", (28, 28))


def read_part(part):
    (message,) = read_messages([{"role": "user", "content": [part]}])
    return message.parts[0]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "x"}, TextPart("x")),
        ({"text": "x"}, TextPart("x")),
        ("x", TextPart("x")),
        ({"type": "image", "image": "a.png"}, ImagePart(source="a.png")),
        ({"type": "image", "image": PICTURE}, ImagePart(source=PICTURE)),
        ({"image": "a.png"}, ImagePart(source="a.png")),
        ({"type": "image_url", "image_url": "a.png"}, ImagePart(source="a.png")),
        ({"type": "image", "image_url": "a.png"}, ImagePart(source="a.png")),
        ({"image_url": {"url": "a.png", "detail": "auto"}}, ImagePart(source="a.png")),
        (
            {"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}, "uuid": "7"},
            ImagePart(source="a.png", detail="low"),
        ),
        (
            {
                "type": "image_url",
                "image_url": {"url": "a"},
                "min_pixels": 3136,
                "max_pixels": 9999,
            },
            ImagePart(source="a", min_pixels=3136, max_pixels=9999),
        ),
        (
            {"type": "image", "image": "a", "resized_height": 280, "resized_width": 420},
            ImagePart(source="a", resized_height=280, resized_width=420),
        ),
        ({"type": "image", "image": "a.pdf", "page": 3}, ImagePart(source="a.pdf", page=3)),
        ({"type": "image", "image": "a", "max_pixels": None}, ImagePart(source="a")),
    ],
)
def test_picture_and_text_parts(part, expected):
    assert read_part(part) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "video", "video": "a.mp4"}, VideoPart(source="a.mp4")),
        ({"video": "a.mp4", "fps": 1}, VideoPart(source="a.mp4", fps=1.0)),
        ({"video": "a.mp4", "fps": "auto"}, VideoPart(source="a.mp4", fps="auto")),
        (
            {"type": "video_url", "video_url": {"url": "a.mp4", "nframes": 8, "video_start": 1.5}},
            VideoPart(source="a.mp4", nframes=8, start_seconds=1.5),
        ),
        (
            {
                "type": "video",
                "video": "a.mp4",
                "fps": 0.5,
                "min_frames": 4,
                "max_frames": 16,
                "video_start": 1,
                "video_end": 9,
                "min_pixels": 16 * 28 * 28,
                "max_pixels": 64 * 28 * 28,
                "total_pixels": 20480 * 28 * 28,
            },
            VideoPart(
                source="a.mp4",
                fps=0.5,
                min_frames=4,
                max_frames=16,
                start_seconds=1.0,
                end_seconds=9.0,
                min_pixels=16 * 28 * 28,
                max_pixels=64 * 28 * 28,
                total_pixels=20480 * 28 * 28,
            ),
        ),
        (
            {"type": "video", "video": ["a", "b"], "sample_fps": "1", "raw_fps": 24},
            VideoPart(source=("a", "b"), sample_fps=1.0),
        ),
        ({"video": ["a", "b"], "fps": 4}, VideoPart(source=("a", "b"), fps=4.0)),
        (
            {"type": "video", "video": ["a", "b"], "timestamps": [0, 2.5]},
            VideoPart(source=("a", "b"), timestamps=(0.0, 2.5)),
        ),
    ],
)
def test_video_parts(part, expected):
    assert read_part(part) == expected


def test_numbers_of_numpy_are_numbers():
    part = {
        "video": ["a", "b"],
        "timestamps": np.array([0, 2.5]),
        "min_pixels": np.int64(3136),
        "max_pixels": np.array(9999),
        "total_pixels": np.float32(20000),
    }
    read = read_part(part)
    assert read == VideoPart(
        source=("a", "b"),
        timestamps=(0.0, 2.5),
        min_pixels=3136,
        max_pixels=9999,
        total_pixels=20000,
    )
    numbers = [*read.timestamps, read.min_pixels, read.max_pixels, read.total_pixels]
    assert {type(number) for number in numbers} == {int, float}
    assert read_part({"video": "a", "fps": np.float32(0.5)}) == VideoPart(source="a", fps=0.5)


def test_pictures_of_numpy_are_pictures():
    pixels = np.zeros((2, 28, 42, 3), np.uint8)
    assert read_part({"type": "image", "image": pixels[0]}).source is not None
    for frames in (pixels, list(pixels), tuple(pixels)):
        read = read_part({"type": "video", "video": frames, "fps": np.int32(2)})
        assert [frame.shape for frame in read.source] == [(28, 42, 3), (28, 42, 3)]
        assert read.fps == 2.0


def test_arguments_of_numpy_are_numbers():
    arguments = {"at": np.array([1, 2]), "share": np.float64(0.5), "id": np.int64(7)}
    call = {"name": "f", "arguments": arguments}
    (message,) = read_messages([{"role": "assistant", "tool_calls": [call]}])
    expected = {"at": [1, 2], "share": 0.5, "id": 7}
    assert message.tool_calls == ({"name": "f", "arguments": expected},)


def test_frames_in_one_address():
    frames = [b"one", b"two"]
    joined = ",".join(base64.b64encode(frame).decode() for frame in frames)
    part = {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{joined}"}}
    assert read_part(part) == VideoPart(source=(b"one", b"two"))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "x"}, Message("user", (TextPart("x"),))),
        ({"role": "developer", "content": "x"}, Message("system", (TextPart("x"),))),
        ({"role": "assistant", "content": None}, Message("assistant", ())),
        (
            {"role": "assistant", "content": "x", "refusal": None},
            Message("assistant", (TextPart("x"),)),
        ),
        (
            {"role": "tool", "tool_call_id": "1", "name": "f", "content": [{"image": "a.png"}]},
            Message("tool", (ImagePart(source="a.png"),)),
        ),
    ],
)
def test_messages(message, expected):
    assert read_messages([message]) == (expected,)


@pytest.mark.parametrize("arguments", ['{"a": [1]}', {"a": [1]}])
def test_tool_calls(arguments):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    (message,) = read_messages([{"role": "assistant", "tool_calls": [call]}])
    assert message.tool_calls == ({"name": "f", "arguments": {"a": [1]}},)


@pytest.mark.parametrize(
    ("part", "message", "hint"),
    [
        ({"type": "image", "image": "a", "max_pixel": 1}, "unknown key 'max_pixel'", "max_pixels"),
        ({"type": "text", "text": "x", "fps": 1}, "unknown key 'fps'", "text"),
        ({"type": "imag", "image": "a"}, "type is 'imag'", "image"),
        ({"type": "input_audio", "input_audio": {}}, "type is 'input_audio'", ""),
        ({"type": "image"}, "has 0 of the keys", "exactly one"),
        ({"type": "image", "image": "a", "image_url": "b"}, "has 2 of the keys", "exactly one"),
        ({"type": "image", "image": ""}, "image is empty", "path"),
        ({"type": "image", "image": ["a", "b"]}, "image is a list", "video"),
        ({"type": "video", "video": []}, "video is empty", "path"),
        ({"fps": 1}, "no type", "video_url"),
        ({"image": "a", "video": "b"}, "no type", ""),
        ({"type": "text", "text": 3}, "text is a int", "string"),
        ({"video": "a", "fps": 1, "nframes": 4}, "both fps=1.0 and nframes=4", "not both"),
        ({"video": "a", "fps": 0}, "fps=0.0; it must be a number from 0.000001", ""),
        ({"video": "a", "fps": True}, "fps=True is a bool", ""),
        ({"video": "a", "fps": "fast"}, "fps='fast' is not a number", ""),
        ({"video": "a", "fps": float("nan")}, "fps=nan is not a finite number", ""),
        ({"video": "a", "fps": np.float32("inf")}, "fps=inf is not a finite number", ""),
        ({"video": "a", "fps": np.bool_(True)}, "fps=True is a bool", ""),
        ({"video": "a", "fps": np.array([1, 2])}, "fps=array([1, 2]) is a ndarray", ""),
        ({"video": "a", "fps": 10**400}, "is not a number", ""),
        ({"video": "a", "fps": -1}, "fps=-1 is negative", "0 or above"),
        ({"video": "a", "video_start": "-1.5"}, "video_start=-1.5 is negative", ""),
        ({"video": "a", "video_end": float("inf")}, "video_end=inf is not a finite number", ""),
        ({"video": "a", "total_pixels": -1}, "total_pixels=-1 is negative", ""),
        ({"video": ["a"], "timestamps": [-1]}, "timestamps[0]=-1 is negative", ""),
        ({"video": ["a"], "timestamps": np.array([np.nan])}, "timestamps[0]=nan", ""),
        ({"video": ["a"], "sample_fps": float("nan")}, "sample_fps=nan", ""),
        ({"image": "a", "max_pixels": float("nan")}, "max_pixels=nan", ""),
        ({"image": "a", "min_pixels": np.int64(-1)}, "min_pixels=-1 is negative", ""),
        ({"image": "a", "page": -1}, "page=-1 is negative", ""),
        ({"video": "a", "nframes": 2.5}, "nframes=2.5 is no whole number", ""),
        ({"video": "a", "video_start": 5, "video_end": 2}, "ends at 2.0 s", ""),
        ({"video": "a", "timestamps": [0]}, "only a list of frames takes", ""),
        ({"video": ["a", "b"], "timestamps": [0]}, "2 frames but 1 timestamps", ""),
        ({"video": ["a"], "timestamps": [None]}, "timestamps[0] is None", ""),
        ({"video": ["a"], "timestamps": 3}, "timestamps is a int", ""),
        ({"image": "a", "resized_height": 28}, "go together", ""),
        ({"image": "a", "min_pixels": 9, "max_pixels": 8}, "min_pixels=9 exceeds max_pixels=8", ""),
        ({"image_url": {"url": "a", "fps": 1}, "fps": 2}, "is given both", ""),
        ({"image_url": {"url": "a", "detail": "medium"}}, "detail is 'medium'", "low"),
        ({"video_url": "data:video/jpeg;base64,@@"}, "no base64", ""),
        ({"video_url": "data:video/jpeg;base64,\u00e9"}, "no base64", ""),
        (3, "a int is given instead of a dictionary", ""),
    ],
)
def test_wrong_parts_are_named(part, message, hint):
    with pytest.raises(ConfigError) as caught:
        read_messages([{"role": "user", "content": "x"}, {"role": "user", "content": ["y", part]}])
    assert message in caught.value.message
    assert "message 1, part 1" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"role": "usr", "content": "x"}, "role is 'usr'"),
        ({"content": "x"}, "role is None"),
        ({"role": "user", "content": 3}, "content is a int"),
        ({"role": "user", "content": "x", "contents": 1}, "unknown key 'contents'"),
        ({"role": "user", "tool_calls": [{}]}, "role 'user' has tool_calls"),
        ({"role": "assistant", "tool_calls": "f()"}, "tool_calls is a str"),
        ({"role": "assistant", "tool_calls": [{}]}, "tool call 0 has no name"),
        ({"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]}, "are not JSON"),
        ({"role": "assistant", "tool_calls": [{"name": "f", "arguments": [1]}]}, "are a list"),
        ("hello", "a str is given instead of a dictionary"),
    ],
)
def test_wrong_messages_are_named(wrong, message):
    with pytest.raises(ConfigError) as caught:
        read_messages([wrong])
    assert message in caught.value.message
    assert "message 0" in caught.value.message


@pytest.mark.parametrize(
    ("role", "hint"),
    [
        ("usr", "nearest: user"),
        ("boss", "known: ai, assistant, developer, function, human, system, tool, user"),
    ],
)
def test_all_names_are_listed_if_none_is_near(role, hint):
    with pytest.raises(ConfigError) as caught:
        read_messages([{"role": role, "content": "x"}])
    assert caught.value.hint == hint


@pytest.mark.parametrize("messages", ["hello", {"role": "user", "content": "x"}, 3])
def test_messages_are_a_list(messages):
    with pytest.raises(ConfigError, match="messages are a"):
        read_messages(messages)


@pytest.mark.parametrize("tool", [{}, {"type": "function"}, {"function": {"name": 3}}, "f"])
def test_tools_have_names(tool):
    with pytest.raises(ConfigError, match="tool 0 has no function name"):
        conversation_from([{"role": "user", "content": "x"}], tools=[tool])


@pytest.mark.parametrize("name", ["role", "content", "x" * 10**6])
def test_an_error_does_not_repeat_a_text_of_a_client(name):
    """A role of 60 MB came back in the response."""
    with pytest.raises(ConfigError) as caught:
        read_messages([{"role": "user", name: "y" * 10**6 if name != "content" else 5}])
    assert len(str(caught.value)) < 400


def test_records_pass_through():
    message = Message("user", (TextPart("x"),))
    tool = {"type": "function", "function": {"name": "f"}}
    expected = Conversation((message, message), (tool,))
    assert conversation_from([message, {"role": "user", "content": "x"}], [tool]) == expected


@pytest.mark.parametrize(
    ("text", "media", "warns"),
    [
        ("<image>\nWhat?", [{"image": "a"}], True),
        ("<image><image>", [{"image": "a"}, {"image": "b"}], True),
        ("<video> What?", [{"video": "a"}], True),
        ("What does <image> mean?", [], False),
        ("What do <image> and <image> mean?", [{"image": "a"}], False),
        ("<video> What?", [{"image": "a"}], False),
        ("What?", [{"image": "a"}], False),
    ],
)
def test_markers_of_media_are_warned_of_and_stay_text(text, media, warns):
    content = [*media, {"text": text}]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = conversation_from(
            [{"role": "system", "content": "s"}, {"role": "user", "content": content}]
        )
    assert found.messages[1].parts[-1] == TextPart(text)
    assert len(caught) == warns
    if warns:
        assert "message 1 holds <" in str(caught[0].message)
        assert caught[0].filename == __file__


def test_written_messages_are_read_back():
    messages = (
        Message("system", (TextPart("s"),)),
        Message("user", (ImagePart(source="a", page=2, max_pixels=9999), TextPart("x"))),
        Message("user", (ImagePart(source="a", detail="low"),)),
        Message("assistant", (), ({"name": "f", "arguments": {"a": 1}},)),
        Message("tool", (VideoPart(source=("a", "b"), timestamps=(0.0, 1.5), total_pixels=9999),)),
        Message("user", (VideoPart(source="v", fps=0.5, start_seconds=1.0, end_seconds=2.0),)),
    )
    assert read_messages(write_messages(messages)) == messages
