# SPDX-License-Identifier: Apache-2.0
"""Constrained answers of the engine: several requests, pictures, streams, notes and errors."""

from __future__ import annotations

import json

import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, Reply, Sampling, TextPart
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.errors import ConfigError, EngineError
from finesight.model.weights import load_model
from finesight.parse.answer import read_answer
from finesight.processor.processor import Processor


@pytest.fixture(scope="module")
def folder(tiny_model_folder):
    return load_model(tiny_model_folder), Processor.from_folder(tiny_model_folder)


@pytest.fixture
def shown(picture):
    return Conversation((Message("user", (ImagePart(source=picture), TextPart("Locate it."))),))


def test_a_choice_of_the_model_is_its_likeliest(
    scripted, processor, question, tiny_tokenizer, tiny_config
):
    yes, no = tiny_tokenizer.encode("yes")[0], tiny_tokenizer.encode("no")[0]

    def script(step):
        row = torch.zeros(tiny_config.text.vocab_size)
        row[no], row[yes] = 2.0, 1.0
        return row

    engine = Engine(scripted(script), processor)
    reply = engine.respond([question], Sampling(choice=("yes", "no")))[0]
    assert (reply.text, reply.finish_reason, reply.notes) == ("no", "stop", ())


def test_requests_with_different_constraints_share_a_group(folder, question):
    samplings = [
        Sampling(choice=("in the image", "elsewhere")),
        Sampling(max_new_tokens=9),
        Sampling(regex="[0-9]{2}:[0-9]{2}", temperature=1.0, seed=1),
        Sampling(
            json_schema={
                "type": "object",
                "properties": {"a": {"type": "boolean"}},
                "required": ["a"],
                "additionalProperties": False,
            }
        ),
    ]
    requests = [Request(conversation=question, sampling=each) for each in samplings]
    together = dict(Engine(*folder, options=EngineOptions(max_sequences=4)).run(requests))
    for index, request in enumerate(requests):
        (alone,) = dict(Engine(*folder).run([request])).values()
        assert together[index].text == alone.text
    assert together[0].text in samplings[0].choice
    assert len(together[2].text) == 5
    assert set(json.loads(together[3].text)) == {"a"}


def test_boxes_lie_within_the_picture_as_the_model_saw_it(folder, shown):
    sampling = Sampling(grammar="boxes", temperature=2.0, seed=5, max_new_tokens=400)
    reply = Engine(*folder).respond([shown], sampling)[0]
    size = reply.media[0].resize.resized
    found = read_answer(reply)
    for box in found.boxes:
        assert (
            0
            <= min(box.resized.x1, box.resized.x2)
            <= max(box.resized.x1, box.resized.x2)
            <= size.width
        )
        assert (
            0
            <= min(box.resized.y1, box.resized.y2)
            <= max(box.resized.y1, box.resized.y2)
            <= size.height
        )
    assert reply.text.startswith("```json\n[")


def test_an_answer_that_is_cut_says_so(folder, question):
    schema = {"type": "string", "minLength": 200}
    reply = Engine(*folder).respond(
        [question], Sampling(json_schema=schema, max_new_tokens=5, loop_guard=False)
    )[0]
    assert reply.finish_reason == "length"
    assert reply.notes == (
        "the answer ended after 5 tokens (length) inside its json_schema: it is not complete",
    )


def test_an_answer_that_the_limit_ends_where_it_may_end_has_no_note(says, processor, question):
    reply = Engine(says("ab" * 40), processor).respond(
        [question], Sampling(regex="[ab]*", max_new_tokens=4)
    )[0]
    assert (reply.finish_reason, reply.notes) == ("length", ())


def test_what_cannot_be_applied_is_said_before_the_weights_are_needed(processor, question):
    request = Request(conversation=question, sampling=Sampling(json_schema={"type": "x"}))
    with pytest.raises(ConfigError, match="Invalid type: x"):
        request.encode(processor)


def test_a_stream_reports_a_wrong_grammar_by_the_call_itself(folder, question):
    with pytest.raises(ConfigError, match="cannot be applied"):
        Engine(*folder).stream(question, Sampling(regex="("))


def test_a_constraint_that_gets_stuck_fails_its_request_alone(folder, question):
    bad = Request(conversation=question, sampling=Sampling(grammar='start: "ab" start'))
    good = Request(conversation=question, sampling=Sampling(choice=("image",)))
    outcomes = dict(Engine(*folder, options=EngineOptions(max_sequences=3)).run([good, bad, good]))
    assert isinstance(outcomes[1], EngineError)
    for index in (0, 2):
        reply = outcomes[index]
        assert isinstance(reply, Reply)
        assert reply.text == "image"


def test_tool_calls_are_those_that_are_offered(folder):
    tool = {
        "type": "function",
        "function": {
            "name": "wait",
            "parameters": {
                "type": "object",
                "properties": {"time": {"enum": [1, 2]}},
                "required": ["time"],
                "additionalProperties": False,
            },
        },
    }
    asked = Conversation((Message("user", (TextPart("Wait."),)),), tools=(tool,))
    sampling = Sampling(grammar="tool_calls", max_new_tokens=300, temperature=1.0, seed=0)
    reply = Engine(*folder).respond([asked], sampling)[0]
    calls = read_answer(reply).tool_calls
    assert reply.finish_reason in ("tool_calls", "length")
    assert calls
    assert all(call.name == "wait" and call.arguments["time"] in (1, 2) for call in calls)
