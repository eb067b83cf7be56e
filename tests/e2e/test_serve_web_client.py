# SPDX-License-Identifier: Apache-2.0
"""What a chat page such as Open WebUI sends, through OpenAI's API and through Ollama's."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from tests.support.running_server import metric, running_server, wait_until_free

LONG = {"type": "object", "properties": {"a": {"const": "word " * 1200}}, "required": ["a"]}
"""JSON that needs thousands of tokens."""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running_server(log=tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@pytest.fixture(scope="module")
def page(url):
    headers = {"Authorization": "Bearer none", "X-OpenWebUI-User-Name": "me"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def encoded(picture_file):
    return base64.b64encode(picture_file.read_bytes()).decode()


def sent_events(response):
    return [line.removeprefix("data: ") for line in response.iter_lines() if line]


def test_a_talk_through_openais_api(page, encoded):
    (model,) = [entry["id"] for entry in page.get("/v1/models").json()["data"]]
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
    ]
    messages = [{"role": "user", "content": content}]
    body = {"model": model, "messages": messages, "max_tokens": 16, "stream": True}
    body["stream_options"] = {"include_usage": True}
    with page.stream("POST", "/v1/chat/completions", json=body) as response:
        *events, done = sent_events(response)
    assert done == "[DONE]"
    *chunks, last = map(json.loads, events)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text
    assert last["usage"]["prompt_tokens_details"]["visual_tokens"] > 0
    # The title of the talk, and the next question.
    talk = [*messages, {"role": "assistant", "content": text}]
    for question in ("Generate a title.", "And what else?"):
        asked = [*talk, {"role": "user", "content": question}]
        body = {"model": model, "messages": asked, "max_completion_tokens": 16, "stream": False}
        answer = page.post("/v1/chat/completions", json=body).json()
        assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


def test_a_talk_through_ollamas_api(page, encoded):
    assert page.get("/api/version").json()["version"]
    (model,) = [entry["model"] for entry in page.get("/api/tags").json()["models"]]
    assert [entry["model"] for entry in page.get("/api/ps").json()["models"]] == [model]
    message = {"role": "user", "content": "What is this?", "images": [encoded]}
    body = {"model": model, "messages": [message], "stream": True, "options": {"num_predict": 16}}
    with page.stream("POST", "/api/chat", json=body) as response:
        *pieces, last = map(json.loads, response.iter_lines())
    text = "".join(piece["message"]["content"] for piece in pieces)
    assert text
    assert last["done"]
    talk = [message, {"role": "assistant", "content": text}, {"role": "user", "content": "More?"}]
    body = {"model": model, "messages": talk, "stream": False, "options": {"num_predict": 4}}
    answer = page.post("/api/chat", json=body).json()
    assert answer["prompt_eval_count"] > last["prompt_eval_count"]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/chat/completions", {"max_tokens": 7000, "guided_json": LONG}),
        ("/api/chat", {"options": {"num_predict": 7000}, "format": LONG}),
    ],
)
def test_the_button_that_stops_an_answer_closes_the_connection(url, page, path, more):
    before = metric(url, "finesight_tokens_total")
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Go"}], "stream": True}
    with page.stream("POST", path, json={**body, **more}) as response:
        assert response.status_code == 200
        assert next(response.iter_lines())
    wait_until_free(url)
    assert metric(url, "finesight_tokens_total") == before  # finished answers only
    # The server answers the next question.
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "stream": False}
    assert page.post(path, json=body).status_code == 200
