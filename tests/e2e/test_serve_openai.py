# SPDX-License-Identifier: Apache-2.0
"""The documented calls of the server, made with the client of OpenAI; docs/reference/http.md has them as a table."""

from __future__ import annotations

import base64
import json
import struct

import httpx
import openai
import pytest

from finesight.server.keys import new_key
from tests.support.serving import data_address, live, picture_part, tiny_served

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"enum": ["Rome", "Oslo"]}},
            "required": ["place"],
            "additionalProperties": False,
        },
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "time",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}
PLACE = {
    "type": "json_schema",
    "json_schema": {"name": "place", "schema": {"enum": [{"place": "Rome"}, {"place": "Oslo"}]}},
}


@pytest.fixture(scope="module")
def served():
    found = tiny_served()
    yield found
    found.engine.close()


@pytest.fixture(scope="module")
def server(served):
    with live(served) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with server.client() as found:
        yield found


def ask(client, *parts, **fields):
    """Ask the tiny model one question; a str is a text."""
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    options = {"model": "tiny", "max_tokens": 6, "temperature": 0, **fields}
    return client.chat.completions.create(
        messages=[{"role": "user", "content": content}], **options
    )


def told(stream):
    """Text, calls and finish reasons of the choices of a stream."""
    choices = {}
    for chunk in stream:
        for choice in chunk.choices:
            found = choices.setdefault(choice.index, {"text": "", "calls": [], "reason": None})
            found["text"] += choice.delta.content or ""
            for call in choice.delta.tool_calls or ():
                assert call.index == len(found["calls"])
                found["calls"].append((call.function.name, json.loads(call.function.arguments)))
            found["reason"] = choice.finish_reason or found["reason"]
    return [choices[index] for index in sorted(choices)]


