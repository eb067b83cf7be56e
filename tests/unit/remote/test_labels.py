# SPDX-License-Identifier: Apache-2.0
"""Labels of a request are found wherever they are."""

from __future__ import annotations

import pytest

from finesight.remote.labels import labels_in

TEXT = {"type": "text", "text": "a"}


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        ({"messages": [{"role": "user", "content": "a"}], "temperature": 0}, ()),
        ({"user": "me", "metadata": {"a": "b"}, "messages": []}, ("user", "metadata")),
        ({"user": None, "metadata": {}}, ()),
        (
            {"messages": [{"role": "tool", "tool_call_id": "1", "name": "f", "content": "a"}] * 2},
            ("messages[].name", "messages[].tool_call_id"),
        ),
        (
            {"messages": [{"role": "user", "content": [{**TEXT, "cache_control": {"type": "x"}}]}]},
            ("messages[].content[].cache_control",),
        ),
        (
            {"input": [{"role": "assistant", "content": "a", "id": "m", "status": "completed"}]},
            ("input[].id", "input[].status"),
        ),
        (
            {"input": [{"type": "function_call", "name": "f", "call_id": "c", "id": "i"}]},
            ("input[].id",),
        ),
        (
            {"messages": [{"role": "tool", "tool_name": "f", "content": "a"}]},
            ("messages[].tool_name",),
        ),
        ({"input": "a", "messages": [1, None, {"content": [3]}]}, ()),
        ([], ()),
        (None, ()),
    ],
)
def test_labels_of_a_request(body, labels):
    assert labels_in(body) == labels
