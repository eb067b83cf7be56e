# SPDX-License-Identifier: Apache-2.0
"""Errors for clients name fields of their request, never options of Python or of the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import finesight
from finesight.conversation import Sampling
from finesight.engine.runner import check_length
from finesight.errors import ConfigError, MediaError, OutOfBlocks, PromptTooLong
from finesight.media.source import how_to_give
from finesight.remote.chat_request import read_request
from finesight.remote.ollama_request import read_chat
from finesight.remote.response_request import read_response_request
from finesight.remote.wording import (
    CHAT,
    OLLAMA,
    PHRASES,
    RESPONSES,
    field_at_fault,
    worded,
)

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("pattern", PHRASES)
def test_each_replaced_phrase_is_one_that_an_error_has(pattern):
    sources = "".join(path.read_text() for path in Path(finesight.__file__).parent.rglob("*.py"))
    code = sources.replace(
        Path(__file__).parents[3].joinpath("src/finesight/remote/wording.py").read_text(), ""
    )
    written = pattern.replace(r"(\d+)", r"\{self\._max_waiting\}").replace(
        r"(?=\w+=)", r"\{|{owner} has \{name\}"
    )
    assert re.search(written, code)


@pytest.mark.parametrize(
    ("dialect", "given", "name"),
    [
        (CHAT, (), "max_tokens"),
        (CHAT, ("max_tokens",), "max_tokens"),
        (CHAT, ("messages", "max_completion_tokens"), "max_completion_tokens"),
        (RESPONSES, (), "max_output_tokens"),
        (OLLAMA, (), "num_predict"),
    ],
)
def test_the_length_of_an_answer_has_the_name_that_the_request_gave_it(dialect, given, name):
    with pytest.raises(PromptTooLong) as caught:
        check_length(90, 20, 100)
    text = worded(caught.value, dialect, given)
    assert f"hint: lower {name} to 10, or" in text
    assert "max_new_tokens" not in text
    assert field_at_fault(caught.value, dialect, given) == dialect.prompts[-1]


def test_values_of_the_client_are_not_changed():
    with pytest.raises(ConfigError) as caught:
        read_request({"messages": MESSAGES, "max_new_tokens": 4}, Sampling())
    assert "unknown field 'max_new_tokens'" in worded(caught.value, CHAT)
    assert field_at_fault(caught.value, CHAT) == "max_new_tokens"


@pytest.mark.parametrize("kind", ["PDF document", "video", "PNG picture"])
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, OLLAMA])
def test_files_of_the_wrong_kind(dialect, kind):
    text = worded(MediaError("no", hint=how_to_give(kind)), dialect)
    assert text.startswith("no\n  hint: send it ")


CHAT_FAULTS = [
    ({"temperature": -1}, "temperature"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": True}, "max_completion_tokens"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"stop": [3]}, "stop"),
    ({"stop": ""}, "stop"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {}}, "stream_options"),
    ({"stream": True, "stream_options": 3}, "stream_options"),
    ({"tools": {}}, "tools"),
    ({"tools": [{}]}, "tools[0]"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"guided_json": "{"}, "guided_json"),
    ({"guided_choice": []}, "guided_choice"),
    ({"structured_outputs": {"json": ""}}, "structured_outputs"),
    ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_regex"),
    ({"guided_regex": "a", "stop": "a"}, "stop"),
    ({"logprobs": 3}, "logprobs"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"logit_bias": {"1": 2}}, "logit_bias"),
    ({"mm_processor_kwargs": {"fps": 1}}, "mm_processor_kwargs"),
    ({"model": 3}, "model"),
    ({"colour": 3}, "colour"),
    ({"messages": 3}, "messages"),
    ({"messages": [{"role": "robot", "content": ""}]}, "messages[0]"),
    (
        {"messages": [*MESSAGES, {"role": "user", "content": [{"type": "sound"}]}]},
        "messages[1].content[0]",
    ),
    (
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]}
            ]
        },
        "messages[0].tool_calls[0]",
    ),
]


@pytest.mark.parametrize(("fields", "param"), CHAT_FAULTS)
def test_the_field_at_fault_of_a_chat(fields, param):
    body = {"messages": MESSAGES, **fields}
    with pytest.raises(ConfigError) as caught:
        read_request(body, Sampling())
    assert field_at_fault(caught.value, CHAT, tuple(body)) == param
    assert "sampling has" not in worded(caught.value, CHAT, tuple(body))


@pytest.mark.parametrize("field", ["guided_regex", "guided_choice", "guided_json"])
def test_a_constraint_has_the_name_that_it_has_in_the_request(field):
    body = {"messages": MESSAGES, field: 3}
    with pytest.raises(ConfigError) as caught:
        read_request(body, Sampling())
    assert worded(caught.value, CHAT, tuple(body)).startswith(field)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input": 3}, "input"),
        ({"input": [{"role": "user", "content": "a"}, 3]}, "input[1]"),
        ({"store": True}, "store"),
        ({"text": {"format": 3}}, "text"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": 3}}}, "stop": "a"}, "stop"),
        ({"instructions": 3}, "instructions"),
    ],
)
def test_the_field_at_fault_of_a_response(fields, param):
    with pytest.raises(ConfigError) as caught:
        read_response_request({"input": "Hello", **fields}, Sampling())
    assert field_at_fault(caught.value, RESPONSES, tuple(fields)) == param


def test_the_words_of_ollama():
    with pytest.raises(ConfigError) as caught:
        read_chat({"messages": MESSAGES, "options": {"num_predict": 0}}, Sampling(), 100)
    assert worded(caught.value, OLLAMA).startswith("num_predict=0; it must be ")


def test_errors_that_are_about_no_field_name_none():
    assert field_at_fault(MediaError("picture.png is broken"), CHAT) is None
    assert field_at_fault(OutOfBlocks("a"), CHAT) == "messages"
