# SPDX-License-Identifier: Apache-2.0
"""Live video over a WebSocket: frames arrive while questions about them are answered."""

from __future__ import annotations

import time

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import finesight
from finesight.conversation import Conversation, Message, TextPart, VideoPart
from finesight.engine import runner
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.server import live
from finesight.server.app import create_app
from finesight.server.keys import new_key
from finesight.server.models import Models, Offer, Served
from finesight.server.settings import ServerSettings
from tests.support.live_frames import jpeg, message

QUESTION = {"type": "ask", "id": "q", "text": "What is shown?", "max_tokens": 8, "temperature": 0}
LONG = {**QUESTION, "structured_outputs": {"regex": "[a-f]{2000}"}, "max_tokens": 2000}
SMALL = {"type": "start", "max_pixels": 28 * 28 * 12}


@pytest.fixture(scope="module")
def model():
    return finesight.load("tiny")


def app_of(model, **settings):
    engine = Engine(model.network, model.engine.processor, options=EngineOptions(max_sequences=2))
    served = Served("tiny", engine, model.defaults)
    return create_app(Models([Offer("tiny", lambda: served, 0)]), ServerSettings(**settings))


@pytest.fixture
def client(model):
    with TestClient(app_of(model)) as client:
        yield client


@pytest.fixture
def socket(client):
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json(SMALL)
        assert socket.receive_json()["type"] == "ready"
        yield socket


def send_frames(socket, numbers, start=100.0):
    for number in numbers:
        socket.send_bytes(message(start + number / 2, jpeg(number)))


def answer(socket, question=QUESTION):
    """The deltas and the end of an answer."""
    socket.send_json(question)
    text = ""
    while (received := socket.receive_json())["type"] == "delta":
        text += received["text"]
    assert received["type"] == "answer", received
    assert received["text"] == text
    return received


def test_the_answer_is_that_of_the_same_frames_as_a_video(socket, model):
    send_frames(socket, range(6))
    found = answer(socket)
    times = tuple(100 + number / 2 for number in range(6))
    video = VideoPart(
        source=tuple(jpeg(number) for number in range(6)),
        timestamps=times,
        resized_height=84,
        resized_width=112,
    )
    conversation = Conversation((Message("user", (video, TextPart("What is shown?"))),))
    sampling = finesight.Sampling(max_new_tokens=8, temperature=0)
    (reply,) = model.engine.respond([conversation], sampling)
    assert found["text"] == reply.text
    assert found["id"] == "q"
    assert found["media"][0]["frame_seconds"] == list(times)
    assert found["media"][0]["original"] == {"width": 112, "height": 84}
    assert found["usage"]["prompt_tokens_details"]["visual_tokens"] == 36
    assert found["frames"]["kept_seconds"] == list(times)
    assert (found["frames"]["received"], found["frames"]["dropped"]) == (6, {})


def test_a_repeated_question_encodes_only_new_pairs(socket, monkeypatch):
    encoded = []
    compute = runner.visual_tokens

    def counted(network, item):
        encoded.append(item.grid_thw[0])
        return compute(network, item)

    monkeypatch.setattr(runner, "visual_tokens", counted)
    send_frames(socket, range(20))
    first = answer(socket)
    assert encoded == [1] * 10
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    send_frames(socket, range(20, 24))
    second = answer(socket, {**QUESTION, "text": "And what else?"})
    assert encoded == [1] * 12
    # Ten pairs have 120 tokens; with those before them they fill four blocks of 32.
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == 128


def test_thinning_keeps_the_encoded_pairs(client, monkeypatch):
    encoded = []
    compute = runner.visual_tokens

    def counted(network, item):
        encoded.append(item.grid_thw[0])
        return compute(network, item)

    monkeypatch.setattr(runner, "visual_tokens", counted)
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json({**SMALL, "max_visual_tokens": 96})
        socket.receive_json()
        send_frames(socket, range(16))
        assert answer(socket)["frames"]["thinned"] == 0
        assert len(encoded) == 8
        send_frames(socket, range(16, 18))
        found = answer(socket)
        assert found["frames"]["thinned"] == 6
        assert found["frames"]["kept"] == 12
        assert found["usage"]["prompt_tokens_details"]["visual_tokens"] == 72
        assert len(encoded) == 9  # only the new pair


