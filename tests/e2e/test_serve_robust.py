# SPDX-License-Identifier: Apache-2.0
"""Clients that leave, send junk or never end: the server answers clearly, and keeps nothing of them."""

from __future__ import annotations

import json
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from finesight.engine.request import Request
from finesight.server import chat as chat_endpoint
from tests.support.serving import (
    chat,
    data_address,
    events_of,
    live,
    picture_part,
    tiny_served,
    wait_until,
)

CHAT = "/v1/chat/completions"
LONG = {"max_tokens": 3000, "temperature": 2.0, "top_p": 1, "seed": 1}
ENDLESS = {"guided_regex": "[a-z]{20000}"}
"""Does not end before its limit of tokens; random, so that it is no loop either."""


@pytest.fixture(scope="module")
def served():
    found = tiny_served(max_sequences=2)
    yield found
    found.engine.close()


@pytest.fixture
def server(served):
    with live(served) as running:
        yield running
        wait_until(running.is_idle)


def long_answer(**fields):
    """A request for an answer of thousands of tokens."""
    return chat("Hello", **{**LONG, **ENDLESS, **fields})


def long_call(**fields):
    """The same for the client of OpenAI."""
    options = {**LONG, "model": "tiny", "extra_body": ENDLESS, **fields}
    return {"messages": chat("Hello")["messages"], **options}