def test_a_text(client):
    found = ask(client, "Hello")
    (choice,) = found.choices
    assert found.object == "chat.completion"
    assert found.model == "tiny"
    assert choice.message.role == "assistant"
    assert choice.finish_reason in ("stop", "length")
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_a_stream_is_the_same_text(client):
    whole = ask(client, "Hello")
    stream = list(ask(client, "Hello", stream=True, stream_options={"include_usage": True}))
    (choice,) = told(stream)
    assert choice["text"] == whole.choices[0].message.content
    assert choice["reason"] == whole.choices[0].finish_reason
    assert stream[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in stream}) == 1
    assert {chunk.object for chunk in stream} == {"chat.completion.chunk"}
    assert stream[-1].choices == []
    assert stream[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_pictures_have_their_sizes_beside_the_answer(client, picture):
    found = ask(
        client, picture_part(picture), picture_part(picture, max_pixels=6272), "What is it?"
    )
    first, second = found.model_extra["media"]
    assert first["original"] == second["original"] == {"width": 112, "height": 84}
    assert first["resized"] == {"width": 112, "height": 84}
    assert second["resized"]["width"] * second["resized"]["height"] <= 6272
    assert second["scale"] == [112 / second["resized"]["width"], 84 / second["resized"]["height"]]
    finding = found.choices[0].model_extra["finesight"]
    assert {"boxes", "points", "events", "tool_calls"} <= set(finding)
    assert found.usage.prompt_tokens_details.model_extra["visual_tokens"] == sum(
        each["visual_tokens"] for each in (first, second)
    )


def test_a_second_question_about_a_picture_has_cached_tokens(client, picture):
    turned = picture.rotate(90).resize((224, 168))
    first = ask(client, picture_part(turned), "What is it?")
    second = ask(client, picture_part(turned), "Where is it?")
    assert first.usage.prompt_tokens_details.cached_tokens < 48
    assert second.usage.prompt_tokens_details.cached_tokens >= 48
    assert (
        ask(client, picture_part(turned), "What is it?").choices[0].message
        == first.choices[0].message
    )


def test_a_video_with_its_frame_rate(client, video_file):
    address = data_address(video_file, "video/mp4")
    parts = [{"type": "video_url", "video_url": {"url": address}, "fps": fps} for fps in (1, 4)]
    few, many = (ask(client, part, "What moves?") for part in parts)
    assert many.usage.prompt_tokens > few.usage.prompt_tokens
    (medium,) = many.model_extra["media"]
    times = medium["frame_seconds"]
    assert (len(times), times[0]) == (8, 0)
    assert times == sorted(times)
    assert times[-1] < 2
    part = {"type": "video_url", "video_url": {"url": address}, "nframes": 4, "video_end": 1.0}
    assert ask(client, part, "What moves?").usage.prompt_tokens < many.usage.prompt_tokens


def test_a_frame_list_with_its_times(client, picture):
    frames = [data_address(picture.rotate(angle)) for angle in (0, 90, 180, 270)]
    part = {"type": "video", "video": frames, "timestamps": [0.0, 0.5, 1.0, 1.5]}
    assert ask(client, part, "What turns?").usage.prompt_tokens > 20


def test_options_of_all_media_of_a_request(client, picture):
    usual = ask(client, picture_part(picture), "What?").usage.prompt_tokens
    small = ask(
        client,
        picture_part(picture),
        "What?",
        extra_body={"mm_processor_kwargs": {"max_pixels": 6272}},
    )
    assert small.usage.prompt_tokens < usual


@pytest.mark.parametrize("pages", [None, "2-3"])
def test_a_pdf_is_shown_page_by_page(client, pdf_file, pages):
    part = {
        "type": "file",
        "file": {"file_data": data_address(pdf_file, "application/pdf"), "filename": "three.pdf"},
        "max_pixels": 6272,
        **({"pages": pages} if pages else {}),
    }
    found = ask(client, part, "How many pages are there?")
    assert len(found.model_extra["media"]) == (2 if pages else 3)


def test_tools_are_offered_and_may_be_left(client):
    shown = ask(client, "Hello", tools=[WEATHER]).usage.prompt_tokens
    hidden = ask(client, "Hello", tools=[WEATHER], tool_choice="none").usage.prompt_tokens
    plain = ask(client, "Hello").usage.prompt_tokens
    assert shown > hidden == plain


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"weather", "time"}),
        ({"type": "function", "function": {"name": "time"}}, {"time"}),
    ],
)
def test_a_call_can_be_demanded(client, choice, names):
    options = {"tools": [WEATHER, TIME], "tool_choice": choice, "max_tokens": 200}
    found = ask(client, "What is the weather in Rome?", **options).choices[0]
    assert found.finish_reason == "tool_calls"
    assert found.message.content is None
    calls = [
        (call.function.name, json.loads(call.function.arguments))
        for call in found.message.tool_calls
    ]
    assert {name for name, _ in calls} <= names
    assert len({call.id for call in found.message.tool_calls}) == len(calls)
    for name, arguments in calls:
        assert arguments in ([{"place": "Rome"}, {"place": "Oslo"}] if name == "weather" else [{}])
    (streamed,) = told(ask(client, "What is the weather in Rome?", stream=True, **options))
    assert streamed == {"text": "", "calls": calls, "reason": "tool_calls"}


