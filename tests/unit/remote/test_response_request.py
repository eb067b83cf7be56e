# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests to `/v1/responses` are honoured, or refused by the name of the field."""

from __future__ import annotations

import base64

import pytest

from finesight.conversation import ImagePart, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.remote.response_request import read_response_request

PIXEL = "data:image/png;base64," + base64.b64encode(b"not read here").decode()
TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": {}}
OTHER_TOOL = {"type": "function", "name": "hear", "parameters": {}, "strict": True}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"n": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "seen"}


def read(given="Hello", defaults=None, **body):
    return read_response_request(
        {"input": given, **body}, defaults or Sampling(max_new_tokens=7, temperature=0.5)
    )


def messages(*items, **body):
    return read(list(items), **body).chat.conversation.messages


def test_a_text_is_one_question():
    request = read()
    (message,) = request.chat.conversation.messages
    assert (message.role, message.parts) == ("user", (TextPart("Hello"),))
    assert request.chat.sampling == Sampling(max_new_tokens=7, temperature=0.5)
    assert (request.chat.model, request.chat.streams) == (None, False)


def test_every_sampling_field_is_honoured():
    chat = read(
        model="m",
        stream=True,
        max_output_tokens=9,
        temperature=0.25,
        top_p=0.5,
        top_k=4,
        seed=11,
        stop=["a"],
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    ).chat
    assert (chat.model, chat.streams) == ("m", True)
    assert chat.sampling == Sampling(
        max_new_tokens=9, temperature=0.25, top_p=0.5, top_k=4, seed=11, stop=("a",), logprobs=2
    )


def test_log_probabilities_are_given_where_they_are_included():
    assert read().chat.sampling.logprobs is None
    assert read(include=["message.output_text.logprobs"]).chat.sampling.logprobs == 0
    assert read(include=["reasoning.encrypted_content"]).chat.sampling.logprobs is None
    with pytest.raises(ConfigError, match="may call tools"):
        read(top_logprobs=1, tools=[TOOL])


def test_instructions_come_before_all_messages():
    system, user = messages({"role": "user", "content": "Hello"}, instructions="Be brief.")
    assert (system.role, system.parts) == ("system", (TextPart("Be brief."),))
    assert user.role == "user"


def test_parts_are_those_of_the_format():
    (message,) = messages(
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": PIXEL, "detail": "low", "file_id": None},
                {"type": "video_url", "video_url": {"url": "a.mp4"}, "fps": 1},
            ],
        }
    )
    assert message.parts == (
        TextPart("Look:"),
        ImagePart(source=PIXEL, detail="low"),
        VideoPart(source="a.mp4", fps=1),
    )


def test_a_text_file_is_shown():
    data = base64.b64encode(b"a text file").decode()
    part = {"type": "input_file", "filename": "a.txt", "file_data": data}
    (message,) = messages({"role": "user", "content": [part]})
    assert message.parts == (TextPart("a text file"),)


def test_earlier_output_is_input_again():
    text = {"type": "output_text", "text": "Well.", "annotations": [], "logprobs": [{"token": "W"}]}
    said = {"id": "m1", "type": "message", "role": "assistant", "status": "completed"}
    user, turn, tool = messages(
        {"role": "user", "content": "Look"},
        {**said, "content": [text]},
        {**CALL, "id": "f1", "status": "completed"},
        {**CALL, "call_id": "c2", "arguments": '{"n": 2}'},
        OUTPUT,
    )
    assert (user.role, turn.role, tool.role) == ("user", "assistant", "tool")
    assert turn.parts == (TextPart("Well."),)
    assert turn.tool_calls == (
        {"name": "look", "arguments": {"n": 1}},
        {"name": "look", "arguments": {"n": 2}},
    )
    assert tool.parts == (TextPart("seen"),)


def test_a_tool_can_show_a_picture():
    output = [
        {"type": "input_text", "text": "here"},
        {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
    ]
    *_, tool = messages(CALL, {**OUTPUT, "output": output})
    assert tool.parts == (TextPart("here"), ImagePart(source=PIXEL))


def test_tools_have_the_form_of_the_prompt():
    request = read(tools=[TOOL, OTHER_TOOL])
    look, hear = request.chat.conversation.tools
    assert look == {
        "type": "function",
        "function": {"name": "look", "description": "Looks.", "parameters": {}},
    }
    assert hear == {"type": "function", "function": {"name": "hear", "parameters": {}}}
    assert request.echoed["tools"] == [TOOL, OTHER_TOOL]


@pytest.mark.parametrize(
    ("choice", "names", "is_forced"),
    [
        ("auto", ["look", "hear"], False),
        ("none", [], False),
        ("required", ["look", "hear"], True),
        ({"type": "function", "name": "hear"}, ["hear"], True),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{**TOOL, "type": "function"}]},
            ["look"],
            False,
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "hear"}],
            },
            ["hear"],
            True,
        ),
    ],
)
def test_the_choice_of_tools_is_honoured(choice, names, is_forced):
    chat = read(tools=[TOOL, OTHER_TOOL], tool_choice=choice).chat
    assert [tool["function"]["name"] for tool in chat.conversation.tools] == names
    assert chat.sampling.grammar == ("tool_calls" if is_forced else None)


