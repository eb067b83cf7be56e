# SPDX-License-Identifier: Apache-2.0
"""Responses, and the events of a streamed one, have the fields and the order that clients read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from finesight.conversation import Sampling, TokenLogprob
from finesight.errors import ConfigError, EngineError, QueueFull
from finesight.parse.action import read_tool_calls
from finesight.remote.response_request import read_response_request
from finesight.remote.responses import ResponseWriter
from tests.support.replies import picture_record, reply

TOOL = {"type": "function", "name": "look", "parameters": {}}
CALL_TEXT = '<tool_call>\n{"name": "look", "arguments": {"at": "é"}}\n</tool_call>'
(CALL,) = read_tool_calls(CALL_TEXT).calls


def writer(**body):
    request = read_response_request({"input": "Hello", **body}, Sampling(max_new_tokens=7))
    return ResponseWriter(request, model="m", response_id="resp_1", created=5)


def kinds(events):
    return [event["type"].removeprefix("response.") for event in events]


def test_a_text_has_its_events_in_order():
    writes = writer()
    events = writes.start() + writes.text("fo") + writes.text("ur") + writes.end(reply("four"))
    assert kinds(events) == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done", "content_part.done"),
        *("output_item.done", "completed"),
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert [event["delta"] for event in events if "delta" in event] == ["fo", "ur"]
    about = [event for event in events if "item_id" in event]
    assert {(event["item_id"], event["output_index"]) for event in about} == {("msg_resp_1_0", 0)}
    json.dumps(events, allow_nan=False)


def test_the_first_response_is_empty_and_the_last_is_whole():
    writes = writer(metadata={"a": "b"}, instructions="Be brief.", max_output_tokens=9)
    events = writes.start() + writes.text("four") + writes.end(reply("four", picture_record()))
    first, last = events[0]["response"], events[-1]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert (last["id"], last["object"], last["created_at"]) == ("resp_1", "response", 5)
    assert (last["status"], last["error"], last["incomplete_details"]) == ("completed", None, None)
    assert (last["metadata"], last["instructions"]) == ({"a": "b"}, "Be brief.")
    assert (last["store"], last["max_output_tokens"], last["temperature"]) == (False, 9, 0)
    (message,) = last["output"]
    assert (message["role"], message["status"]) == ("assistant", "completed")
    assert message["content"] == [
        {"type": "output_text", "text": "four", "annotations": [], "logprobs": []}
    ]
    assert last["usage"] == {
        "input_tokens": 200,
        "input_tokens_details": {"cached_tokens": 0, "visual_tokens": 162},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 203,
    }
    assert last["media"][0]["original"] == {"width": 1000, "height": 500}


def test_what_was_found_is_in_original_pixels():
    text = '```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "a"}]\n```'
    writes = writer()
    response = (writes.text(text) + writes.end(reply(text, picture_record())))[-1]["response"]
    assert response["finesight"]["boxes"][0]["label"] == "a"
    assert response["finesight"]["boxes"][0]["box"][0] == pytest.approx(10 * 1000 / 504, abs=0.51)


def test_a_call_is_an_item_of_its_own():
    writes = writer(tools=[TOOL])
    events = writes.text("See:") + writes.call(CALL) + writes.text("\n") + writes.call(CALL)
    events += writes.end(reply("..."))
    assert kinds(events) == [
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    added, delta, done, ended = events[6:10]
    assert (added["item"]["status"], added["item"]["arguments"]) == ("in_progress", "")
    assert delta["delta"] == done["arguments"] == ended["item"]["arguments"] == '{"at": "é"}'
    assert done["name"] == "look"
    message, first, second = events[-1]["response"]["output"]
    assert (message["type"], first["type"], second["type"]) == (
        *("message", "function_call", "function_call"),
    )
    assert first["call_id"] != second["call_id"]
    assert [event["output_index"] for event in events[:-1]] == [0] * 6 + [1] * 4 + [2] * 4


def test_an_empty_answer_is_an_empty_message():
    events = writer().end(reply(""))
    assert kinds(events)[0] == "output_item.added"
    (message,) = events[-1]["response"]["output"]
    assert message["content"][0]["text"] == ""


@pytest.mark.parametrize(
    ("reason", "stop_reason"), [("length", None), ("repetition", "repetition")]
)
def test_an_answer_that_was_cut_is_incomplete(reason, stop_reason):
    writes = writer()
    events = writes.text("fo") + writes.end(reply("fo", finish_reason=reason))
    assert kinds(events)[-1] == "incomplete"
    response = events[-1]["response"]
    assert response["status"] == response["output"][0]["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert (response["stop_reason"], response["completed_at"]) == (stop_reason, None)


def test_log_probabilities_are_those_of_the_text():
    entry = TokenLogprob(1, "fo", -0.5, top=((1, "fo", -0.5),))
    writes = writer(top_logprobs=1)
    events = writes.text("fo") + writes.end(replace(reply("fo"), logprobs=(entry,)))
    expected = {"token": "fo", "logprob": -0.5, "bytes": [102, 111]}
    done = next(event for event in events if event["type"] == "response.output_text.done")
    assert done["logprobs"] == [{**expected, "top_logprobs": [expected]}]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == done["logprobs"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("lost", hint="again"), "server_error"),
        (QueueFull("full"), "rate_limit_exceeded"),
        (ConfigError("wrong"), "invalid_prompt"),
    ],
)
def test_a_failure_ends_the_response(error, code):
    writes = writer()
    events = writes.start() + writes.text("fo") + writes.failed(error)
    assert kinds(events)[-2:] == ["output_item.done", "failed"]
    response = events[-1]["response"]
    assert (response["status"], response["usage"]) == ("failed", None)
    assert response["error"] == {"code": code, "message": str(error)}
    assert response["output"][0]["status"] == "incomplete"


def test_a_fault_of_the_server_is_an_event_of_its_own():
    writes = writer()
    writes.start()
    assert writes.error(EngineError("lost")) == {
        "type": "error",
        "sequence_number": 2,
        "code": "server_error",
        "message": "lost",
        "param": None,
    }
