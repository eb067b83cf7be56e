# SPDX-License-Identifier: Apache-2.0
"""A server that lets everyone on this machine in is not reached by a name that is not its own (DNS rebinding)."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from finesight.cli import serve as command
from tests.support.serving import app_of, chat, request

NAMES = ("box.example.com", ".lan")


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        *(
            (host, True)
            for host in ("127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "::1", "10.0.0.7")
        ),
        *((host, True) for host in ("localhost", "LocalHost:8000", "localhost.", "a.localhost")),
        *(
            (host, True)
            for host in ("box.example.com", "BOX.example.com.:80", "a.lan", "b.a.lan:1")
        ),
        *((host, False) for host in ("evil.com", "evil.com:8000", "localhost.evil.com", "lan")),
        *(
            (host, False)
            for host in ("127.0.0.1.evil.com", "0x7f000001", "evil.com:80:80", "[evil")
        ),
    ],
)
def test_the_names_of_a_server(served, host, is_known):
    app = app_of(served, server_names=NAMES)
    for path in ("/", "/health", "/v1/models", "/nothing"):
        response = request(app, "GET", path, headers={"host": host})
        assert (response.status_code != 403) == is_known, path
    if not is_known:
        error = response.json()["error"]
        assert (error["code"], error["type"]) == ("unknown_host", "permission_error")
        assert "--server-name" in error["message"]
        assert response.headers["x-request-id"]


def test_a_refused_request_is_counted_and_not_read(served):
    app = app_of(served, server_names=())
    response = request(
        app, "POST", "/v1/chat/completions", json=chat("a"), headers={"host": "evil.com"}
    )
    assert response.status_code == 403
    metrics = request(app, "GET", "/metrics", headers={"host": "localhost"}).text
    assert 'finesight_refused_total{reason="unknown_host"} 1.0' in metrics


def test_live_video_has_the_same_check(served):
    client = TestClient(app_of(served, server_names=()), base_url="http://evil.com")
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/live"):
        pass


def test_without_names_every_host_is_let_in(served):
    app = app_of(served)
    assert request(app, "GET", "/v1/models", headers={"host": "any.example"}).status_code == 200


@pytest.mark.parametrize(
    ("names", "keys", "host", "checked"),
    [
        (None, None, "127.0.0.1", ()),
        (None, None, "::1", ()),
        (["a.lan"], None, "localhost", ("a.lan",)),
        (None, None, "0.0.0.0", None),
        (None, "keys", "127.0.0.1", None),
        (["a.lan"], "keys", "0.0.0.0", ("a.lan",)),
    ],
)
def test_the_command_line_checks_names_of_a_server_without_keys_on_this_machine(
    names, keys, host, checked
):
    assert command._server_names(names, keys, host) == checked
