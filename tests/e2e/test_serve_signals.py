# SPDX-License-Identifier: Apache-2.0
"""SIGTERM, SIGINT and SIGKILL of a server that answers: its clients get an end or an error, and can repeat."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
import websockets.sync.client

from tests.support.live_frames import jpeg, message
from tests.support.serving import (
    chat,
    program,
    wait_until,
)

CHAT = "/v1/chat/completions"
LONG = {"max_tokens": 3000, "temperature": 2.0, "top_p": 1, "seed": 1}
ENDLESS = {"guided_regex": "[a-z]{20000}"}
"""Does not end before its limit of tokens; random, so that it is no loop either."""


def long_answer(**fields):
    """A request for an answer of thousands of tokens."""
    return chat("Hello", **{**LONG, **ENDLESS, **fields})


def long_call(**fields):
    """The same for the client of OpenAI."""
    options = {**LONG, "model": "tiny", "extra_body": ENDLESS, **fields}
    return {"messages": chat("Hello")["messages"], **options}


def test_sigterm_lets_a_running_answer_end(picture):
    with program("--drain-seconds", 30) as server, server.client() as client:
        stream = client.chat.completions.create(**long_call(max_tokens=60, stream=True))
        chunks = [next(stream), next(stream)]
        idle = httpx.Client(base_url=server.url)
        assert idle.get("/health").text == "ok"
        server.process.send_signal(signal.SIGTERM)
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(list, stream)
            refused = 0
            while not refused:
                try:
                    refused = idle.post(CHAT, json=chat("Hello")).status_code == 503
                except httpx.TransportError:
                    refused = 1
            chunks += ended.result(60)
        idle.close()
        assert chunks[-1].choices[0].finish_reason in ("length", "stop")
        assert server.process.wait(60) == 0


def test_a_second_interrupt_ends_at_once_with_one_line():
    with program("--drain-seconds", 600) as server:
        body = long_answer(stream=True)
        with httpx.stream("POST", f"{server.url}{CHAT}", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGINT)
            wait_until(lambda: httpx.get(f"{server.url}/health").status_code == 503)
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(10) == 130
        wait_until(lambda: "interrupted again" in server.log())
        last = server.lines[-1]
        assert last == "interrupted again: ended at once, unfinished answers are cut\n"
        assert "Traceback" not in server.log()


def test_after_the_deadline_answers_end_with_an_error_event():
    with program("--drain-seconds", 0.5) as server:
        body = long_answer(stream=True)
        with httpx.stream("POST", f"{server.url}{CHAT}", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            data = [line.removeprefix("data: ") for line in lines if line]
        assert data[-1] == "[DONE]"
        error = json.loads(data[-2])["error"]
        assert (error["code"], error["type"]) == ("stopping", "server_error")
        assert "the server stopped after" in error["message"]
        assert server.process.wait(60) == 0


def test_kill_gives_clients_an_error_and_the_request_can_be_repeated(tmp_path):
    body = {**chat("Hello", max_tokens=8), "model": "tiny"}
    with program() as server, server.client() as client:
        expected = client.chat.completions.create(**body).choices[0].message.content
        stream = client.chat.completions.create(**long_call(stream=True))
        next(stream)
        port = int(server.url.rpartition(":")[2])
        with ThreadPoolExecutor(1) as pool:
            whole = pool.submit(client.chat.completions.create, **long_call(seed=2))
            time.sleep(0)
            server.stop(signal.SIGKILL)
            with pytest.raises((openai.APIConnectionError, httpx.TransportError)):
                list(stream)
            with pytest.raises(openai.APIConnectionError):
                whole.result(60)
    with program(port=port) as server, server.client() as client:
        assert client.chat.completions.create(**body).choices[0].message.content == expected


def test_while_the_server_stops_others_are_told_so():
    with program("--drain-seconds", 30) as server, server.client() as client:
        stream = client.chat.completions.create(**long_call(max_tokens=400, stream=True))
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        status = 200
        while status == 200:
            status = httpx.get(f"{server.url}/health").status_code
        answer = httpx.post(f"{server.url}{CHAT}", json=chat("Hello"))
        assert (status, answer.status_code) == (503, 503)
        assert answer.json()["error"]["code"] == "stopping"
        assert list(stream)[-1].choices[0].finish_reason in ("length", "stop")
        assert server.process.wait(60) == 0


def test_a_live_question_is_answered_while_the_server_stops():
    ask = {
        "type": "ask",
        "text": "What?",
        "max_tokens": 400,
        "structured_outputs": {"regex": "[a-z]{20000}"},
    }
    with program("--drain-seconds", 30) as server:
        address = server.url.replace("http://", "ws://") + "/v1/live"
        with websockets.sync.client.connect(address) as socket:
            socket.send(json.dumps({"type": "start", "max_pixels": 28 * 28 * 12}))
            socket.send(message(0.0, jpeg(0)))
            socket.send(json.dumps(ask))
            kind = ""
            while kind != "delta":
                kind = json.loads(socket.recv(timeout=60))["type"]
            server.process.send_signal(signal.SIGTERM)
            while kind == "delta":
                received = json.loads(socket.recv(timeout=60))
                kind = received["type"]
        assert (kind, received["finish_reason"]) == ("answer", "length")
        assert server.process.wait(60) == 0
