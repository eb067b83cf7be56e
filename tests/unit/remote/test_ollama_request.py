# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests to Ollama's API are honoured, or refused by the name of the field."""

from __future__ import annotations

import base64
import math

import pytest

from finesight.conversation import ImagePart, Sampling, TextPart
from finesight.errors import ConfigError
from finesight.remote.ollama_request import (
    is_load_only,
    keep_seconds,
    read_chat,
    read_embed,
    read_generate,
)

CONTEXT = 4096
PICTURE = b"not read here"
ENCODED = base64.b64encode(PICTURE).decode()
HELLO = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def chat(*messages, **body):
    given = {"model": "m", "messages": list(messages or (HELLO,)), **body}
    return read_chat(given, Sampling(max_new_tokens=7), CONTEXT)


def generate(prompt="Hello", **body):
    given = {"model": "m", "prompt": prompt, **body}
    return read_generate(given, Sampling(max_new_tokens=7), CONTEXT)


def test_answers_are_streamed_unless_they_are_not():
    assert chat().chat.streams
    assert generate().chat.streams
    assert not chat(stream=False).chat.streams


def test_what_is_left_out_is_the_checkpoints():
    assert chat().chat.sampling == Sampling(max_new_tokens=7)
    assert chat().chat.model == "m"


def test_every_option_is_honoured():
    options = {
        "num_predict": 9,
        "temperature": 0.25,
        "top_k": 4,
        "top_p": 0.5,
        "min_p": 0.1,
        "seed": 11,
        "stop": ["a", "b"],
        "repeat_penalty": 1.5,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "num_ctx": CONTEXT,
        "repeat_last_n": -1,
        "mirostat": 0,
        "num_thread": None,
    }
    expected = Sampling(
        max_new_tokens=9,
        temperature=0.25,
        top_k=4,
        top_p=0.5,
        min_p=0.1,
        seed=11,
        stop=("a", "b"),
        repetition_penalty=1.5,
        presence_penalty=0.5,
        frequency_penalty=0.25,
    )
    assert chat(options=options).chat.sampling == expected
    assert generate(options=options).chat.sampling == expected


@pytest.mark.parametrize(
    ("form", "schema"),
    [("", None), (None, None), ("json", '{"type": "object"}'), ({"type": "integer"},) * 2],
)
def test_the_format_is_honoured(form, schema):
    expected = Sampling(json_schema=schema).json_schema
    assert chat(format=form).chat.sampling.json_schema == expected
    assert generate(format=form).chat.sampling.json_schema == expected


def test_pictures_come_before_the_text():
    (message,) = chat(
        {**HELLO, "images": [ENCODED, f"data:image/png;base64,{ENCODED}"]}
    ).chat.conversation.messages
    assert message.parts == (
        ImagePart(source=PICTURE),
        ImagePart(source=f"data:image/png;base64,{ENCODED}"),
        TextPart("Hello"),
    )
    (question,) = generate(images=[ENCODED]).chat.conversation.messages
    assert question.parts == (ImagePart(source=PICTURE), TextPart("Hello"))
    (picture,) = generate("", images=[ENCODED]).chat.conversation.messages
    assert picture.parts == (ImagePart(source=PICTURE),)


def test_calls_and_their_outputs_are_read():
    call = {"id": "c", "function": {"index": 0, "name": "look", "arguments": {"n": 1}}}
    request = chat(
        HELLO,
        {"role": "assistant", "content": "", "thinking": "", "tool_calls": [call]},
        {"role": "tool", "content": "seen", "tool_name": "look", "tool_call_id": "c"},
        tools=[TOOL],
    )
    _, turn, tool = request.chat.conversation.messages
    assert turn.tool_calls == ({"name": "look", "arguments": {"n": 1}},)
    assert (tool.role, tool.parts) == ("tool", (TextPart("seen"),))
    assert request.chat.conversation.tools == (TOOL,)


def test_a_system_text_comes_first():
    system, user = generate(system="Be brief.").chat.conversation.messages
    assert (system.role, system.parts) == ("system", (TextPart("Be brief."),))
    assert user.role == "user"


def test_a_raw_prompt_has_no_template():
    request = generate("Once", raw=True)
    assert (request.raw_prompt, request.chat.conversation.messages) == ("Once", ())
    assert generate("Once", raw=False).raw_prompt is None


def test_logprobs_are_read():
    assert chat(logprobs=True, top_logprobs=2).chat.sampling.logprobs == 2
    assert generate(logprobs=True).chat.sampling.logprobs == 0


