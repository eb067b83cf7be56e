# SPDX-License-Identifier: Apache-2.0
"""Log-probabilities of streams come with the text of their tokens, and together are those of the whole answer."""

from __future__ import annotations

import json

import pytest

from tests.support.serving import app_of, chat, events_of, post

CHAT = "/v1/chat/completions"
WANTED = {"logprobs": True, "top_logprobs": 2}


def both(served, path, body):
    """The whole answer, and the JSON events of the streamed one."""
    app = app_of(served)
    whole = post(app, path, {**body, "stream": False}).json()
    streamed = post(app, path, {**body, "stream": True})
    return whole, streamed


def tokens_of(chunks):
    return [
        (choice["index"], token)
        for chunk in chunks
        for choice in chunk["choices"]
        for token in (choice["logprobs"] or {"content": []})["content"]
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_each_chunk_of_a_chat_has_those_of_its_tokens(served, count):
    body = chat("Hello", max_tokens=6, guided_regex="[a-z]{20}", n=count, **WANTED)
    whole, streamed = both(served, CHAT, body)
    *chunks, done = events_of(streamed)
    assert done == "[DONE]"
    for index, choice in enumerate(whole["choices"]):
        found = [token for number, token in tokens_of(chunks) if number == index]
        assert found == values_of(choice)
    with_text = [each for each in chunks if each["choices"][0]["delta"].get("content")]
    assert len(with_text) > 1
    assert all(each["choices"][0]["logprobs"]["content"] for each in with_text)
    for each in with_text:
        (choice,) = each["choices"]
        said = "".join(token["token"] for token in choice["logprobs"]["content"])
        assert choice["delta"]["content"] in said


def values_of(choice):
    """Tokens of a whole answer; rounding differs with what is computed together."""
    return [
        {
            **each,
            "logprob": pytest.approx(each["logprob"], abs=1e-3),
            "top_logprobs": [
                {**top, "logprob": pytest.approx(top["logprob"], abs=1e-3)}
                for top in each["top_logprobs"]
            ],
        }
        for each in choice["logprobs"]["content"]
    ]


def test_a_held_token_comes_with_the_next_chunk(served):
    """A stop text holds its first letters back until it is certain that it does not follow."""
    body = chat("Hello", max_tokens=8, stop=["\u0000never"], **WANTED)
    whole, streamed = both(served, CHAT, body)
    found = [token["token"] for _, token in tokens_of(events_of(streamed)[:-1])]
    assert found == [each["token"] for each in whole["choices"][0]["logprobs"]["content"]]


def test_no_chunk_has_any_unless_they_are_asked_for(served):
    chunks = events_of(post(app_of(served), CHAT, chat("Hello", stream=True)))[:-1]
    assert all(each["choices"][0]["logprobs"] is None for each in chunks)


def test_each_delta_of_a_response_has_those_of_its_tokens(served):
    body = {"input": "Hello", "max_output_tokens": 16, "temperature": 0, "top_logprobs": 1}
    whole, streamed = both(served, "/v1/responses", body)
    events = events_of(streamed)
    deltas = [each for each in events if each["type"] == "response.output_text.delta"]
    assert deltas
    assert all(each["logprobs"] for each in deltas)
    found = [token["token"] for each in deltas for token in each["logprobs"]]
    (part,) = whole["output"][0]["content"]
    expected = [each["token"] for each in part["logprobs"]]
    assert found == expected[: len(found)]
    assert "".join(expected[len(found) :]) in ("", "<|im_end|>")


def test_each_piece_of_a_completion_has_those_of_its_tokens(served):
    body = {"prompt": "One, two,", "max_tokens": 5, "temperature": 0, "logprobs": 1}
    whole, streamed = both(served, "/v1/completions", body)
    chunks = [each["choices"][0] for each in events_of(streamed)[:-1]]
    assert all(each["logprobs"]["tokens"] for each in chunks)
    for name in ("tokens", "text_offset"):
        found = [entry for each in chunks for entry in each["logprobs"][name]]
        assert found == whole["choices"][0]["logprobs"][name]


def test_each_object_of_ollama_has_those_of_its_tokens(served):
    body = {"prompt": "Hello", "options": {"num_predict": 6, "temperature": 0}, **WANTED}
    whole, streamed = both(served, "/api/generate", body)
    lines = [json.loads(line) for line in streamed.text.splitlines()]
    found = [each["token"] for line in lines for each in line.get("logprobs", ())]
    assert found == [each["token"] for each in whole["logprobs"]]
    assert all(line["logprobs"] for line in lines if line["response"])
