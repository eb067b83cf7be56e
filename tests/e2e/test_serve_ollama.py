# SPDX-License-Identifier: Apache-2.0
"""Ollama's API with the `ollama` client."""

from __future__ import annotations

import io
import json
import math

import httpx
import ollama
import pytest

from tests.support.running_server import metric, running_server, wait_until_free

SHORT = {"num_predict": 8}
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
    },
}
LONG = {"type": "object", "properties": {"a": {"const": "word " * 1200}}, "required": ["a"]}
"""JSON that needs thousands of tokens."""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with running_server("--model", "tiny", "--model", "other=tiny", log=log) as address:
        yield address


@pytest.fixture(scope="module")
def client(url):
    with ollama.Client(host=url) as made:
        yield made


@pytest.fixture(scope="module")
def shown(picture):
    data = io.BytesIO()
    picture.save(data, "PNG")
    return {"role": "user", "content": "What is this?", "images": [data.getvalue()]}


def test_models_are_listed_and_shown(client):
    first, second = client.list().models
    assert (first.model, second.model) == ("tiny:latest", "other:latest")
    assert first.size > 0
    assert first.digest != second.digest
    assert first.details.family == "qwen25vl"
    known = client.show("tiny")
    assert "vision" in known.capabilities
    assert known.modelinfo["qwen25vl.context_length"] == 8192
    assert "temperature 0" in known.parameters
    with pytest.raises(ollama.ResponseError, match="there is no model 'large'"):
        client.show("large")


def test_a_version_is_given(url):
    assert httpx.get(f"{url}/api/version").json()["version"]


def test_a_chat_is_answered_as_openais_is(client, url, shown):
    answer = client.chat("tiny", messages=[shown], options=SHORT)
    assert answer.done
    assert answer.done_reason in ("stop", "length")
    assert answer.message.role == "assistant"
    pieces = list(client.chat("tiny:latest", messages=[shown], options=SHORT, stream=True))
    assert "".join(piece.message.content for piece in pieces) == answer.message.content
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    last = pieces[-1]
    assert (last.prompt_eval_count, last.eval_count) == (
        *(answer.prompt_eval_count, answer.eval_count),
    )
    parts = (last.load_duration, last.prompt_eval_duration, last.eval_duration)
    assert all(part >= 0 for part in parts)
    assert last.total_duration == sum(parts)


def test_lines_are_json_and_the_last_has_the_additions(url, shown):
    body = {"model": "tiny", "prompt": "Hello", "options": SHORT}
    response = httpx.post(f"{url}/api/generate", json=body)
    assert response.headers["content-type"] == "application/x-ndjson"
    *pieces, last = map(json.loads, response.text.splitlines())
    assert all(not piece["done"] for piece in pieces)
    assert last["done"]
    assert set(last["finesight"]) >= {"boxes", "points", "events"}
    assert last["media"] == []


def test_a_prompt_is_answered_as_the_chat_is(client, shown):
    (data,) = shown["images"]
    text = client.generate("tiny", "What is this?", images=[data], options=SHORT)
    chat = client.chat("tiny", messages=[shown], options=SHORT)
    assert text.response == chat.message.content
    assert text.prompt_eval_count == chat.prompt_eval_count
    system = client.generate("tiny", "Hello", system="Be brief.", options=SHORT)
    assert system.prompt_eval_count != client.generate("tiny", "Hello").prompt_eval_count


def test_a_raw_prompt_is_continued(client):
    raw = client.generate("tiny", "Hello", raw=True, options=SHORT)
    chat = client.generate("tiny", "Hello", options=SHORT)
    assert raw.prompt_eval_count < chat.prompt_eval_count


def test_the_format_is_followed(client):
    schema = {
        "type": "object",
        "properties": {"is_cat": {"type": "boolean"}},
        "required": ["is_cat"],
        "additionalProperties": False,
    }
    answer = client.chat("tiny", messages=[{"role": "user", "content": "?"}], format=schema)
    assert isinstance(json.loads(answer.message.content)["is_cat"], bool)