def test_calls_are_not_parallel_where_they_must_not_be():
    single = {"parallel_tool_calls": False, "tools": [TOOL]}
    request = read(**single)
    assert request.chat.sampling.grammar == "text_or_tool_call"
    assert request.echoed["parallel_tool_calls"] is False
    assert read(**single, tool_choice="required").chat.sampling.grammar == "tool_call"
    assert read(**single, tool_choice="none").chat.sampling.grammar is None
    assert read(parallel_tool_calls=False).chat.sampling.grammar is None
    form = {"format": {"type": "json_object"}}
    assert read(**single, text=form).chat.sampling.constraint == "json_schema"


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, '{"type": "object"}'),
        (
            {
                "type": "json_schema",
                "name": "n",
                "schema": {"type": "integer"},
                "strict": True,
            },
            '{"type": "integer"}',
        ),
    ],
)
def test_the_format_of_the_text_is_honoured(form, schema):
    request = read(text={"format": form, "verbosity": None})
    assert request.chat.sampling.json_schema == schema
    assert request.echoed["text"]["format"] == form


def test_what_labels_a_request_is_repeated():
    request = read(metadata={"a": "b"}, user="u", prompt_cache_key="k")
    assert request.echoed["metadata"] == {"a": "b"}
    assert (request.echoed["user"], request.echoed["prompt_cache_key"]) == ("u", "k")


@pytest.mark.parametrize(
    "body",
    [
        {"store": False},
        {"background": False},
        {"reasoning": {}},
        {"reasoning": {"effort": None, "summary": None}},
        {"reasoning": {"effort": "none"}},
        {"truncation": "disabled"},
        {"parallel_tool_calls": True},
        {"service_tier": "auto"},
        {"previous_response_id": None},
        {"stream_options": {"include_obfuscation": False}},
    ],
)
def test_a_value_that_asks_for_nothing_changes_nothing(body):
    assert read(**body) == read()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"store": True}, "store is True, but responses are not stored"),
        ({"previous_response_id": "resp_1"}, "previous_response_id is 'resp_1', but .* not stored"),
        ({"conversation": "conv_1"}, "conversation is 'conv_1'"),
        ({"background": True}, "background is True"),
        ({"reasoning": {"effort": "high"}}, "reasoning is"),
        ({"truncation": "auto"}, "truncation is 'auto'"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls is 'no'"),
        ({"max_tokens": 4}, "unknown field 'max_tokens'"),
        ({"messages": []}, "unknown field 'messages'"),
        ({"max_output_tokens": 0}, "max_output_tokens=0; it must be"),
        ({"instructions": 3}, "instructions is 3"),
        ({"metadata": 3}, "metadata is 3"),
        ({"stream": "yes"}, "stream is 'yes'"),
        ({"stream_options": {"include_usage": True}}, "stream_options is"),
        ({"include": ["web_search_call.results"]}, "include is"),
        ({"tools": {}}, "tools is {}"),
        ({"tools": [{"type": "web_search"}]}, "tool 0 is {'type': 'web_search'}"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tool 0 has 'defer_loading'"),
        ({"tool_choice": "required"}, "no tools are given"),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, "tool_choice is"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "tools": [OTHER_TOOL]}},
            "tool_choice allows",
        ),
        ({"text": "json"}, "text is 'json'"),
        ({"text": {"verbosity": "low"}}, "text is"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format is"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format is"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(body, words):
    with pytest.raises(ConfigError, match=words):
        read(**body)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], r"input is \[\]"),
        (["Hello"], "input item 0: it is 'Hello'"),
        ([{"content": "Hello"}], "input item 0: its type is None"),
        ([{"type": "reasoning", "summary": []}], "input item 0: its type is 'reasoning'"),
        ([{"type": "item_reference", "id": "m"}], "input item 0: item_reference names a stored"),
        ([{"role": "user", "content": "a"}, {"role": "bad", "content": "a"}], "input item 1: role"),
        (
            [{"role": "user", "content": [{"type": "input_audio", "text": ""}]}],
            "input item 0: part 0: type",
        ),
        (
            [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}],
            "input item 0: file_id names a stored file",
        ),
        ([OUTPUT], "input item 0: no function_call before it has the call_id 'c1'"),
        ([{**CALL, "name": None}], "input item 0: name is None"),
        ([{**CALL, "arguments": "{"}], "input item 0: tool call 0: its arguments are not JSON"),
        ([CALL, {**OUTPUT, "output": 3}], "input item 1: output is 3"),
        ([CALL, {**OUTPUT, "extra": 3}], "input item 1: unknown key 'extra'"),
    ],
)
def test_an_item_that_is_not_known_is_named(items, words):
    with pytest.raises(ConfigError, match=words):
        read(items)


def test_a_body_is_an_object_with_input():
    with pytest.raises(ConfigError, match="body is"):
        read_response_request([], Sampling())
    with pytest.raises(ConfigError, match="input is missing"):
        read_response_request({"model": "m"}, Sampling())
