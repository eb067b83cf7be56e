# SPDX-License-Identifier: Apache-2.0
"""`/v1/responses` with the `openai` client."""

from __future__ import annotations

import base64
import io
import json

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.support.running_server import metric, running_server, wait_until_free

LOOK = {
    "type": "function",
    "name": "look",
    "description": "Looks at something.",
    "parameters": {
        "type": "object",
        "properties": {"number": {"enum": [1, 2]}},
        "required": ["number"],
        "additionalProperties": False,
    },
    "strict": True,
}
LONG = {"type": "object", "properties": {"a": {"const": "word " * 1200}}, "required": ["a"]}
"""JSON that needs thousands of tokens."""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running_server(log=tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def shown(picture):
    data = io.BytesIO()
    picture.save(data, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": address, "detail": "auto"},
                {"type": "input_text", "text": "What is this?"},
            ],
        }
    ]


def test_a_question_is_answered_as_chat_answers_it(client):
    response = client.responses.create(model="tiny", input="Hello", max_output_tokens=8)
    assert response.status == "completed"
    assert response.error is None
    chat = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Hello"}], max_tokens=8
    )
    assert response.output_text == chat.choices[0].message.content
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    assert response.usage.output_tokens == chat.usage.completion_tokens


def test_a_stream_has_every_event_and_the_same_response(client, shown):
    whole = client.responses.create(model="tiny", input=shown, max_output_tokens=8)
    assert whole.media[0]["visual_tokens"] == whole.usage.input_tokens_details.visual_tokens > 0
    assert set(whole.finesight) >= {"boxes", "points", "events"}
    with client.responses.stream(model="tiny", input=shown, max_output_tokens=8) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        *("response.created", "response.in_progress"),
        *("response.output_item.added", "response.content_part.added"),
    ]
    assert kinds[-4:] == [
        *("response.output_text.done", "response.content_part.done"),
        *("response.output_item.done", "response.completed"),
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text == whole.output_text
    assert final.usage.input_tokens_details.cached_tokens > 0


def test_the_pages_of_a_pdf_are_shown(client, pdf_file):
    data = base64.b64encode(pdf_file.read_bytes()).decode()
    part = {
        "type": "input_file",
        "filename": "three.pdf",
        "file_data": f"data:application/pdf;base64,{data}",
    }
    text = {"type": "input_text", "text": "What is this?"}
    asked = [{"role": "user", "content": [part, text]}]
    response = client.responses.create(model="tiny", input=asked, max_output_tokens=4)
    assert [entry["page"] for entry in response.media] == [0, 1, 2]


def test_events_are_named(url):
    body = {"input": "Hello", "max_output_tokens": 4, "stream": True}
    with httpx.stream("POST", f"{url}/v1/responses", json=body) as response:
        lines = list(response.iter_lines())
    assert response.headers["content-type"].startswith("text/event-stream")
    for name, data, blank in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
        assert blank == ""


def test_a_tool_is_called_and_its_output_is_read(client):
    asked = [{"role": "user", "content": "Look"}]
    first = client.responses.create(
        model="tiny", input=asked, tools=[LOOK], tool_choice="required", max_output_tokens=200
    )
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls
    for call in calls:
        assert call.name == "look"
        assert json.loads(call.arguments)["number"] in (1, 2)
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "a cat"}
        for call in calls
    ]
    second = client.responses.create(
        model="tiny", input=[*asked, *first.output, *outputs], tools=[LOOK], max_output_tokens=4
    )
    assert second.usage.input_tokens > first.usage.input_tokens


def test_calls_are_streamed(client):
    with client.responses.stream(
        model="tiny", input="Look", tools=[LOOK], tool_choice={"type": "function", "name": "look"}
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.delta" in kinds
    assert "response.function_call_arguments.done" in kinds
    assert final.output[0].name == "look"


def test_the_text_follows_a_schema(client):
    class Seen(BaseModel):
        is_cat: bool

    response = client.responses.parse(model="tiny", input="A cat?", text_format=Seen)
    assert isinstance(response.output_parsed, Seen)


def test_an_answer_that_was_cut_is_incomplete(client):
    form = {"format": {"type": "json_schema", "name": "long", "schema": LONG}}
    response = client.responses.create(model="tiny", input="Go", text=form, max_output_tokens=5)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 5


def test_a_stream_that_is_closed_ends_its_answer(client, url):
    form = {"format": {"type": "json_schema", "name": "long", "schema": LONG}}
    before = metric(url, "finesight_tokens_total")
    stream = client.responses.create(
        model="tiny", input="Go", text=form, max_output_tokens=7000, stream=True
    )
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    wait_until_free(url)
    assert metric(url, "finesight_tokens_total") == before  # finished answers only


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"store": True}, "responses are not stored"),
        ({"previous_response_id": "resp_1"}, "send the whole conversation"),
        ({"reasoning": {"effort": "high"}}, "reasoning is"),
        ({"max_output_tokens": 10**9}, "the model's context is"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input item 0"),
    ],
)
def test_what_cannot_be_honoured_is_a_400(client, body, words):
    with pytest.raises(openai.BadRequestError, match=words) as raised:
        client.responses.create(**{"model": "tiny", "input": "Hello", **body})
    assert raised.value.body["type"] == "invalid_request_error"


def test_an_unknown_model_is_a_404(client):
    with pytest.raises(openai.NotFoundError, match="there is no model 'large'"):
        client.responses.create(model="large", input="Hello")
