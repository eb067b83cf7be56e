# SPDX-License-Identifier: Apache-2.0
"""Bodies of chat-completions requests are honoured or refused by name; responses have the fields clients read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from finesight.conversation import ImagePart, Sampling, TextPart, TokenLogprob, Usage
from finesight.errors import (
    ConfigError,
    DecodeError,
    EngineError,
    OutOfBlocks,
    PromptTooLong,
    QueueFull,
)
from finesight.remote.completions import completion, error_body, read_request, status_of
from tests.support.replies import picture_record, reply

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def read(defaults=None, **body):
    return read_request({"messages": HELLO, **body}, defaults or Sampling(max_new_tokens=7))


def answer(request, *replies):
    return completion(request, replies, model="m", response_id="chatcmpl-1", created=5)


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
        ({"stream": True}, "stream is True, which is not supported"),
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
        ({"parallel_tool_calls": False}, "parallel_tool_calls is False"),
        ({"tool_choice": "required", "tools": [TOOL]}, "tool_choice is 'required'"),
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


def test_a_response_has_the_fields_that_clients_read():
    request = read()
    found = answer(request, reply("four", picture_record()))
    assert found["object"] == "chat.completion"
    assert (found["id"], found["model"], found["created"]) == ("chatcmpl-1", "m", 5)
    (choice,) = found["choices"]
    assert choice["message"] == {"role": "assistant", "content": "four", "refusal": None}
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    assert found["usage"]["total_tokens"] == 203
    assert found["usage"]["prompt_tokens_details"] == {"cached_tokens": 0, "visual_tokens": 162}
    assert found["media"][0]["original"] == {"width": 1000, "height": 500}
    json.dumps(found, allow_nan=False)


def test_choices_share_the_prompt_in_the_usage():
    drawn = read(n=2, temperature=1)
    found = answer(drawn, reply("a"), reply("b"))
    assert [each["message"]["content"] for each in found["choices"]] == ["a", "b"]
    assert [each["index"] for each in found["choices"]] == [0, 1]
    assert (found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]) == (200, 6)
    same = answer(read(n=2), reply("a"))
    assert [each["message"]["content"] for each in same["choices"]] == ["a", "a"]


def test_a_loop_is_named_beside_the_reason_clients_know():
    (choice,) = answer(read(), reply("la la", finish_reason="repetition"))["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("length", "repetition")


def test_calls_are_taken_out_of_the_text():
    text = 'I look.\n<tool_call>\n{"name": "look", "arguments": {"at": "é"}}\n</tool_call>'
    found = answer(read(tools=[TOOL]), reply(text, finish_reason="tool_calls"))
    message = found["choices"][0]["message"]
    assert message["content"] == "I look."
    (call,) = message["tool_calls"]
    assert call["function"] == {"name": "look", "arguments": '{"at": "é"}'}
    assert read_request({"messages": [*HELLO, message]}, Sampling()).conversation.messages[
        1
    ].tool_calls == ({"name": "look", "arguments": {"at": "é"}},)
    plain = answer(read(), reply(text))["choices"][0]["message"]
    assert plain["content"] == text
    assert "tool_calls" not in plain


def test_a_call_alone_leaves_no_content():
    text = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
    message = answer(read(tools=[TOOL]), reply(text))["choices"][0]["message"]
    assert message["content"] is None


def test_log_probabilities_have_bytes_and_are_finite():
    entries = (
        TokenLogprob(1, "é", -0.5, ((1, "é", -0.5), (2, "x", float("-inf")))),
        TokenLogprob(3, "\ufffd", -1.0),
    )
    given = replace(reply("é"), logprobs=entries)
    found = answer(read(logprobs=True, top_logprobs=2), given)["choices"][0]["logprobs"]["content"]
    assert found[0]["bytes"] == [195, 169]
    assert [each["logprob"] for each in found[0]["top_logprobs"]] == [-0.5, -9999.0]
    assert (found[1]["bytes"], found[1]["top_logprobs"]) == (None, [])
    assert answer(read(), given)["choices"][0]["logprobs"] is None


def test_cached_tokens_are_counted():
    usage = Usage(prompt_tokens=5, visual_tokens=0, completion_tokens=1, cached_tokens=4)
    found = answer(read(), replace(reply("a"), usage=usage))
    assert found["usage"]["prompt_tokens_details"]["cached_tokens"] == 4


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ConfigError("a"), 400, "invalid_request_error"),
        (DecodeError("a"), 400, "invalid_request_error"),
        (PromptTooLong("a"), 400, "invalid_request_error"),
        (QueueFull("a"), 429, "invalid_request_error"),
        (OutOfBlocks("a"), 500, "server_error"),
        (EngineError("a"), 500, "server_error"),
    ],
)
def test_errors_have_a_status_and_a_body(error, status, kind):
    assert status_of(error) == status
    found = error_body(error)["error"]
    assert (found["message"], found["type"], found["code"]) == ("a", kind, type(error).__name__)
