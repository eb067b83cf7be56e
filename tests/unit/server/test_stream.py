# SPDX-License-Identifier: Apache-2.0
"""Streams: tool calls apart from the text however the answer is cut, and nothing kept when a client leaves."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from finesight.errors import EngineError
from finesight.server import stream as stream_module
from finesight.server.metrics import Metrics
from finesight.server.stream import DONE, CallSplitter, EventStream

CALL = '<tool_call>\n{"name": "look", "arguments": {"x": 1}}\n</tool_call>'


def test_text_is_shown_before_the_call_that_follows_it():
    splitter = CallSplitter(takes_calls=True)
    assert splitter.feed("Let me look.", is_last=False) == ("Let me look.", [])
    assert splitter.feed(" <tool", is_last=False) == ("", [])
    assert splitter.feed("s are", is_last=False) == (" <tools are", [])
    shown, calls = splitter.feed(CALL, is_last=False)
    assert shown == ""
    assert [(call.name, call.arguments) for call in calls] == [("look", {"x": 1})]


def test_a_long_call_is_searched_once(monkeypatch):
    """Searching all of it for each token took half a minute for a call of 32,000 tokens, and stopped all others."""
    text = CALL.replace("1", f'"{"word " * 2000}"')
    lengths, plain = [], stream_module._TAG

    class Tags:
        def search(self, held, place):
            lengths.append(len(held) - place)
            return plain.search(held, place)

    monkeypatch.setattr(stream_module, "_TAG", Tags())
    splitter = CallSplitter(takes_calls=True)
    pieces = [text[place : place + 7] for place in range(0, len(text), 7)]
    found = [splitter.feed(piece, is_last=piece is pieces[-1]) for piece in pieces]
    assert sum(lengths) < 10 * len(text)
    assert "".join(shown for shown, _ in found) == ""
    ((call,),) = [calls for _, calls in found if calls]
    assert call.arguments == {"x": "word " * 2000}


async def stream_of(events, *, receives=(), sends=None, held=None, **options):
    """What a response sends; `receives` are the messages of its client, after which it waits."""
    sent = []
    waiting = list(receives)

    async def receive():
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()

    async def send(message):
        if sends is not None:
            await sends(message)
        sent.append(message)

    stack = AsyncExitStack()
    stack.callback(held or (lambda: None))
    response = EventStream(events, stack, "req-1", **options)
    app = FastAPI()
    app.state.finesight = SimpleNamespace(metrics=Metrics({}))
    path = "/api/chat" if options.get("is_lines") else "/v1/chat/completions"
    scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "app": app, "path": path}
    await response(scope, receive, send)
    return sent


def body_of(sent):
    return b"".join(message.get("body", b"") for message in sent).decode()


def test_events_are_sent_one_by_one():
    async def events():
        yield {"a": "ü"}
        yield DONE

    sent = asyncio.run(stream_of(events()))
    assert body_of(sent) == 'data: {"a": "ü"}\n\ndata: [DONE]\n\n'
    assert len([message for message in sent if message.get("body")]) == 2
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"cache-control"] == b"no-cache"
    assert not sent[-1]["more_body"]


def test_lines_are_sent_as_such():
    async def events():
        yield {"a": 1}
        yield {"b": 2}

    sent = asyncio.run(stream_of(events(), is_lines=True))
    assert body_of(sent) == '{"a": 1}\n{"b": 2}\n'
    assert dict(sent[0]["headers"])[b"content-type"].startswith(b"application/x-ndjson")


@pytest.mark.parametrize("is_lines", [False, True])
def test_an_error_in_the_middle_is_an_event_and_then_the_stream_ends(is_lines):
    async def events():
        yield {"a": 1}
        raise EngineError("too slow", hint="ask for less")

    sent = asyncio.run(stream_of(events(), is_lines=is_lines))
    lines = body_of(sent).replace("data: ", "").split()
    expected = '{"error": "too slow' if is_lines else '"message": "too slow'
    assert expected in body_of(sent)
    assert (lines[-1] == DONE) is not is_lines
    assert not sent[-1]["more_body"]


def test_a_fault_in_the_middle_is_logged_but_not_sent(caplog):
    async def events():
        yield {"a": 1}
        raise KeyError("internal detail")

    sent = asyncio.run(stream_of(events()))
    error = json.loads(body_of(sent).split("data: ")[2])["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "request req-1" in error["message"]
    assert "internal detail" not in body_of(sent)
    assert "internal detail" in caplog.text
    assert "request req-1 failed" in caplog.text


def test_all_is_released_when_the_client_leaves_before_the_first_event():
    released, closed = [], []

    async def events():
        try:
            await asyncio.Event().wait()
            yield DONE
        finally:
            closed.append(True)

    gone = [{"type": "http.disconnect"}]
    asyncio.run(stream_of(events(), receives=gone, held=lambda: released.append(True)))
    assert (released, closed) == ([True], [True])


def test_all_is_released_when_the_stream_ends():
    released = []

    async def events():
        yield DONE

    asyncio.run(stream_of(events(), held=lambda: released.append(True)))
    assert released == [True]


def test_a_client_that_stops_reading_does_not_hold_its_request(monkeypatch):
    monkeypatch.setattr(stream_module, "_SEND_SECONDS", 0.01)
    released = []

    async def events():
        yield {"a": 1}
        yield DONE

    async def sends(message):
        if message.get("body"):
            await asyncio.Event().wait()

    sent = asyncio.run(stream_of(events(), sends=sends, held=lambda: released.append(True)))
    assert released == [True]
    assert body_of(sent) == ""