def test_frames_arrive_while_an_answer_is_written(socket):
    send_frames(socket, range(2))
    socket.send_json(LONG)
    assert socket.receive_json()["type"] == "delta"
    send_frames(socket, range(2, 6))
    socket.send_json({"type": "status"})
    kinds = []
    while (received := socket.receive_json())["type"] != "frames":
        kinds.append(received["type"])
    assert set(kinds) <= {"delta"}
    assert received["frames"]["kept"] == 6
    socket.send_json({"type": "cancel", "id": "q"})
    while (received := socket.receive_json())["type"] == "delta":
        pass
    assert received["finish_reason"] == "cancelled"
    assert received["frames"]["kept"] == 2  # those that were there when it was asked


def test_questions_wait_for_each_other_and_their_number_is_limited(socket):
    send_frames(socket, range(2))
    for number in range(5):
        socket.send_json({**LONG, "id": str(number)})
    while (received := socket.receive_json())["type"] == "delta":
        assert received["id"] == "0"
    assert (received["type"], received["id"]) == ("error", "4")
    assert "4 questions" in received["error"]["message"]
    for number in range(4):
        socket.send_json({"type": "cancel", "id": str(number)})
    ended = []
    while len(ended) < 4:
        received = socket.receive_json()
        if received["type"] != "delta":
            ended.append((received["id"], received["finish_reason"]))
    assert ended == [(str(number), "cancelled") for number in range(4)]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (QUESTION, "no frame was received yet"),
        ({"type": "other"}, "send ask, cancel or status"),
        ({"type": "cancel", "id": "q"}, "no open question"),
        ([1], "no JSON object"),
        ("text", "no JSON object"),
    ],
)
def test_a_message_that_cannot_be_used_is_an_error_and_the_connection_goes_on(socket, sent, words):
    socket.send_json(sent)
    assert words in socket.receive_json()["error"]["message"]
    send_frames(socket, range(2))
    assert answer(socket)["type"] == "answer"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": ""}, "text is ''"),
        ({"id": [1]}, "id is"),
        # Half of a character could not be sent back, which ended the answers of the connection.
        ({"id": "\ud800"}, "the message is not JSON"),
        ({"temprature": 1}, "temprature"),
        ({"temperature": -1}, "temperature"),
        ({"n": 2}, "n is not a field"),
        ({"model": "tiny"}, "model is not a field"),
        ({"max_tokens": 10**6}, "context"),
    ],
)
def test_a_question_with_a_wrong_field_is_an_error(socket, change, words):
    send_frames(socket, range(2))
    socket.send_json({**QUESTION, **change})
    received = socket.receive_json()
    assert received["type"] == "error"
    assert words in received["error"]["message"]
    assert answer(socket)["type"] == "answer"


def test_dropped_frames_are_reported_once_a_reason_and_always_counted(socket):
    send_frames(socket, [3, 2, 1])
    received = socket.receive_json()
    assert (received["type"], received["reason"]) == ("dropped", "time")
    assert "101.5" in received["message"]
    socket.send_json({"type": "status"})
    assert socket.receive_json()["frames"]["dropped"] == {"time": 2}


def test_a_time_that_is_no_number_is_not_compared(socket):
    send_frames(socket, [1], start=float("nan"))
    assert socket.receive_json()["message"] == "the frame is of nan s"