def test_tools_are_shown_to_the_model(client):
    asked = [{"role": "user", "content": "Look"}]
    plain = client.chat("tiny", messages=asked, options=SHORT)
    with_tools = client.chat("tiny", messages=asked, tools=[LOOK], options=SHORT)
    assert with_tools.prompt_eval_count > plain.prompt_eval_count
    said = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "look", "arguments": {"what": "a"}}}],
    }
    output = {"role": "tool", "content": "a cat", "tool_name": "look"}
    after = client.chat("tiny", messages=[*asked, said, output], tools=[LOOK], options=SHORT)
    assert after.prompt_eval_count > with_tools.prompt_eval_count


def test_a_call_is_read_from_the_answer(client):
    """The answer is forced to be a call by the only text that its format allows."""
    text = '{"name": "look", "arguments": {"what": "a"}}'
    form = {"const": json.loads(text)}
    asked = [{"role": "user", "content": "Look"}]
    answer = client.chat("tiny", messages=asked, tools=[LOOK], format=form)
    (call,) = answer.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("look", {"what": "a"})
    pieces = list(client.chat("tiny", messages=asked, tools=[LOOK], format=form, stream=True))
    (streamed,) = [call for piece in pieces for call in piece.message.tool_calls or ()]
    assert streamed.function == call.function


def test_vectors_have_unit_length(client):
    found = client.embed("tiny", ["a cat", "a dog"])
    assert len(found.embeddings) == 2
    assert math.isclose(sum(value**2 for value in found.embeddings[0]), 1, rel_tol=1e-4)
    assert found.prompt_eval_count > 0
    assert list(client.embeddings("tiny", "a cat").embedding) == pytest.approx(
        found.embeddings[0], abs=1e-5
    )


def test_keep_alive_unloads_a_model(client):
    assert client.generate("other", "").done_reason == "load"
    assert {model.model for model in client.ps().models} == {"tiny:latest", "other:latest"}
    client.generate("other", "Hello", options=SHORT, keep_alive="1h")
    left = {model.model: model.expires_at for model in client.ps().models}
    assert left["other:latest"] < left["tiny:latest"]
    assert client.generate("other", keep_alive=0).done_reason == "unload"
    while len(client.ps().models) > 1:
        pass
    assert [model.model for model in client.ps().models] == ["tiny:latest"]
    answer = client.generate("other", "Hello", options=SHORT, keep_alive=0)  # is loaded again
    assert answer.done
    while len(client.ps().models) > 1:
        pass


def test_a_stream_that_is_closed_ends_its_answer(client, url):
    before = metric(url, "finesight_tokens_total")
    stream = client.chat(
        "tiny",
        messages=[{"role": "user", "content": "Go"}],
        format=LONG,
        options={"num_predict": 7000},
        stream=True,
    )
    next(stream)
    stream.close()
    wait_until_free(url)
    assert metric(url, "finesight_tokens_total") == before  # finished answers only


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.chat("tiny", [], think=True, keep_alive="5m"), "think is True"),
        (lambda client: client.generate("tiny", "a", options={"num_gpu": 1}), "num_gpu is 1"),
        (lambda client: client.generate("tiny", "a", suffix="b"), "suffix is 'b'"),
        (lambda client: client.generate("tiny", "a", keep_alive="soon"), "keep_alive is 'soon'"),
        (lambda client: client.embed("tiny", "a", truncate=True), "truncate is True"),
        (lambda client: client.embed("tiny", "a", dimensions=3), "dimensions is 3"),
    ],
)
def test_what_cannot_be_honoured_is_a_400_with_a_plain_error(client, call, words):
    with pytest.raises(ollama.ResponseError, match=words) as raised:
        call(client)
    assert raised.value.status_code == 400
    assert isinstance(raised.value.error, str)


@pytest.mark.parametrize("path", ["api/pull", "api/create"])
def test_what_is_not_offered_is_a_404(url, path):
    response = httpx.post(f"{url}/{path}", json={"model": "tiny"})
    assert response.status_code == 404
    assert path in response.json()["error"]
