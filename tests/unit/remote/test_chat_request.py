# SPDX-License-Identifier: Apache-2.0
"""Bodies of chat-completions requests are honoured, or refused by the name of the field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finesight.conversation import ImagePart, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.remote.chat_request import read_request

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
OTHER_TOOL = {"type": "function", "function": {"name": "hear", "parameters": {}}}


def read(defaults=None, **body):
    return read_request({"messages": HELLO, **body}, defaults or Sampling(max_new_tokens=7))


def shown(*parts, **body):
    """The media of a request that shows these parts."""
    body = {"messages": [{"role": "user", "content": list(parts)}], **body}
    return list(read_request(body, Sampling()).conversation.media())


def test_what_is_left_out_is_the_checkpoints():
    defaults = Sampling(max_new_tokens=7, temperature=0.5, top_k=3)
    request = read(defaults)
    assert request.sampling == defaults
    assert (request.model, request.num_choices) == (None, 1)


def test_every_sampling_field_is_honoured():
    request = read(
        model="m",
        max_completion_tokens=9,
        temperature=0.25,
        top_p=0.5,
        top_k=4,
        repetition_penalty=1.5,
        seed=11,
        stop=["a", "b"],
        logprobs=True,
        top_logprobs=2,
        n=3,
    )
    assert request.sampling == Sampling(
        max_new_tokens=9,
        temperature=0.25,
        top_p=0.5,
        top_k=4,
        repetition_penalty=1.5,
        seed=11,
        stop=("a", "b"),
        logprobs=2,
    )
    assert (request.model, request.num_choices) == ("m", 3)


def test_media_and_tools_are_read():
    content = [{"type": "image_url", "image_url": {"url": "a.png"}}, {"type": "text", "text": "?"}]
    body = {"messages": [{"role": "user", "content": content}], "tools": [TOOL]}
    request = read_request(body, Sampling())
    assert request.conversation.messages[0].parts == (ImagePart(source="a.png"), TextPart("?"))
    assert request.conversation.tools == (TOOL,)


def test_no_tool_is_shown_if_none_may_be_called():
    assert read(tools=[TOOL], tool_choice="none").conversation.tools == ()
    assert read(tools=[TOOL], tool_choice="auto").conversation.tools == (TOOL,)


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"const": 1}}},
            {"const": 1},
        ),
    ],
)
def test_a_response_format_is_a_constraint(wanted, schema):
    assert read(response_format=wanted).sampling == Sampling(max_new_tokens=7, json_schema=schema)


@pytest.mark.parametrize(
    "field",
    [
        {"stream": False},
        {"mm_processor_kwargs": {"do_sample_frames": True}},
        {"top_k": -1},
        {"frequency_penalty": 0},
        {"presence_penalty": 0.0},
        {"logit_bias": {}},
        {"response_format": {"type": "text"}},
        {"parallel_tool_calls": True},
        {"store": False},
        {"user": "me"},
        {"metadata": {"a": "b"}},
        {"reasoning_effort": None},
        {"max_tokens": 7, "max_completion_tokens": 7},
        {"top_p": 0.5, "temperature": 0},
    ],
)
def test_a_field_that_asks_for_nothing_changes_nothing(field):
    request = read(**field)
    assert replace(request.sampling, top_p=1.0) == Sampling(max_new_tokens=7)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"stream": 1}, "stream is 1"),
        ({"stream_options": {"include_usage": True}}, "the answer is not streamed"),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options is"),
        ({"stream": True, "stream_options": []}, "stream_options is"),
        ({"frequency_penalty": 3}, "frequency_penalty=3"),
        ({"presence_penalty": "a lot"}, "presence_penalty='a lot'"),
        ({"logit_bias": {"5": 1}}, "logit_bias is"),
        ({"response_format": {"type": "xml"}}, "response_format is"),
        ({"response_format": {"type": "json_schema"}}, "response_format is"),
        ({"response_format": "json_object"}, "response_format is 'json_object'"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": "{}"}}},
            "response_format is",
        ),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls is 'no'"),
        ({"tool_choice": "required"}, "tool_choice is 'required', but no tools"),
        ({"tool_choice": "always", "tools": [TOOL]}, "tool_choice is 'always'"),
        ({"tool_choice": {"type": "function"}, "tools": [TOOL]}, "tool_choice is"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "see"}}, "tools": [TOOL]},
            "tool_choice names 'see'",
        ),
        ({"guided_json": {}, "guided_regex": "a"}, "guided_json and guided_regex are given"),
        ({"structured_outputs": {"json": {}, "regex": "a"}}, "structured_outputs is"),
        ({"structured_outputs": {"xml": "a"}}, "structured_outputs is"),
        ({"mm_processor_kwargs": {"fps": 2}}, "mm_processor_kwargs has fps, but the request shows"),
        ({"mm_processor_kwargs": {"speed": 2}}, "mm_processor_kwargs has speed=2"),
        ({"mm_processor_kwargs": 2}, "mm_processor_kwargs is 2"),
        ({"tools": "look"}, "tools is 'look'"),
        ({"tools": [{"type": "function"}]}, "tool 0 has no function name"),
        ({"functions": [TOOL]}, "functions is"),
        ({"temprature": 1}, "unknown field 'temprature'"),
        ({"temperature": "hot"}, "temperature='hot'; it must be a number"),
        ({"temperature": -1}, "temperature=-1"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens=1.5"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens=3 and max_completion_tokens=4"),
        ({"n": 0}, "n=0"),
        ({"n": True}, "n=True"),
        ({"stop": [""]}, "stop="),
        ({"seed": 0.5}, "seed=0.5"),
        ({"logprobs": 3}, "logprobs is 3"),
        ({"top_logprobs": 3}, "top_logprobs=3 without logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs=21"),
        ({"model": 3}, "model is 3"),
        ({"messages": None}, "messages is missing"),
        ({"messages": "Hello"}, "messages are a str"),
        ({"messages": [{"role": "user", "content": [{"type": "sound"}]}]}, "message 0, part 0"),
    ],
)
def test_what_cannot_be_honoured_is_an_error_with_its_name(field, said):
    with pytest.raises(ConfigError) as raised:
        read(**field)
    assert said in raised.value.message


def test_a_body_is_an_object():
    with pytest.raises(ConfigError, match="body is"):
        read_request([1], Sampling())


def test_choices_have_seeds_of_their_own_and_are_computed_once_at_temperature_0():
    drawn = read(n=3, temperature=1, seed=2**64 - 2)
    assert [each.seed for each in drawn.samplings()] == [2**64 - 2, 2**64 - 1, 0]
    assert [each.seed for each in read(n=2, temperature=1).samplings()] == [None, None]
    assert len(read(n=3, seed=1).samplings()) == 1


def test_a_stream_may_end_with_the_usage():
    assert not read().streams
    plain = read(stream=True)
    assert (plain.streams, plain.includes_usage) == (True, False)
    counted = read(
        stream=True, stream_options={"include_usage": True, "include_obfuscation": False}
    )
    assert counted.includes_usage


def test_calls_are_not_parallel_where_they_must_not_be():
    single = {"parallel_tool_calls": False, "tools": [TOOL]}
    assert read(**single).sampling.grammar == "text_or_tool_call"
    assert read(**single, tool_choice="required").sampling.grammar == "tool_call"
    assert read(**single, tool_choice="none").sampling.grammar is None
    assert read(parallel_tool_calls=False).sampling.grammar is None
    assert read(**single, guided_regex="a+").sampling.constraint == "regex"


def test_a_forced_call_is_a_grammar_and_a_named_tool_is_the_only_one_shown():
    tools = [TOOL, OTHER_TOOL]
    forced = read(tools=tools, tool_choice="required")
    assert (forced.sampling.grammar, forced.conversation.tools) == ("tool_calls", tuple(tools))
    for choice in (
        {"type": "function", "function": {"name": "hear"}},
        {"type": "function", "name": "hear"},
    ):
        named = read(tools=tools, tool_choice=choice)
        assert (named.sampling.grammar, named.conversation.tools) == ("tool_calls", (OTHER_TOOL,))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"guided_json": {"const": 1}}, {"json_schema": {"const": 1}}),
        ({"guided_regex": "a+"}, {"regex": "a+"}),
        ({"guided_choice": ["a", "b"]}, {"choice": ["a", "b"]}),
        ({"guided_grammar": "start: /a/"}, {"grammar": "start: /a/"}),
        ({"structured_outputs": {"json": {"const": 1}}}, {"json_schema": {"const": 1}}),
        ({"structured_outputs": {"choice": ["a"], "json": None}}, {"choice": ["a"]}),
        ({"structured_outputs": {"json_object": True}}, {"json_schema": {"type": "object"}}),
    ],
)
def test_constraints_of_vllm(field, expected):
    assert read(**field).sampling == Sampling(max_new_tokens=7, **expected)


def test_options_of_all_media_leave_those_of_a_part():
    picture = {"type": "image_url", "image_url": {"url": "a.png"}}
    own = {**picture, "max_pixels": 1000}
    video = {"type": "video_url", "video_url": {"url": "a.mp4"}}
    counted = {**video, "nframes": 4}
    options = {"max_pixels": 5000, "fps": [2, 2]}
    assert shown(picture, own, video, counted, mm_processor_kwargs=options) == [
        ImagePart(source="a.png", max_pixels=5000),
        ImagePart(source="a.png", max_pixels=1000),
        VideoPart(source="a.mp4", max_pixels=5000, fps=2),
        VideoPart(source="a.mp4", max_pixels=5000, nframes=4),
    ]
    with pytest.raises(ConfigError, match="fps=\\[1, 2\\]"):
        shown(video, mm_processor_kwargs={"fps": [1, 2]})
    with pytest.raises(ConfigError, match="shows no video"):
        shown(picture, mm_processor_kwargs={"fps": 1})