def send(server, body, *, path=CHAT):
    """Send a request and leave its connection open."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\nHost: a\nContent-Length: {len(data)}\n\n"
    return server.send(head, data)


def status_of(connection):
    """The status of a response, read from its first line."""
    with connection:
        return int(connection.makefile("rb").readline().split()[1])


def post(server, body, **options):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{server.url}{CHAT}", content=data, timeout=60, **options)


# ---------------------------------------------------------------------------------------- clients that leave


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_leaves_while_its_answer_is_computed(server, streams):
    engine = server.served.engine
    connection = send(server, long_answer(stream=streams))
    wait_until(lambda: engine.num_requests() == (1, 0))
    received = b""
    while streams and b"data: " not in received:
        received += connection.recv(1 << 16)
    connection.close()
    wait_until(server.is_idle)


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_leaves_while_it_waits_for_the_engine(server, streams):
    engine = server.served.engine
    busy = [send(server, long_answer(seed=seed)) for seed in (1, 2)]
    wait_until(lambda: engine.num_requests() == (2, 0))
    waiting = send(server, long_answer(seed=3, stream=streams))
    wait_until(lambda: engine.num_requests() == (2, 1))
    waiting.close()
    wait_until(lambda: engine.num_requests() == (2, 0))
    for connection in busy:
        connection.close()


def test_a_client_that_leaves_while_its_pictures_are_read(server, monkeypatch, picture):
    is_reading, may_end = threading.Event(), threading.Event()
    encode = Request.encode

    def slow(self, *arguments):
        is_reading.set()
        assert may_end.wait(60)
        return encode(self, *arguments)

    monkeypatch.setattr(Request, "encode", slow)
    connection = send(server, long_answer(messages=chat(picture_part(picture))["messages"]))
    assert is_reading.wait(60)
    connection.close()
    wait_until(lambda: server.state.gate.num_active == 0)
    may_end.set()
    wait_until(server.is_idle)
    monkeypatch.undo()
    assert post(server, chat("Hello")).status_code == 200


def test_a_client_that_leaves_in_the_middle_of_its_body(server, caplog):
    head = f"POST {CHAT} HTTP/1.1\nHost: a\nContent-Length: 1000\n\n"
    connection = server.send(head, b'{"messages"')
    wait_until(lambda: server.state.gate.num_body_bytes == 11)
    connection.close()
    wait_until(server.is_idle)
    wait_until(lambda: "POST /v1/chat/completions 499" in caplog.text or not caplog.records)
    assert "failed" not in caplog.text


def test_an_embedding_that_nobody_waits_for_is_not_finished(server, monkeypatch):
    engine = server.served.engine
    embed, texts = engine.embed, []

    def slow(conversations, **options):
        texts.extend(conversations)
        time.sleep(0.05)
        return embed(conversations, **options)

    monkeypatch.setattr(engine, "embed", slow)
    connection = send(server, {"input": ["a"] * 128}, path="/v1/embeddings")
    wait_until(lambda: bool(texts))
    connection.close()
    wait_until(server.is_idle)
    assert len(texts) < 100


def test_many_clients_that_leave_do_not_stop_others(server):
    for seed in range(30):
        send(server, long_answer(seed=seed, stream=bool(seed % 2))).close()
    assert post(server, chat("Hello")).status_code == 200


def test_a_client_that_stops_reading_keeps_neither_engine_nor_others(server):
    connection = send(
        server, long_answer(stream=True, logprobs=True, top_logprobs=20, max_tokens=400)
    )
    assert post(server, chat("Hello")).status_code == 200
    wait_until(lambda: server.served.engine.num_requests() == (0, 0))
    connection.close()


# ---------------------------------------------------------------------------------------- bodies


def test_a_slow_body_gets_408(served):
    with live(served, body_seconds=0.2) as server:
        head = f"POST {CHAT} HTTP/1.1\nHost: a\nContent-Length: 1000\n\n"
        assert status_of(server.send(head, b"{")) == 408
        head = f"POST {CHAT} HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
        assert status_of(server.send(head, b"1\r\n{\r\n")) == 408
        wait_until(server.is_idle)


def test_clients_do_not_repeat_an_answer_that_takes_too_long(served):
    with live(served, answer_seconds=0.01) as server:
        with pytest.raises(openai.APIStatusError) as caught:
            server.client(max_retries=2).chat.completions.create(**long_call())
        assert caught.value.status_code == 504
        assert caught.value.code == "DeadlineExceeded"
        wait_until(server.is_idle)
        counted = 'finesight_requests_total{path="/v1/chat/completions",status="504"} 1.0'
        assert counted in httpx.get(f"{server.url}/metrics").text


def test_a_header_that_never_ends_is_not_waited_for(served, monkeypatch):
    monkeypatch.setattr("finesight.server.run._HEADER_SECONDS", 0.2)
    with live(served) as server:
        for start in ("", "POST / HT", f"POST {CHAT} HTTP/1.1\nHost: a\nX-A: "):
            with server.send(start) as connection:
                assert connection.recv(100) == b""
        with server.send("GET /health HTTP/1.1\nHost: a\n\n") as connection:
            answer = b""
            while piece := connection.recv(1000):  # until it is closed, as nothing follows
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200")
        slow = httpx.post(f"{server.url}{CHAT}", json=chat("Hello", max_tokens=300), timeout=60)
        assert slow.status_code == 200


def test_a_body_above_the_limit_gets_413_with_and_without_its_length(served):
    with live(served, max_body_mb=1) as server:
        bomb = b" " * 50_000_000
        assert post(server, bomb).status_code == 413
        pieces = (bomb[:100_000] for _ in range(500))
        answer = httpx.post(f"{server.url}{CHAT}", content=pieces, timeout=60)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        with server.client() as client, pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**chat("x" * 2_000_000, model="tiny"))
        assert caught.value.status_code == 413
        wait_until(server.is_idle)


@pytest.mark.parametrize(("path", "status"), [(CHAT, 413), ("/nothing", 404)])
def test_a_refusal_reaches_a_client_that_still_sends(served, path, status):
    with live(served, max_body_mb=1) as server:
        for close in ("", "Connection: close\n"):
            head = f"POST {path} HTTP/1.1\nHost: a\n{close}Content-Length: 20000000\n\n"
            pieces = [b" " * 100_000] * 200
            assert status_of(server.send(head, *pieces)) == status
        wait_until(server.is_idle)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"{",
        b"[" * 100_000,
        b'{"messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "a"}], "temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "a"}], "temperature": 1e999}',
        b'{"messages": [{"role": "user", "content": "a"}], "seed": ' + b"9" * 5000 + b"}",
        b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 1e300}',
        b'{"messages": {"role": "user"}}',
        b'{"messages": [5]}',
        b'{"messages": []}',
        b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
        b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]}',
        b'{"messages": [{"role": "user", "content": [[[]]]}]}',
        b'{"messages": [{"role": "nobody", "content": "a"}]}',
        b'{"messages": [{"role": "user", "content": "a"}], "stop": ["", "a"]}',
        b'{"messages": [{"role": "user", "content": "a"}], "model": {"a": 1}}',
        b'{"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function"}]}',
        b'{"messages": [{"role": "user", "content": "a"}], "guided_regex": "(((("}',
        b'{"messages": [{"role": "user", "content": "a"}], "guided_json": {"type": "nothing"}}',
        b"\x1f\x8b\x08\x00junk",
        b"--boundary\r\nContent-Disposition: form-data\r\n\r\n",
    ],
)
def test_junk_is_an_error_of_the_client(server, body):
    answer = post(server, body)
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    assert error["message"]
    assert "Traceback" not in error["message"]
    assert len(error["message"]) < 2000


def png_of(width, height):
    """A PNG file whose header says that it is large, with almost no data."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def gif_of(width, height):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0, 0, 0) + b"\0" * 40


