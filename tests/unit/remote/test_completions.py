# SPDX-License-Identifier: Apache-2.0
"""Responses of the chat-completions format have the fields that clients read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from finesight.conversation import Sampling, TokenLogprob, Usage
from finesight.errors import (
    ConfigError,
    DeadlineExceeded,
    DecodeError,
    EngineError,
    OutOfBlocks,
    PromptTooLong,
    QueueFull,
)
from finesight.geometry import Box
from finesight.remote import completions
from finesight.remote.chat_request import read_request
from finesight.remote.completions import completion, error_body, status_of
from tests.support.replies import picture_record, reply

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def read(defaults=None, **body):
    return read_request({"messages": HELLO, **body}, defaults or Sampling(max_new_tokens=7))


def answer(request, *replies):
    return completion(request, replies, model="m", response_id="chatcmpl-1", created=5)


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
    resized = found["media"][0]["resized"]
    assert found["media"][0]["scale"] == [1000 / resized["width"], 500 / resized["height"]]
    json.dumps(found, allow_nan=False)


def test_boxes_are_in_pixels_of_the_original():
    record = picture_record()
    text = '```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "a"}]\n```'
    found = answer(read(), reply(text, record))["choices"][0]["finesight"]
    expected = record.resize.to_original(Box(10, 20, 30, 40))[0]
    (box,) = found["boxes"]
    assert (box["label"], box["box"]) == (
        "a",
        pytest.approx([expected.x1, expected.y1, expected.x2, expected.y2]),
    )
    assert (found["points"], found["truncated"], found["problems"]) == ([], False, [])


def test_choices_share_the_prompt_in_the_usage():
    drawn = read(n=2, temperature=1)
    found = answer(drawn, reply("a"), reply("b"))
    assert [each["message"]["content"] for each in found["choices"]] == ["a", "b"]
    assert [each["index"] for each in found["choices"]] == [0, 1]
    assert (found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]) == (200, 6)
    same = answer(read(n=2), reply("a"))
    assert [each["message"]["content"] for each in same["choices"]] == ["a", "a"]


def test_equal_choices_are_read_once(monkeypatch):
    """128 copies of a long answer took 128 times as long as one, while the server answered nobody."""
    read_answers, plain = [], completions.findings
    monkeypatch.setattr(
        completions, "findings", lambda found: read_answers.append(found) or plain(found)
    )
    found = answer(read(n=3, temperature=0), reply("four", picture_record()))
    assert len(read_answers) == 1
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
    assert found["choices"][0]["finesight"] == found["choices"][2]["finesight"]


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
        (QueueFull("a"), 429, "rate_limit_error"),
        (OutOfBlocks("a"), 400, "invalid_request_error"),
        (DeadlineExceeded("a"), 504, "timeout_error"),
        (EngineError("a"), 500, "server_error"),
    ],
)
def test_errors_have_a_status_and_a_body(error, status, kind):
    assert status_of(error) == status
    found = error_body(error)["error"]
    assert (found["message"], found["type"], found["code"]) == ("a", kind, type(error).__name__)
