# SPDX-License-Identifier: Apache-2.0
"""Histories as clients of chat models write them say the same as their plain form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from finesight.conversation import ImagePart, Message, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.text.chat_template import render
from finesight.text.messages import conversation_from, read_messages
from tests.unit.text.test_chat_template import written

PLAIN = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is it?"},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [{"name": "f", "arguments": {"x": 1}}],
    },
    {"role": "tool", "content": "42"},
    {"role": "assistant", "content": "It is 42."},
]


class Function(BaseModel):
    name: str
    arguments: str


class OpenAICall(BaseModel):
    id: str
    function: Function
    type: str = "function"


class OpenAIMessage(BaseModel):
    """Fields of an assistant message of the openai client."""

    content: str | None = None
    refusal: str | None = None
    role: str = "assistant"
    annotations: list[Any] | None = None
    audio: dict[str, Any] | None = None
    function_call: Any = None
    tool_calls: list[OpenAICall] | None = None


CALL = OpenAICall(id="c", function=Function(name="f", arguments='{"x": 1}'))
LANGCHAIN_TAIL = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}


def langchain(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    """A message of LangChain as `model_dump` gives it."""
    return {"content": content, **LANGCHAIN_TAIL, "type": kind, **more}


def ai(content: Any, **more: Any) -> dict[str, Any]:
    extra = {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None, "example": False}
    return langchain("ai", content, **(extra | more))


def dumped(message: dict[str, Any]) -> dict[str, Any]:
    """The same as `messages_to_dict` gives it."""
    return {"type": message["type"], "data": message}


def said(messages: Any) -> str:
    return written(render(conversation_from(messages)))


def with_call(message: Any) -> list[Any]:
    return [*PLAIN[:2], message, *PLAIN[3:]]


@pytest.mark.parametrize(
    "message",
    [
        OpenAIMessage(content="I look.", annotations=[], tool_calls=[CALL]),
        OpenAIMessage(content="I look.", tool_calls=[CALL]).model_dump(),
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}], "tool_calls": [CALL]},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": None,
            "function_call": {"name": "f", "arguments": '{"x": 1}'},
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '"{\\"x\\": 1}"'}}],
            "function_call": None,
            "audio": None,
            "annotations": [],
            "images": [],
            "reasoning_content": "",
            "thinking_blocks": None,
            "provider_specific_fields": {"refusal": None, "citations": []},
        },
        ai("I look.", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}]),
        ai(
            "I look.",
            tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}],
            additional_kwargs={"tool_calls": [CALL.model_dump()], "refusal": None},
            response_metadata={"model_name": "m", "token_usage": {"total_tokens": 3}},
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        ),
        ai("I look.", additional_kwargs={"tool_calls": [CALL.model_dump()]}),
        ai(
            "I look.",
            type="AIMessageChunk",
            tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}],
            tool_call_chunks=[
                {"name": "f", "args": '{"x": 1}', "id": "c", "index": 0, "type": "tool_call_chunk"}
            ],
            chunk_position="last",
        ),
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look.", "cache_control": {"type": "ephemeral"}},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}},
            ],
        },
        ai(
            [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}}],
            tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}],
        ),
    ],
)  # fmt: skip
def test_a_call_of_any_client_says_the_same(message):
    assert said(with_call(message)) == said(PLAIN)


def test_a_history_of_langchain_says_the_same():
    calls = [{"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}]
    messages = [
        langchain("system", "Be brief."),
        langchain("human", "What is it?", example=False),
        ai("I look.", tool_calls=calls),
        langchain("tool", "42", tool_call_id="c", artifact=None, status="success"),
        ai("It is 42."),
    ]
    assert said(messages) == said(PLAIN)
    assert said([dumped(message) for message in messages]) == said(PLAIN)
    assert said([langchain("chat", "What is it?", role="user")]) == said([PLAIN[1]])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (OpenAIMessage(refusal="No."), Message("assistant", (TextPart("No."),))),
        (OpenAIMessage(content="Yes."), Message("assistant", (TextPart("Yes."),))),
        (OpenAIMessage(), Message("assistant", ())),
        (ai("", additional_kwargs={"refusal": "No."}), Message("assistant", (TextPart("No."),))),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            Message("assistant", (TextPart("No."),)),
        ),
        ({"role": "developer", "content": "x"}, Message("system", (TextPart("x"),))),
        ({"role": "function", "name": "f", "content": "1"}, Message("tool", (TextPart("1"),))),
        (
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "x", "annotations": [], "logprobs": []}
                ],
            },
            Message("assistant", (TextPart("x"),)),
        ),
    ],
)
def test_messages_of_clients(entry, expected):
    assert read_messages([entry]) == (expected,)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "x"}, TextPart("x")),
        (
            {"type": "input_image", "image_url": "a.png", "detail": "auto", "file_id": None},
            ImagePart(source="a.png"),
        ),
        ({"type": "image", "source_type": "url", "url": "a.png"}, ImagePart(source="a.png")),
        (
            {"type": "image", "source_type": "base64", "data": "AAAA", "mime_type": "image/png"},
            ImagePart(source="data:image/png;base64,AAAA"),
        ),
        (
            {"type": "image", "base64": "AAAA", "mime_type": "image/png", "id": "1"},
            ImagePart(source="data:image/png;base64,AAAA"),
        ),
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
            },
            ImagePart(source="data:image/png;base64,AAAA"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "a.png"}, "max_pixels": 9999},
            ImagePart(source="a.png", max_pixels=9999),
        ),
        (
            {"type": "video", "source_type": "base64", "data": "AAAA", "mime_type": "video/mp4"},
            VideoPart(source="data:video/mp4;base64,AAAA"),
        ),
    ],
)
def test_parts_of_clients(part, expected):
    (message,) = read_messages([{"role": "user", "content": [part]}])
    assert message.parts == (expected,)


@pytest.mark.parametrize("key", ["arguments", "args", "input"])
@pytest.mark.parametrize("value", ["", "null", "{}", None, {}, [], '""', '"{}"'])
def test_a_call_without_arguments(key, value):
    (message,) = read_messages([{"role": "assistant", "tool_calls": [{"name": "f", key: value}]}])
    assert message.tool_calls == ({"name": "f", "arguments": {}},)


def test_long_whole_numbers_in_arguments_are_exact():
    number = 12345678901234567890
    for arguments in (f'{{"x": {number}}}', {"x": number}):
        calls = [{"name": "f", "arguments": arguments}]
        (message,) = read_messages([{"role": "assistant", "tool_calls": calls}])
        assert message.tool_calls[0]["arguments"] == {"x": number}


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"role": "assistant", "content": "x", "reasoning_content": "hm"}, "reasoning_content is hm"),
        ({"role": "assistant", "content": "x", "annotations": [{"url": "u"}]}, "annotations is"),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "audio is"),
        ({"role": "assistant", "content": "x", "images": [{"u": 1}]}, "images is"),
        (
            {"role": "assistant", "content": "x", "provider_specific_fields": {"citations": ["u"]}},
            "provider_specific_fields is",
        ),
        (ai("x", invalid_tool_calls=[{"name": "f", "args": "{"}]), "invalid_tool_calls is"),
        (ai("x", additional_kwargs={"reasoning_content": "hm"}), "reasoning_content is hm"),
        (ai("x", additional_kwargs={"thought": "hm"}), "unknown key 'thought'"),
        (langchain("remove", ""), "type is 'remove'"),
        ({"type": "human", "role": "assistant", "content": "x"}, "unknown key 'type'"),
        ({"role": "assistant", "content": "x", "refusal": 3}, "refusal is a int"),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]},
            "type is 'thinking'",
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
            "has 0 of the keys",
        ),
        (
            {"role": "user", "content": [{"type": "image", "source_type": "id", "id": "f"}]},
            "source_type is 'id'",
        ),
        (
            {"role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": [1]}]},
            "annotations is",
        ),
        (
            {"role": "user", "content": [{"type": "tool_use", "name": "f", "input": {}}]},
            "role 'user' has tool_calls",
        ),
        (
            {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {}}, "x"]},
            "message 0, part 1: the part follows a tool call",
        ),
        ({"role": "user", "content": "x", "function_call": {"name": "f"}}, "has tool_calls"),
        (
            {"role": "assistant", "tool_calls": [CALL], "function_call": {"name": "g"}},
            "2 lists of tool calls, and they differ",
        ),
    ],
)  # fmt: skip
def test_what_a_model_cannot_be_shown_is_named(entry, named):
    with pytest.raises(ConfigError) as caught:
        read_messages([entry])
    assert named in caught.value.message
    assert caught.value.message.startswith("message 0")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"name": "f", "parameters": {}}, "unknown key 'parameters'"),
        ({"name": "f", "arguments": {}, "args": {}}, "both arguments and args"),
        ({"type": "custom", "custom": {"name": "f", "input": "x"}}, "type is 'custom'"),
        ({"name": "f", "arguments": "{"}, "are not JSON"),
        ({"name": "f", "arguments": '{"x": NaN}'}, "NaN is not a JSON number"),
        ({"name": "f", "arguments": {"x": float("inf")}}, "are not JSON"),
        ({"name": "f", "arguments": {"x": b"a"}}, "they contain a bytes"),
        ({"name": "f", "arguments": "[" * 100_000}, "are not JSON"),
        ({"name": "f", "arguments": '{"x": ' + "9" * 5000 + "}"}, "are not JSON"),
        ({"name": "f", "arguments": [1]}, "are a list"),
        ({"name": "f", "arguments": "7"}, "are a int"),
    ],
)
def test_a_call_that_cannot_be_read_is_named(call, named):
    with pytest.raises(ConfigError) as caught:
        read_messages([{"role": "assistant", "tool_calls": [CALL, call]}])
    assert named in caught.value.message
    assert caught.value.message.startswith("message 0, tool call 1")


@pytest.mark.parametrize(
    "entry",
    [
        {"role": "assistant", "tool_calls": np.zeros(3)},
        {"role": "assistant", "function_call": np.zeros(3)},
        {"role": "user", "content": [{"type": np.zeros(3), "text": "x"}]},
        {"role": np.zeros(3), "content": "x"},
        {"type": ["human"], "content": "x"},
        {"type": "human", "role": ["user"], "content": "x"},
        {"role": "user", "content": "x", "refusal": "y", "additional_kwargs": {"refusal": [1]}},
        {"role": "user", "content": "x", "additional_kwargs": 3},
        {"type": "human", "data": 3},
        {"role": "user", "content": [{"type": "image", "source": 3}]},
        {"role": "user", "content": [{"type": "image", "base64": 3}]},
    ],
)
def test_wrong_types_are_refused(entry):
    with pytest.raises(ConfigError, match="message 0"):
        read_messages([entry])


class Plain:
    """An object that is no message, though it has `model_dump`."""

    def model_dump(self) -> dict[str, str]:
        return {"role": "user", "content": "x"}


@pytest.mark.parametrize("entry", [Plain(), ("user", "x"), 3, None])
def test_other_objects_are_named_by_their_type(entry):
    with pytest.raises(ConfigError, match=f"a {type(entry).__name__} is given instead"):
        read_messages([entry])