@pytest.mark.parametrize(
    "data",
    [
        png_of(2**31 - 1, 2**31 - 1),
        png_of(100_000, 100_000),
        png_of(30_000, 30_000),
        png_of(1, 10_000_000),
        png_of(0, 0),
        png_of(64, 64),
        gif_of(65_535, 65_535),
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        b"\xff\xd8\xff\xe0" + b"\0" * 1000,
        b"II*\0" + b"\xff" * 100,
        b"BM" + b"\xff" * 60,
        b"RIFF\xff\xff\xff\xffWEBP" + b"\xff" * 60,
        b"%PDF-1.7\n" + b"\xff" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"\0",
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_picture_bomb_is_an_error_of_the_client(server, data):
    answer = post(server, chat(picture_part(data), "What is it?"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.9])
def test_a_broken_video_is_an_error_of_the_client(server, video_file, cut):
    data = bytearray(video_file.read_bytes())
    place = int(cut * len(data))
    address = data_address(bytes(data[:place]), "video/mp4")
    answer = post(server, chat({"type": "video_url", "video_url": {"url": address}}, "What?"))
    assert answer.status_code == 400
    data[place : place + 200] = b"\xff" * len(data[place : place + 200])
    address = data_address(bytes(data), "video/mp4")
    answer = post(server, chat({"type": "video_url", "video_url": {"url": address}}, "What?"))
    assert answer.status_code in (200, 400)


def test_a_video_of_a_million_frames_is_refused_or_sampled(server, video_file):
    address = data_address(video_file, "video/mp4")
    for options in (
        {"fps": 1e9},
        {"nframes": 10**9},
        {"fps": -1},
        {"video_start": 5},
        {"video_end": -1},
    ):
        part = {"type": "video_url", "video_url": {"url": address}, **options}
        answer = post(server, chat(part, "What?"))
        assert answer.status_code in (200, 400), answer.text


# ---------------------------------------------------------------------------------------- overload and faults


def test_more_requests_than_may_wait_get_429(served):
    with live(served, max_requests=3) as server:
        busy = [send(server, long_answer(seed=seed)) for seed in range(3)]
        wait_until(lambda: server.state.gate.num_active == 3)
        answer = post(server, chat("Hello"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
        assert int(answer.headers["retry-after"]) >= 1
        for connection in busy:
            connection.close()
        wait_until(server.is_idle)
        assert post(server, chat("Hello")).status_code == 200


def test_requests_beside_each_other_get_their_own_answers(server, picture):
    bodies = [chat(f"Say {number}", max_tokens=5) for number in range(8)]
    bodies += [
        chat(picture_part(picture.rotate(angle)), "What?", max_tokens=5) for angle in (0, 90)
    ]

    def text_of(body):
        return post(server, body).json()["choices"][0]["message"]["content"]

    alone = [text_of(body) for body in bodies]
    with ThreadPoolExecutor(30) as pool:
        together = list(pool.map(text_of, bodies * 3))
    assert together == alone * 3


def test_an_answer_that_takes_too_long_ends_with_an_error(served):
    with live(served, answer_seconds=0.3) as server:
        answer = post(server, long_answer())
        assert answer.status_code == 504
        assert "was not finished within 0.3 s" in answer.json()["error"]["message"]
        answer = post(server, long_answer(stream=True))
        *_, error, done = events_of(answer)
        assert "was not finished within 0.3 s" in error["error"]["message"]
        assert done == "[DONE]"
        wait_until(server.is_idle)


def test_a_fault_within_a_stream_ends_it_with_an_error_event(server, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("internal detail")

    monkeypatch.setattr(chat_endpoint._Chunks, "_end", broken)
    answer = post(server, chat("Hello", stream=True))
    *_, error, done = events_of(answer)
    identity = answer.headers["x-request-id"]
    assert error["error"]["message"].startswith(f"the server failed to answer request {identity}")
    assert done == "[DONE]"
    assert "internal detail" not in answer.text
    assert f"request {identity} failed" in caplog.text
