# SPDX-License-Identifier: Apache-2.0
"""Labels that change nothing are named in the response, and once in the log."""

from __future__ import annotations

from tests.support.serving import app_of, chat, post

CHAT = "/v1/chat/completions"
HEADER = "x-without-effect"


def test_labels_are_named_in_the_header_and_once_in_the_log(served, caplog):
    app = app_of(served)
    body = chat("Hello", user="me")
    body["messages"][0]["name"] = "alice"
    for streams in (False, True):
        response = post(app, CHAT, {**body, "stream": streams})
        assert response.status_code == 200
        assert response.headers[HEADER] == "user, messages[].name"
    for label in ("user", "messages[].name"):
        assert caplog.text.count(f"requests have {label}, which has no effect") == 1
    assert "alice" not in caplog.text


def test_a_request_without_labels_has_no_header(served):
    assert HEADER not in post(app_of(served), CHAT, chat("Hello")).headers


def test_a_name_does_not_change_the_prompt(served):
    app = app_of(served)
    plain, named = chat("Hello"), chat("Hello")
    named["messages"][0] |= {"name": "alice", "cache_control": {"type": "ephemeral"}}
    ids = [post(app, "/tokenize", {"messages": each["messages"]}).json() for each in (plain, named)]
    assert ids[0] == ids[1]
