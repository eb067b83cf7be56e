# SPDX-License-Identifier: Apache-2.0
"""What is refused before a request is read, and that nothing of a request is counted for longer than it lasts."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AsyncExitStack

import pytest
from fastapi import Request

from finesight.errors import ConfigError
from finesight.server import gate as gate_module
from finesight.server.errors import HttpError
from finesight.server.gate import Gate
from finesight.server.keys import new_key
from finesight.server.settings import ServerSettings


def request_of(*pieces, headers=(), client="198.51.100.7", ends="body"):
    """A request whose body arrives in pieces; afterwards it is complete, the client is gone, or nothing comes."""
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if ends == "body":
        waiting.append({"type": "http.request", "body": b"", "more_body": False})
    if ends == "gone":
        waiting.append({"type": "http.disconnect"})

    async def receive():
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()

    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw, "client": (client, 1)}
    return Request(scope, receive)


def admitted(gate, *pieces, **options):
    """The JSON of a request that is let in."""

    async def run():
        async with gate.admit(request_of(*pieces, **options)) as body:
            assert gate.num_active == 1
            assert gate.num_body_bytes == sum(map(len, pieces))
            return body

    try:
        return asyncio.run(run())
    finally:
        assert (gate.num_active, gate.num_body_bytes) == (0, 0)


def refusal(gate, *pieces, **options):
    """The error of a request that is refused."""
    with pytest.raises(HttpError) as caught:
        admitted(gate, *pieces, **options)
    return caught.value


def check(gate, **options):
    """Let a request in, and end it."""
    with gate.counted(request_of(**options)):
        pass


def gate_of(**settings):
    return Gate(ServerSettings(**settings))


@pytest.fixture
def keys(tmp_path):
    """A file of keys with `alice`, her key, and a gate with it."""
    secret, line = new_key("alice")
    path = tmp_path / "keys"
    path.write_text(line)
    return path, secret, gate_of(keys_file=path)


def test_a_body_is_read_from_its_pieces():
    assert admitted(gate_of(), b'{"a"', b": [1, ", b"2]}") == {"a": [1, 2]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b'{"a": NaN}',
        b"[-Infinity]",
        b"Infinity",
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'"\\ud800"',
        b'{"\\uDFFF": 1}',
        b'{"a": "\\ude00\\ud83d"}',
        b"1" * 5000,
        b"'a'",
        b'{"a": 1} b',
    ],
)
def test_what_is_no_json_is_an_error_of_the_client(body):
    with pytest.raises(ConfigError, match="the body is not JSON") as caught:
        admitted(gate_of(), body)
    assert len(str(caught.value)) < 300


def test_labels_are_looked_for_outside_of_the_event_loop(monkeypatch):
    """A body of 9 MB may have three million messages: looking at them stopped all other requests for a minute."""
    threads = []
    monkeypatch.setattr(
        gate_module, "labels_in", lambda _: threads.append(threading.get_ident()) or ("user",)
    )
    assert admitted(gate_of(), b"{}") == {}
    assert threads != [threading.get_ident()]


def test_whole_pairs_of_escaped_halves_are_text():
    assert admitted(gate_of(), rb'{"a": "\ud83d\ude00 \\ud800"}') == {"a": "\U0001f600 \\ud800"}


@pytest.mark.parametrize("body", [b'{"a": 1, "b": 2, "a": 3}', b'[{"b": {"a": 1, "a": 1}}]'])
def test_a_field_that_is_given_twice_is_an_error_because_only_one_of_them_could_have_effect(body):
    with pytest.raises(ConfigError) as caught:
        admitted(gate_of(), body)
    assert caught.value.message == "'a' is given 2 times in one object"


def test_another_content_type_is_named_if_the_body_is_no_json():
    form = ("Content-Type", "application/x-www-form-urlencoded")
    with pytest.raises(ConfigError, match="Content-Type is 'application/x-www-form-urlencoded'"):
        admitted(gate_of(), b"a=1", headers=[form])
    assert admitted(gate_of(), b'{"a": 1}', headers=[form]) == {"a": 1}


def test_a_compressed_body_is_not_read():
    error = refusal(gate_of(), headers=[("Content-Encoding", "GZIP")])
    assert (error.status, "'gzip'" in error.message) == (415, True)
    assert admitted(gate_of(), b"{}", headers=[("Content-Encoding", "identity")]) == {}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_servers_are_refused_unless_their_origin_is_allowed(site):
    headers = [("Origin", "https://a.example"), ("Sec-Fetch-Site", site)]
    error = refusal(gate_of(), headers=headers)
    assert (error.status, error.code) == (403, "unknown_origin")
    assert "'https://a.example'; allowed: none" in error.message
    assert refusal(gate_of(origins=("https://b.example",)), headers=headers).status == 403
    for origins in (("https://a.example",), ("*",)):
        assert admitted(gate_of(origins=origins), b"{}", headers=headers) == {}


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_the_page_of_the_server_and_programs_are_let_in(site):
    headers = [("Origin", "https://proxy.example"), ("Sec-Fetch-Site", site)]
    assert admitted(gate_of(), b"{}", headers=headers) == {}
    assert admitted(gate_of(), b"{}", headers=headers[:1]) == {}


def test_a_body_above_the_limit_is_refused_by_its_header_alone():
    error = refusal(gate_of(max_body_mb=1), headers=[("Content-Length", "1000001")], ends="")
    assert error.status == 413
    assert str(error).startswith("the body has at least 1,000,001 bytes; at most 1,000,000 are")


@pytest.mark.parametrize("header", [(), [("Content-Length", "5")], [("Content-Length", "junk")]])
def test_a_body_above_the_limit_is_refused_while_it_arrives(header):
    gate = gate_of(max_body_mb=0.001)
    error = refusal(gate, b"x" * 600, b"x" * 401, b"never read", headers=header, ends="")
    assert (error.status, error.code) == (413, "body_too_large")
    assert admitted(gate, b'"' + b"x" * 998 + b'"') == "x" * 998


def test_a_slow_body_is_not_waited_for():
    error = refusal(gate_of(body_seconds=0.01), b"{", ends="")
    assert error.status == 408
    assert "did not arrive within 0.01 s; 1 bytes of it did" in str(error)


def test_a_client_that_leaves_while_it_sends_is_no_fault_of_the_server():
    assert refusal(gate_of(), b"{", ends="gone").status == 499


def test_all_bodies_together_have_a_limit():
    gate = gate_of(max_bodies_mb=0.001)

    async def run():
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(
                    gate.admit(request_of(json.dumps("x" * 298).encode()))
                )
            with pytest.raises(HttpError) as caught:
                await stack.enter_async_context(
                    gate.admit(request_of(json.dumps("x" * 298).encode()))
                )
            return caught.value

    error = asyncio.run(run())
    assert (error.status, error.code, error.retry_after) == (503, "no_memory", 1)
    assert str(error).startswith(
        "the requests that are being answered have 1,200 bytes; at most 1,000 may"
    )
    assert gate.num_body_bytes == 0
    # One alone is not refused by it: else it could never be sent.
    assert admitted(gate, json.dumps("x" * 2000).encode()) == "x" * 2000


def test_the_number_of_requests_has_a_limit():
    gate = gate_of(max_requests=2)

    async def run():
        async with gate.admit(request_of(b"1")), gate.admit(request_of(b"2")):
            with pytest.raises(HttpError) as caught:
                async with gate.admit(request_of(b"3")):
                    pass
        async with gate.admit(request_of(b"4")) as body:
            return body, caught.value

    body, error = asyncio.run(run())
    assert body == 4
    assert (error.status, error.code, error.retry_after) == (429, "queue_full", 1)
    assert str(error).startswith("2 requests are being answered or wait; at most 2 may")


def test_a_request_ends_with_an_error_of_its_handler():
    gate = gate_of()

    async def run():
        async with gate.admit(request_of(b"1")):
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(run())
    assert (gate.num_active, gate.num_body_bytes) == (0, 0)


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(gate_module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_requests_per_minute_are_those_of_a_client(clock):
    gate = gate_of(requests_per_minute=2)
    check(gate)
    clock.now += 20
    check(gate)
    with pytest.raises(HttpError, match="2 requests a minute are allowed") as caught:
        check(gate)
    assert (caught.value.status, caught.value.retry_after) == (429, 40)
    check(gate, client="198.51.100.8")
    clock.now += 40
    check(gate)
    with pytest.raises(HttpError):
        check(gate)


def test_refused_requests_do_not_extend_the_wait(clock):
    gate = gate_of(requests_per_minute=1)
    check(gate)
    for _ in range(50):
        clock.now += 1
        with pytest.raises(HttpError):
            check(gate)
    clock.now += 10
    check(gate)


def test_clients_that_are_quiet_are_forgotten(clock, monkeypatch):
    monkeypatch.setattr(gate_module, "_MOST_CLIENTS", 3)
    gate = gate_of(requests_per_minute=1)
    for number in range(100):
        check(gate, client=f"198.51.100.{number}")
    assert len(gate._times) == 3


def test_a_key_has_its_own_limit_whatever_its_address(tmp_path, clock):
    (alice, line), (bob, other) = new_key("alice"), new_key("bob")
    path = tmp_path / "keys"
    path.write_text(f"{line}\n{other} requests_per_minute=3\n")
    gate = gate_of(keys_file=path, requests_per_minute=1)

    def ask(secret, number):
        headers = [("Authorization", f"Bearer {secret}")]
        check(gate, headers=headers, client=f"198.51.100.{number}")

    ask(alice, 1)
    with pytest.raises(HttpError, match="1 requests a minute"):
        ask(alice, 2)
    for number in range(3):
        ask(bob, number)
    with pytest.raises(HttpError, match="3 requests a minute"):
        ask(bob, 9)


@pytest.mark.parametrize(
    "header",
    [("Authorization", "Bearer {}"), ("authorization", "bearer  {} "), ("X-API-Key", "{}")],
)
def test_a_key_is_sent_in_either_header(keys, header):
    _, secret, gate = keys
    assert (
        gate.check_key(request_of(headers=[(header[0], header[1].format(secret))])).name == "alice"
    )


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "authentication_error"),
        ([("Authorization", "")], "authentication_error"),
        ([("Authorization", "Bearer")], "authentication_error"),
        ([("Authorization", "Basic YTpi")], "authentication_error"),
        ([("Authorization", "Bearer wrong")], "invalid_api_key"),
        ([("X-API-Key", "wrong")], "invalid_api_key"),
        ([("Authorization", "Bearer \xe9")], "invalid_api_key"),
    ],
)
def test_without_a_known_key_nothing_is_read(keys, headers, code):
    error = refusal(keys[2], b"{}", headers=headers, ends="")
    assert (error.status, error.code) == (401, code)
    assert "wrong" not in str(error)


def test_a_broken_file_of_keys_is_a_fault_of_the_server_and_its_path_is_not_sent(keys, caplog):
    path, secret, gate = keys
    path.write_text("junk")
    error = refusal(gate, headers=[("X-API-Key", secret)])
    assert (error.status, error.code) == (503, "keys_unreadable")
    assert str(path) not in str(error)
    assert f"{path}, line 1" in caplog.text
    assert secret not in caplog.text


def test_a_server_without_keys_lets_everyone_in():
    assert gate_of().check_key(request_of(headers=[("Authorization", "Bearer any")])) is None


def test_while_the_server_stops_nothing_is_let_in(keys):
    gate = keys[2]
    gate.is_draining = True
    error = refusal(gate, b"{}")
    assert (error.status, error.code, error.retry_after) == (503, "stopping", 60)
