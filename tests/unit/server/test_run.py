# SPDX-License-Identifier: Apache-2.0
"""The port of a server, and bytes on it that are no HTTP request."""

from __future__ import annotations

import json
import socket

import pytest

from finesight.errors import FinesightError
from finesight.server.run import _listener
from tests.support.serving import live


def test_a_host_that_does_not_exist_needs_another_host():
    with pytest.raises(FinesightError, match=r"300\.1\.1\.1 cannot be opened") as caught:
        _listener("300.1.1.1", 0)
    assert caught.value.hint == "choose another --host"


def test_a_port_in_use_needs_another_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FinesightError, match=rf"port {port} of 127\.0\.0\.1") as caught:
            _listener("127.0.0.1", port)
    assert caught.value.hint == "choose another --port"


@pytest.mark.parametrize(
    "sent",
    [
        "NONSENSE\n\n",
        "GET /health HTTP/1.1\n\n",
        "POST /v1/completions HTTP/1.1\nHost: a\nContent-Length: -5\n\n",
        "POST /v1/completions HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nzz\n",
    ],
)
def test_what_is_no_http_request_gets_an_error_in_the_form_of_the_api(served, sent):
    with live(served) as server, server.send(sent) as connection:
        answer = b""
        while piece := connection.recv(1000):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "invalid_http"
