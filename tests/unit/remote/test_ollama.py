# SPDX-License-Identifier: Apache-2.0
"""Responses of Ollama's API have the fields that clients read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from finesight.conversation import TokenLogprob
from finesight.parse.action import read_tool_calls
from finesight.remote.ollama import OllamaWriter, Times, timestamp
from tests.support.replies import picture_record, reply

TIMES = Times(load=1, prompt=20, answer=300)
(CALL,) = read_tool_calls(
    '<tool_call>\n{"name": "look", "arguments": {"n": 1}}\n</tool_call>'
).calls


def writer(*, is_chat=True):
    return OllamaWriter(model="m:latest", response_id="r", is_chat=is_chat)


def test_a_piece_of_a_chat_is_a_message():
    piece = writer().piece("four")
    assert (piece["model"], piece["done"]) == ("m:latest", False)
    assert piece["message"] == {"role": "assistant", "content": "four"}
    assert datetime.fromisoformat(piece["created_at"]).tzinfo == UTC


def test_a_piece_of_a_text_is_a_response():
    piece = writer(is_chat=False).piece("four")
    assert (piece["response"], piece["done"]) == ("four", False)
    assert "message" not in piece


def test_the_last_object_has_counts_and_times():
    writes = writer()
    last = writes.last(writes.piece(""), reply("four", picture_record()), TIMES)
    assert (last["done"], last["done_reason"], last["stop_reason"]) == (True, "stop", None)
    assert (last["prompt_eval_count"], last["eval_count"]) == (200, 3)
    names = ("load_duration", "prompt_eval_duration", "eval_duration", "total_duration")
    assert [last[name] for name in names] == [1, 20, 300, 321]
    assert last["media"][0]["original"] == {"width": 1000, "height": 500}
    assert last["finesight"]["boxes"] == []
    assert "logprobs" not in last
    json.dumps(last, allow_nan=False)


def test_a_repetition_is_a_cut():
    writes = writer()
    last = writes.last(writes.piece(""), reply("a", finish_reason="repetition"), TIMES)
    assert (last["done_reason"], last["stop_reason"]) == ("length", "repetition")


def test_calls_are_objects_with_numbers_of_their_own():
    writes = writer()
    first, second = writes.piece("", [CALL])["message"], writes.piece("", [CALL])["message"]
    (one,), (two,) = first["tool_calls"], second["tool_calls"]
    assert one["function"] == {"index": 0, "name": "look", "arguments": {"n": 1}}
    assert two["function"]["index"] == 1
    assert one["id"] != two["id"]


def test_log_probabilities_are_those_of_the_piece():
    entry = TokenLogprob(1, "a", -0.5, top=((1, "a", -0.5),))
    writes = writer()
    assert "logprobs" not in writes.last(writes.piece(""), reply("a"), TIMES)
    (found,) = writes.piece("a", logprobs=[entry])["logprobs"]
    assert (found["token"], found["logprob"], len(found["top_logprobs"])) == ("a", -0.5, 1)


def test_loading_is_an_answer_without_text():
    assert writer(is_chat=False).loaded(is_unloaded=False)["done_reason"] == "load"
    assert writer().loaded(is_unloaded=True)["done_reason"] == "unload"


def test_a_time_has_the_form_of_ollama():
    assert timestamp(0) == "1970-01-01T00:00:00Z"
