# SPDX-License-Identifier: Apache-2.0
"""What all endpoints share: errors in one form, the log, the metrics, CORS and health."""

from __future__ import annotations

import logging
import re
import threading

import pytest

from finesight.server import chat as chat_endpoint
from finesight.server import tokens
from finesight.server.errors import HttpError, error_response, unexpected
from finesight.server.keys import new_key
from tests.support.serving import app_of, chat, data_address, picture_part, post, request

CHAT = "/v1/chat/completions"


@pytest.fixture
def app(served):
    return app_of(served)


def error_of(response):
    """The error of a response, in OpenAI's form."""
    assert response.headers["content-type"] == "application/json"
    (error,) = response.json().values()
    assert set(error) == {"message", "type", "param", "code"}
    return error


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not_found_error"),
        ("POST", "/v1/chat", 404, "not_found_error"),
        ("GET", CHAT, 405, "invalid_request_error"),
        ("PUT", "/v1/models", 405, "invalid_request_error"),
        ("GET", "/v1/models/none", 404, "not_found_error"),
        ("GET", "/" + "a" * 5000, 404, "not_found_error"),
        ("GET", "/%00%ff%2e%2e/etc/passwd", 404, "not_found_error"),
        ("GET", "/docs", 404, "not_found_error"),
    ],
)
def test_paths_and_methods_that_do_not_exist(app, method, path, status, kind):
    response = request(app, method, path)
    error = error_of(response)
    assert (response.status_code, error["type"]) == (status, kind)
    assert len(error["message"]) < 400


def test_a_wrong_method_is_answered_with_the_right_ones(app):
    response = request(app, "GET", CHAT)
    assert response.headers["allow"] == "POST"
    assert error_of(response)["message"].endswith("hint: the path takes POST")


@pytest.mark.parametrize("path", ["/", "/health"])
def test_head_is_answered_for_programs_that_look_for_a_server(app, path):
    response = request(app, "HEAD", path)
    assert (response.status_code, response.content) == (200, b"")


def test_each_response_names_its_request(app):
    first, second = (request(app, "GET", path) for path in ("/health", "/nothing"))
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert re.fullmatch("req-[0-9a-f]{32}", first.headers["x-request-id"])
    assert first.headers["x-content-type-options"] == "nosniff"