def test_the_result_of_a_call_goes_back(client):
    messages = [
        {"role": "user", "content": "What is the weather in Rome?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"place": "Rome"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
    ]
    found = client.chat.completions.create(
        model="tiny", messages=messages, tools=[WEATHER], max_tokens=3
    )
    assert found.usage.prompt_tokens > 0


def test_an_answer_follows_a_schema(client):
    found = ask(client, "Where?", response_format=PLACE, max_tokens=40)
    assert json.loads(found.choices[0].message.content) in PLACE["json_schema"]["schema"]["enum"]
    (streamed,) = told(ask(client, "Where?", response_format=PLACE, max_tokens=40, stream=True))
    assert streamed["text"] == found.choices[0].message.content


@pytest.mark.parametrize(
    ("extra", "texts"),
    [
        ({"guided_choice": ["red", "blue"]}, ("red", "blue")),
        ({"structured_outputs": {"regex": "(a|b)c"}}, ("ac", "bc")),
    ],
)
def test_constraints_of_vllm(client, extra, texts):
    assert ask(client, "Which?", extra_body=extra).choices[0].message.content in texts


def test_log_probabilities(client):
    found = ask(client, "Hello", logprobs=True, top_logprobs=2, max_tokens=3)
    tokens = found.choices[0].logprobs.content
    assert len(tokens) == found.usage.completion_tokens
    assert all(len(each.top_logprobs) == 2 and each.logprob <= 0 for each in tokens)
    stream = ask(client, "Hello", logprobs=True, top_logprobs=2, max_tokens=3, stream=True)
    streamed = [
        token
        for chunk in stream
        for choice in chunk.choices
        if choice.logprobs
        for token in choice.logprobs.content
    ]
    assert streamed == tokens


def test_several_greedy_answers_are_one_answer(client):
    found = ask(client, "Hello", n=3)
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in found.choices}) == 1
    streamed = told(ask(client, "Hello", n=3, stream=True))
    assert [each["text"] for each in streamed] == [each.message.content for each in found.choices]


@pytest.fixture(scope="module")
def exact_client():
    """A client of a server whose rounding does not depend on what is computed beside a request."""
    found = tiny_served(deterministic=True)
    with live(found) as running, running.client() as client:
        yield client
    found.engine.close()


