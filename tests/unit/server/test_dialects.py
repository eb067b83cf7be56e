# SPDX-License-Identifier: Apache-2.0
"""A stream that fails has an end in the form of its dialect, and errors have the body of theirs."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

import finesight
from finesight.conversation import Sampling
from finesight.server import ollama, responses
from finesight.server.app import create_app
from finesight.server.models import Models, Offer, Served
from finesight.server.settings import ServerSettings

LONG = {"type": "object", "properties": {"a": {"const": "word " * 1200}}, "required": ["a"]}
FORMAT = {"format": {"type": "json_schema", "name": "long", "schema": LONG}}
RESPONSE = {"input": "Go", "text": FORMAT, "max_output_tokens": 7000, "stream": True}
CHAT = {
    "messages": [{"role": "user", "content": "Go"}],
    "format": LONG,
    "options": {"num_predict": 7000},
}


@pytest.fixture(scope="module")
def offer():
    def load():
        return Served("tiny", finesight.load("tiny").engine, Sampling(max_new_tokens=8))

    return Offer("tiny", load, 0)


@pytest.fixture
def post(offer):
    """`post(path, body)`: a response of a server whose answers may take a moment."""

    def send(path, body, **settings):
        app = create_app(Models([offer]), ServerSettings(**settings))

        async def work():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post(path, json=body)

        return asyncio.run(work())

    return send


class Broken:
    """A splitter with a fault."""

    def __init__(self, **_: object) -> None:
        pass

    def feed(self, text: str, *, is_last: bool) -> None:
        raise ValueError(text)


def events_of(response):
    blocks = response.text.strip().split("\n\n")
    return [json.loads(block.split("data: ", 1)[1]) for block in blocks]


def test_a_response_that_takes_too_long_fails(post):
    response = post("/v1/responses", RESPONSE, answer_seconds=0.5)
    assert response.status_code == 200
    last = events_of(response)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert "not finished within 0.5 s" in last["response"]["error"]["message"]


def test_a_response_that_is_not_streamed_fails_with_a_status(post):
    response = post("/v1/responses", {**RESPONSE, "stream": False}, answer_seconds=0.5)
    assert response.status_code == 504
    assert "not finished within 0.5 s" in response.json()["error"]["message"]


def test_a_fault_of_the_server_is_an_error_event(post, monkeypatch):
    monkeypatch.setattr(responses, "CallSplitter", Broken)
    *_, last = events_of(post("/v1/responses", {"input": "Hello", "stream": True}))
    assert (last["type"], last["code"]) == ("error", "server_error")
    assert "this is an error of finesight" in last["message"]


def test_a_chat_that_takes_too_long_ends_with_a_plain_error(post):
    response = post("/api/chat", CHAT, answer_seconds=0.5)
    assert response.status_code == 200
    last = json.loads(response.text.splitlines()[-1])
    assert list(last) == ["error"]
    assert "not finished within 0.5 s" in last["error"]


def test_a_fault_of_the_server_is_a_plain_error(post, monkeypatch):
    monkeypatch.setattr(ollama, "CallSplitter", Broken)
    whole = post("/api/chat", {**CHAT, "format": None, "stream": False})
    assert whole.status_code == 500
    assert "this is an error of finesight" in whole.json()["error"]
    streamed = json.loads(post("/api/chat", {**CHAT, "format": None}).text)
    assert "this is an error of finesight" in streamed["error"]


@pytest.mark.parametrize("path", ["/api/chat", "/api/none", "/v1/responses"])
def test_errors_have_the_body_of_their_dialect(post, path):
    error = post(path, {"surprise": 1}).json()["error"]
    assert isinstance(error, str if path.startswith("/api/") else dict)


def test_a_request_without_tag_and_one_with_it_name_one_model(post):
    for name in ("tiny", "tiny:latest"):
        body = {"model": name, "prompt": "Hello", "stream": False}
        assert post("/api/generate", body).json()["model"] == name
    for name in ("tiny:7b", [], 3):
        for body in ({"prompt": "a"}, {"keep_alive": 0}):
            assert post("/api/generate", {"model": name, **body}).status_code == 404