def test_a_fault_is_a_500_without_a_trace_and_its_trace_is_logged(app, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("internal detail")

    monkeypatch.setattr(chat_endpoint, "read_chat", broken)
    response = post(app, CHAT, chat("Hello"))
    error = error_of(response)
    identity = response.headers["x-request-id"]
    assert response.status_code == 500
    assert error["message"].startswith(f"the server failed to answer request {identity}")
    assert "internal detail" not in response.text
    assert "Traceback" not in response.text
    assert f"request {identity} failed" in caplog.text
    assert "KeyError: 'internal detail'" in caplog.text
    assert app.state.finesight.gate.num_active == 0
    counted = 'finesight_requests_total{path="/v1/chat/completions",status="500"} 1.0'
    assert counted in request(app, "GET", "/metrics").text


def test_keys_and_pictures_are_not_in_the_log(served, monkeypatch, caplog, tmp_path, picture):
    secret, line = new_key("alice")
    (tmp_path / "keys").write_text(line)
    app = app_of(served, keys_file=tmp_path / "keys")
    headers = {"Authorization": f"Bearer {secret}"}
    address = data_address(picture)
    body = chat(picture_part(address), "a private question")
    with caplog.at_level(logging.DEBUG):
        assert post(app, CHAT, body, headers=headers).status_code == 200
        assert post(app, CHAT, body, headers={"X-API-Key": f"{secret}x"}).status_code == 401
        assert post(app, CHAT, {**body, address: 1}, headers=headers).status_code == 400
        assert post(app, f"{CHAT}?key={secret}", b"{" + address.encode(), headers=headers)

        def broken(given, *_):
            raise ValueError(f"{given} {secret}")

        monkeypatch.setattr(chat_endpoint, "read_chat", broken)
        assert post(app, CHAT, body, headers=headers).status_code == 500
    assert "POST /v1/chat/completions 200" in caplog.text
    assert "POST /v1/chat/completions 500" in caplog.text
    clients = ("httpx", "httpcore", "asyncio")  # the client of this test logs its own addresses
    ours = [each for each in caplog.records if not each.name.startswith(clients)]
    text = "\n".join(caplog.handler.format(each) for each in ours)
    for hidden in (secret, secret[3:20], address[30:60], address[-40:]):
        assert hidden not in text


@pytest.mark.parametrize(
    "message",
    [
        "data:image/png;base64,iVBORw0KGgo/abc+d==",
        "data:text/plain,some%20text",
        "x" * 40,
        "fs-" + "a1B2_" * 8,
        "ab/cd+" * 12,
    ],
)
def test_data_in_an_exception_is_not_logged(caplog, message):
    try:
        try:
            raise KeyError(message)
        except KeyError as inner:
            raise ExceptionGroup("several", [ValueError(f"a {message} b\n{message}")]) from inner
    except ExceptionGroup as error:
        unexpected(error, "req-1")
    assert message not in caplog.text
    assert message[:30] not in caplog.text
    assert "test_app.py" in caplog.text
    assert "KeyError" in caplog.text


@pytest.mark.parametrize(
    ("wait", "header"), [(None, None), (0.2, "1"), (1, "1"), (39.6, "40"), (60, "60")]
)
def test_the_time_to_wait_is_whole_seconds(wait, header):
    error = HttpError(429, "too many", retry_after=wait)
    assert error_response(error, {"path": "/"}).headers.get("retry-after") == header


def test_the_health_is_open_and_the_rest_needs_a_key(served, tmp_path):
    secret, line = new_key("alice")
    (tmp_path / "keys").write_text(line)
    app = app_of(served, keys_file=tmp_path / "keys")
    assert request(app, "GET", "/health").text == "ok"
    for path in ("/v1/models", "/v1/models/tiny", "/metrics"):
        response = request(app, "GET", path)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert request(app, "GET", path, headers={"X-API-Key": secret}).status_code == 200
    for path in (CHAT, "/v1/completions", "/v1/embeddings", "/tokenize", "/detokenize"):
        assert post(app, path, b"not even JSON").status_code == 401


@pytest.mark.parametrize(
    ("path", "body"), [("/tokenize", {"prompt": "Hello"}), ("/detokenize", {"tokens": [64]})]
)
def test_millions_of_tokens_do_not_stop_other_requests(app, path, body, monkeypatch):
    """They are read, computed and written on a thread: a body of 10 MB stopped the event loop for seconds."""
    threads, plain = [], tokens.JSONResponse
    monkeypatch.setattr(
        tokens, "JSONResponse", lambda found: threads.append(threading.get_ident()) or plain(found)
    )
    assert post(app, path, body).status_code == 200
    assert threads
    assert threading.get_ident() not in threads


def test_while_it_stops_the_server_is_not_healthy(app):
    app.state.finesight.drain()
    response = request(app, "GET", "/health")
    assert (response.status_code, response.text) == (503, "stopping")
    assert post(app, CHAT, chat("Hello")).headers["retry-after"] == "60"


def test_other_origins_are_not_let_in_unless_they_are_named(served):
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    for origins, allowed in [((), None), (("https://a.example",), "https://a.example")]:
        app = app_of(served, origins=origins)
        response = request(app, "OPTIONS", CHAT, headers=headers)
        assert response.headers.get("access-control-allow-origin") == allowed
        response = request(app, "GET", "/health", headers={"Origin": "https://a.example"})
        assert response.headers.get("access-control-allow-origin") == allowed
        response = request(app, "GET", "/health", headers={"Origin": "https://b.example"})
        assert response.headers.get("access-control-allow-origin") is None


def test_the_metrics_count_requests_tokens_and_times(app, picture):
    body = chat(picture_part(picture), "What is it?")
    usages = [post(app, CHAT, body).json()["usage"] for _ in range(2)]
    post(app, CHAT, chat("Hello", model="none"))
    post(app, CHAT, b"junk")
    request(app, "GET", "/secret/path")
    text = request(app, "GET", "/metrics").text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert found['finesight_requests_total{path="/v1/chat/completions",status="200"}'] == "2.0"
    assert found['finesight_requests_total{path="other",status="404"}'] == "1.0"
    assert found['finesight_refused_total{reason="model_not_found"}'] == "1.0"
    assert found['finesight_refused_total{reason="ConfigError"}'] == "1.0"
    assert found['finesight_tokens_total{kind="answer",model="tiny"}'] == (
        f"{sum(usage['completion_tokens'] for usage in usages):.1f}"
    )
    assert float(found['finesight_tokens_total{kind="visual",model="tiny"}']) == 24
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    assert float(found['finesight_tokens_total{kind="cached",model="tiny"}']) == cached > 0
    assert found['finesight_time_to_first_token_seconds_count{model="tiny"}'] == "2.0"
    assert found['finesight_answer_seconds_count{model="tiny"}'] == "2.0"
    for name in ("active_requests", "running_answers", "waiting_answers", "body_bytes"):
        assert found[f"finesight_{name}"] == "0.0"
    assert "secret" not in text