def test_several_drawn_answers_differ_and_a_seed_repeats_them(exact_client):
    client = exact_client
    options = {"n": 3, "temperature": 2.0, "top_p": 1, "seed": 7, "max_tokens": 12}
    first, second = (ask(client, "Hello", **options) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert len(set(texts)) > 1
    streamed = told(ask(client, "Hello", stream=True, **options))
    assert [each["text"] for each in streamed] == texts
    alone = ask(client, "Hello", **{**options, "n": 1, "seed": 8})
    assert alone.choices[0].message.content == texts[1]


def test_a_stop_text_ends_the_answer_before_it(client):
    options = {"max_tokens": 20, "temperature": 2.0, "seed": 1}
    text = ask(client, "Hello", **options).choices[0].message.content
    stop = text[len(text) // 2 :][:3]
    assert len(stop) == 3
    (found,) = ask(client, "Hello", stop=[stop, "never"], **options).choices
    assert found.message.content == text[: text.index(stop)]
    assert found.finish_reason == "stop"
    (streamed,) = told(ask(client, "Hello", stop=stop, stream=True, **options))
    assert streamed["text"] == found.message.content


def test_models(client):
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("tiny", "model", "finesight")
    assert client.models.retrieve("tiny").model_extra["max_model_len"] > 1000


def test_embeddings(client, server):
    texts = ["a red square", "a blue disc"]
    found = client.embeddings.create(model="tiny", input=texts)  # the client asks for base64
    vectors = [each.embedding for each in found.data]
    assert [round(sum(value * value for value in vector), 3) for vector in vectors] == [1, 1]
    plain = client.embeddings.create(model="tiny", input=texts[1], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(vectors[1], abs=1e-5)
    assert found.usage.prompt_tokens > plain.usage.prompt_tokens > 0
    raw = httpx.post(
        f"{server.url}/v1/embeddings",
        json={"input": texts[0], "encoding_format": "base64"},
        timeout=60,
    ).json()["data"][0]["embedding"]
    packed = base64.b64decode(raw)
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == pytest.approx(vectors[0])


def test_the_embedding_of_a_picture(server, picture):
    body = {"messages": [{"role": "user", "content": [picture_part(picture)]}], "pooling": "mean"}
    found = httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=60).json()
    assert found["usage"]["prompt_tokens"] > 12
    assert len(found["data"]) == 1


def test_completions(client):
    found = client.completions.create(
        model="tiny", prompt=["One, two,", "Red,"], max_tokens=5, logprobs=1
    )
    assert [choice.index for choice in found.choices] == [0, 1]
    assert len(found.choices[0].logprobs.tokens) > 0
    stream = client.completions.create(
        model="tiny", prompt=["One, two,", "Red,"], max_tokens=5, stream=True
    )
    texts = ["", ""]
    for chunk in stream:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [choice.text for choice in found.choices]
    ids = httpx.post(
        f"{str(client.base_url)[:-4]}/tokenize", json={"prompt": "Red,"}, timeout=60
    ).json()["tokens"]
    alone = client.completions.create(model="tiny", prompt=ids, max_tokens=5)
    assert alone.choices[0].text == texts[1]


def test_tokens_go_there_and_back(server, picture):
    def post(path, body):
        return httpx.post(f"{server.url}{path}", json=body, timeout=60).json()

    found = post("/tokenize", {"prompt": "a red square é"})
    assert found["count"] == len(found["tokens"])
    assert post("/detokenize", {"tokens": found["tokens"]}) == {"prompt": "a red square é"}
    messages = [{"role": "user", "content": [picture_part(picture), {"type": "text", "text": "a"}]}]
    assert post("/tokenize", {"messages": messages})["count"] > 12


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"model": "gpt-5"}, openai.NotFoundError, "there is no model 'gpt-5'"),
        ({"temperature": -1}, openai.BadRequestError, "temperature"),
        ({"n": 0}, openai.BadRequestError, "n="),
        ({"extra_body": {"temprature": 1}}, openai.BadRequestError, "did you mean temperature"),
        ({"extra_body": {"stream": "yes"}}, openai.BadRequestError, "stream is 'yes'"),
        ({"max_tokens": 10**9}, openai.BadRequestError, "max"),
        ({"tool_choice": "required"}, openai.BadRequestError, "no tools are given"),
        ({"response_format": {"type": "xml"}}, openai.BadRequestError, "response_format"),
        ({"extra_body": {"logit_bias": {"5": 1}}}, openai.BadRequestError, "logit_bias"),
    ],
)
def test_a_wrong_field_is_an_error_with_its_name(client, fields, error, words):
    with pytest.raises(error, match=words) as caught:
        ask(client, "Hello", **fields)
    assert caught.value.body["type"]
    assert "Traceback" not in str(caught.value)
    if fields != {"extra_body": {"stream": "yes"}}:
        with pytest.raises(error, match=words):  # before a stream begins
            ask(client, "Hello", stream=True, **fields)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.com/a.png", "not allowed; allowed: none"),
        ("/etc/passwd", "not a file in a folder that this server reads from"),
        ("data:image/png;base64,!!!", "not valid base64"),
        ("data:image/png;base64,aGVsbG8gd29ybGQ=", "is no picture but a text file"),
        ("data:,", "is empty"),
    ],
)
def test_an_unusable_picture_is_an_error_of_the_request(client, address, words):
    with pytest.raises(openai.BadRequestError, match=words):
        ask(client, picture_part(address), "What is it?")


def test_keys(served, tmp_path):
    secret, line = new_key("alice")
    (tmp_path / "keys").write_text(line)
    with live(served, keys_file=tmp_path / "keys") as server:
        with server.client(api_key="wrong") as client, pytest.raises(openai.AuthenticationError):
            ask(client, "Hello")
        with server.client(api_key=secret) as client:
            assert ask(client, "Hello").usage.completion_tokens


def test_limits(served):
    with live(served, requests_per_minute=1, max_body_mb=0.01) as server, server.client() as client:
        with pytest.raises(openai.APIStatusError, match="at most 10,000 are accepted") as caught:
            ask(client, "x" * 20_000)
        assert caught.value.status_code == 413
        with pytest.raises(openai.RateLimitError, match="1 requests a minute") as caught:
            ask(client, "Hello")
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
