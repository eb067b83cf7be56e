# SPDX-License-Identifier: Apache-2.0
"""Live video on a running server, with the client package `websockets`."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support.live_frames import jpeg, message
from tests.support.running_server import running_server


@pytest.fixture(scope="module")
def address():
    with running_server() as url:
        yield url.replace("http://", "ws://") + "/v1/live"


def until(socket, kind):
    """The next message of a kind, and those before it."""
    before = []
    while (received := json.loads(socket.recv(timeout=60)))["type"] != kind:
        before.append(received)
    return received, before


def test_frames_and_questions_in_turns(address):
    with connect(address) as socket:
        socket.send(json.dumps({"type": "start", "max_pixels": 28 * 28 * 12}))
        ready, _ = until(socket, "ready")
        assert ready["model"] == "tiny"
        cached = []
        for turn in range(3):
            for number in range(8 * turn, 8 * turn + 8):
                socket.send(message(number / 2, jpeg(number)))
            question = {"type": "ask", "text": f"Question {turn}", "max_tokens": 4}
            socket.send(json.dumps(question))
            answer, deltas = until(socket, "answer")
            assert "".join(delta["text"] for delta in deltas) == answer["text"]
            assert answer["frames"]["kept"] == 8 * turn + 8
            assert answer["frames"]["kept_seconds"][-1] == (8 * turn + 7) / 2
            cached.append(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
        assert 0 == cached[0] < cached[1] < cached[2]


def test_a_message_that_is_too_large_ends_the_connection_with_its_reason(address):
    with connect(address) as socket:
        socket.send(json.dumps({"type": "start"}))
        until(socket, "ready")
        socket.send(bytes(4_000_001))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
        assert closed.value.rcvd.code == 1009


def test_another_origin_is_refused(address):
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, origin="https://example.com")


def test_the_server_stops_while_a_connection_is_open():
    with ExitStack() as stack:
        with running_server() as url:
            address = url.replace("http://", "ws://") + "/v1/live"
            socket = stack.enter_context(connect(address))
            socket.send(json.dumps({"type": "start"}))
            until(socket, "ready")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
        assert closed.value.rcvd.code == 1012  # service restart