@pytest.mark.parametrize(
    "body",
    [
        {"think": False},
        {"think": None},
        {"options": None},
        {"shift": False},
        {"keep_alive": "5m"},
        {"suffix": "", "template": "", "context": []},
    ],
)
def test_a_value_that_asks_for_nothing_changes_nothing(body):
    assert generate(**body) == generate()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"think": True}, "think is True"),
        ({"temperature": 1}, "unknown field 'temperature'"),
        ({"template": "{{ .Prompt }}"}, "template is"),
        ({"suffix": "end"}, "suffix is 'end'"),
        ({"context": [1, 2]}, "context is"),
        ({"format": "xml"}, "format is 'xml'"),
        ({"stream": "no"}, "stream is 'no'"),
        ({"raw": 1}, "raw is 1"),
        ({"raw": True, "images": [ENCODED]}, "images is given with raw"),
        ({"raw": True, "system": "s"}, "system is given with raw"),
        ({"system": 3}, "system is 3"),
        ({"prompt": ["Hello"]}, "prompt is"),
        ({"images": ENCODED}, "the prompt: images is"),
        ({"images": ["/etc/passwd"]}, "the prompt, image 0 is no base64"),
        ({"images": [3]}, "the prompt, image 0 is 3"),
        ({"options": []}, r"options is \[\]"),
        ({"options": {"temprature": 1}}, "unknown field 'temprature'"),
        ({"options": {"num_ctx": CONTEXT + 1}}, "num_ctx is 4,097; the model's context is 4,096"),
        ({"options": {"num_ctx": "big"}}, "num_ctx='big'"),
        ({"options": {"num_predict": -1}}, "num_predict is -1, an answer without a limit"),
        ({"options": {"num_predict": 0}}, "num_predict=0; it must be"),
        ({"options": {"num_gpu": 1}}, "num_gpu is 1, which is not supported"),
        ({"options": {"mirostat": 2}}, "mirostat is 2"),
        ({"options": {"repeat_last_n": 64}}, "repeat_last_n is 64"),
        ({"top_logprobs": 1}, "top_logprobs=1 without logprobs"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(body, words):
    with pytest.raises(ConfigError, match=words):
        generate(**body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": "Hello"}, "messages is 'Hello'"),
        ({"messages": [HELLO, "Hello"]}, "message 1: "),
        ({"messages": [{"role": "bad", "content": "a"}]}, "message 0: role"),
        ({"messages": [{**HELLO, "content": [{"type": "text"}]}]}, "message 0: content is"),
        ({"messages": [{**HELLO, "thinking": "hm"}]}, "message 0: unknown key 'thinking'"),
        ({"prompt": "Hello"}, "unknown field 'prompt'"),
        ({"tools": {}}, "tools is {}"),
    ],
)
def test_a_wrong_message_is_named(body, words):
    with pytest.raises(ConfigError, match=words):
        read_chat({"model": "m", "messages": [HELLO], **body}, Sampling(), CONTEXT)


@pytest.mark.parametrize("read", [read_chat, read_generate])
def test_a_body_is_an_object(read):
    with pytest.raises(ConfigError, match="body is"):
        read([], Sampling(), CONTEXT)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (0, 0),
        (30, 30),
        (0.5, 0.5),
        ("0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        (-1, math.inf),
        ("-1", math.inf),
        ("-1m", math.inf),
        (10**400, 10**9),
    ],
)
def test_keep_alive_is_a_time(given, seconds):
    assert keep_seconds({"keep_alive": given}) == seconds


@pytest.mark.parametrize("given", ["", "long", "5 minutes", True, [], math.nan])
def test_a_wrong_keep_alive_is_named(given):
    with pytest.raises(ConfigError, match="keep_alive is"):
        keep_seconds({"keep_alive": given})


def test_a_request_without_a_question_only_loads():
    assert is_load_only({"model": "m"})
    assert is_load_only({"model": "m", "messages": []})
    assert not is_load_only({"model": "m", "prompt": "Hello"})
    assert not is_load_only({"model": "m", "images": [ENCODED]})


def test_texts_to_embed():
    assert read_embed({"input": "a"}, CONTEXT) == ["a"]
    body = {"input": ["a", "b"], "options": {"num_ctx": 10}, "truncate": False}
    assert read_embed(body, CONTEXT) == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "input is None"),
        ({"input": [""]}, "input is"),
        ({"input": [1]}, "input is"),
        ({"input": "a", "truncate": True}, "truncate is True"),
        ({"input": "a", "options": {"temperature": 1}}, "temperature has no effect on a vector"),
    ],
)
def test_what_cannot_be_embedded_is_refused(body, words):
    with pytest.raises(ConfigError, match=words):
        read_embed(body, CONTEXT)
