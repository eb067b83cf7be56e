# SPDX-License-Identifier: Apache-2.0
"""Whatever JSON a client sends as a body, it is read or refused with an error of finesight."""

from __future__ import annotations

import warnings
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from finesight.conversation import Sampling
from finesight.errors import FinesightError, MediaError
from finesight.remote import ollama_request, response_request
from finesight.remote.ollama_request import keep_seconds, read_chat, read_embed, read_generate
from finesight.remote.response_request import read_response_request

WORDS = (
    *("", "a", "auto", "none", "required", "json", "user", "assistant", "tool", "5m", "YQ=="),
    *("function", "message", "function_call", "function_call_output", "input_text", "input_image"),
    *("input_file", "output_text", "json_schema", "allowed_tools", "data:image/png;base64,YQ=="),
    *("message.output_text.logprobs", "text", "refusal", "image_url", "video_url", "{}", "[1]"),
)
TOOL = {"type": "function", "name": "a", "parameters": {}}
KEYS = (
    *("type", "role", "content", "text", "name", "arguments", "call_id", "output", "image_url"),
    *("file_data", "file_url", "file_id", "detail", "images", "tool_calls", "function", "schema"),
    *("format", "parameters", "mode", "tools", "url", "fps", "id", "status", "annotations"),
    *("num_predict", "num_ctx", "temperature", "stop", "seed", "top_k", "mirostat", "effort"),
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=4)
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


def bodies(fields, **others):
    """Bodies with some of the fields, and with the others where they are left out."""
    some = st.dictionaries(st.sampled_from(fields), VALUES, max_size=3)
    return some.map(lambda body: {**others, **body}) | VALUES


def refuse(address):
    raise MediaError(f"{address} is not opened here")


def is_handled(read):
    with suppress(FinesightError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # placeholders of media in texts
        read()


@given(bodies(response_request.FIELDS, input="a", tools=[TOOL]))
def test_a_body_of_responses(body):
    is_handled(lambda: read_response_request(body, Sampling(), open_file=refuse))


@given(st.lists(VALUES, max_size=3))
def test_items_of_responses(items):
    is_handled(lambda: read_response_request({"input": items}, Sampling(), open_file=refuse))


@given(bodies(ollama_request.CHAT, messages=[{"role": "user", "content": "a"}]))
def test_a_body_of_ollamas_chat(body):
    is_handled(lambda: read_chat(body, Sampling(), 4096))


@given(bodies(ollama_request.GENERATE))
def test_a_body_of_ollamas_generate(body):
    is_handled(lambda: read_generate(body, Sampling(), 4096))


@given(bodies(ollama_request.EMBED, input="a"))
def test_a_body_of_ollamas_embed(body):
    is_handled(lambda: read_embed(body, 4096))
    is_handled(lambda: keep_seconds(body))