def test_the_key_is_in_a_header_or_in_the_first_message(model, tmp_path):
    secret, line = new_key("someone")
    (tmp_path / "keys").write_text(line)
    with TestClient(app_of(model, keys_file=tmp_path / "keys")) as client:
        for start, headers in (
            ({**SMALL, "api_key": secret}, {}),
            (SMALL, {"Authorization": f"Bearer {secret}"}),
        ):
            with client.websocket_connect("/v1/live", headers=headers) as socket:
                socket.send_json(start)
                assert socket.receive_json()["type"] == "ready"
                send_frames(socket, range(2))
                assert answer(socket)["type"] == "answer"
        for start in (SMALL, {**SMALL, "api_key": "other"}, {**SMALL, "api_key": 1}):
            with client.websocket_connect("/v1/live") as socket:
                socket.send_json(start)
                received = socket.receive_json()
                assert "key" in received["error"]["message"]
                assert "other" not in received["error"]["message"]
                with pytest.raises(WebSocketDisconnect) as closed:
                    socket.receive_json()
                assert closed.value.code == 1008


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"type": "ask"}, "another type"),
        ({"type": "start", "fps": 2}, "fps"),
        ({"type": "start", "max_pixels": 1}, "max_pixels"),
        ({"type": "start", "model": "other"}, "no model 'other'"),
    ],
)
def test_a_wrong_start_ends_the_connection_with_a_sentence(client, start, words):
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json(start)
        assert words in socket.receive_json()["error"]["message"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_a_frame_before_the_start_ends_the_connection(client):
    with client.websocket_connect("/v1/live") as socket:
        socket.send_bytes(message(0, jpeg()))
        assert "no JSON object" in socket.receive_json()["error"]["message"]


def test_pages_of_other_servers_cannot_connect(client):
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/v1/live", headers={"Origin": "https://example.com"}),
    ):
        pass
    with client.websocket_connect("/v1/live", headers={"Origin": "http://testserver"}) as socket:
        socket.send_json(SMALL)
        assert socket.receive_json()["type"] == "ready"


def test_the_number_of_connections_is_limited(model):
    with (
        TestClient(app_of(model, max_live=1)) as client,
        client.websocket_connect("/v1/live") as first,
    ):
        first.send_json(SMALL)
        first.receive_json()
        with client.websocket_connect("/v1/live") as second:
            assert "1 connections" in second.receive_json()["error"]["message"]
            with pytest.raises(WebSocketDisconnect) as closed:
                second.receive_json()
            assert closed.value.code == 1013


def test_a_closed_connection_cancels_its_work(client):
    with client.websocket_connect("/v1/live") as socket:
        socket.send_json(SMALL)
        socket.receive_json()
        send_frames(socket, range(2))
        socket.send_json(LONG)
        assert socket.receive_json()["type"] == "delta"
        state = client.app.state.finesight
        assert (state.num_live, state.gate.num_active) == (1, 1)
    # The work ends as soon as the server notices; two thousand tokens would take longer than this.
    until = time.monotonic() + 5
    while (state.num_live, state.gate.num_active) != (0, 0):
        assert time.monotonic() < until
        client.get("/health")


def test_questions_count_for_the_limit_of_requests(model):
    with (
        TestClient(app_of(model, requests_per_minute=1)) as client,
        client.websocket_connect("/v1/live") as socket,
    ):
        socket.send_json(SMALL)
        socket.receive_json()
        send_frames(socket, range(2))
        assert answer(socket)["type"] == "answer"
        socket.send_json(QUESTION)
        received = socket.receive_json()
        assert (received["type"], received["id"]) == ("error", "q")
        assert received["error"]["code"] == "rate_limit_exceeded"


def test_a_connection_that_does_not_start_is_closed(model):
    with (
        TestClient(app_of(model, body_seconds=0.05)) as client,
        client.websocket_connect("/v1/live") as socket,
    ):
        assert "no start message within 0.05 s" in socket.receive_json()["error"]["message"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_a_fault_of_the_server_is_a_sentence_and_the_connection_goes_on(socket, monkeypatch):
    send_frames(socket, range(2))
    with monkeypatch.context() as patched:
        patched.setattr(live, "findings", lambda reply: 1 / 0)
        socket.send_json(QUESTION)
        while (received := socket.receive_json())["type"] == "delta":
            pass
    assert (received["type"], received["id"]) == ("error", "q")
    assert received["error"]["code"] == "internal_error"
    assert "zero" not in received["error"]["message"]
    assert answer(socket)["type"] == "answer"
