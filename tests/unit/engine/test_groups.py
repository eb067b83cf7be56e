# SPDX-License-Identifier: Apache-2.0
"""Several sequences in one forward pass: the same answers as one by one, and an error stays with its request."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finesight.conversation import Conversation, ImagePart, Message, Reply, Sampling, TextPart
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.engine.sampler import Sampler, pick_rows
from finesight.errors import ConfigError, EngineError, FinesightError, MediaError, PromptTooLong
from finesight.model.weights import load_model


def asked(text: str, *parts: ImagePart) -> Conversation:
    return Conversation((Message("user", (*parts, TextPart(text))),))


@pytest.fixture(scope="module")
def network(tiny_model_folder):
    return load_model(tiny_model_folder).float()


@pytest.fixture
def requests(picture):
    shown = ImagePart(source=picture)
    return [
        Request(conversation=asked("What is this?"), sampling=Sampling(max_new_tokens=9)),
        Request(
            conversation=asked("Compare the two.", shown, shown),
            sampling=Sampling(max_new_tokens=4),
        ),
        Request(
            conversation=asked("Read it.", shown),
            sampling=Sampling(max_new_tokens=12, temperature=0.8, top_p=0.9, seed=3),
        ),
        Request(conversation=asked("Say a word."), sampling=Sampling(max_new_tokens=6, logprobs=2)),
        Request(
            conversation=asked("And another one, please, of many letters."),
            sampling=Sampling(max_new_tokens=7, repetition_penalty=1.3),
        ),
    ]


@pytest.mark.parametrize("group", [2, 3, 5])
def test_answers_of_a_group_are_those_of_one_by_one(network, processor, requests, group):
    alone = dict(Engine(network, processor).run(requests))
    together = dict(
        Engine(network, processor, options=EngineOptions(max_sequences=group)).run(requests)
    )
    assert together.keys() == alone.keys() == set(range(5))
    for index, expected in alone.items():
        reply = together[index]
        assert isinstance(expected, Reply)
        assert isinstance(reply, Reply)
        assert reply.token_ids == expected.token_ids
        assert (reply.text, reply.media) == (expected.text, expected.media)
        # which prompts find cached blocks depends on what ran before
        assert replace(reply.usage, cached_tokens=0) == replace(expected.usage, cached_tokens=0)
        for one, other in zip(reply.logprobs, expected.logprobs, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_replies_come_in_the_order_of_the_conversations(network, processor):
    conversations = [asked("A"), asked("B, and more of it"), asked("C")]
    sampling = Sampling(max_new_tokens=5)
    one_by_one = Engine(network, processor).respond(conversations, sampling)
    together = Engine(network, processor, options=EngineOptions(max_sequences=3)).respond(
        conversations, sampling
    )
    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in one_by_one]
    assert [reply.usage for reply in together] == [reply.usage for reply in one_by_one]


@pytest.mark.parametrize("group", [1, 4])
def test_an_error_stays_with_its_request(says, processor, question, group):
    engine = Engine(says("fine"), processor, options=EngineOptions(max_sequences=group))
    missing = asked("?", ImagePart(source="nowhere.png"))
    outcomes = dict(
        engine.run(
            [
                Request(conversation=question),
                Request(conversation=missing),
                Request(conversation=question, sampling=Sampling(max_new_tokens=10**9)),
                Request(conversation=question, sampling=Sampling(top_p=2.0)),
            ]
        )
    )
    first = outcomes.pop(0)
    assert isinstance(first, Reply)
    assert first.text == "fine"
    kinds = {1: MediaError, 2: PromptTooLong, 3: ConfigError}
    assert {index: type(error) for index, error in outcomes.items() if index != 1} == {
        index: kind for index, kind in kinds.items() if index != 1
    }
    assert isinstance(outcomes[1], MediaError)


def test_numbers_that_are_not_finite_end_one_answer_of_a_group(says, processor, question):
    model = says("a longer answer than two tokens")
    marked = asked("What is this §?")
    model.broken = (processor.tokenizer.encode("§")[0], 2)  # the third token of the second answer
    engine = Engine(model, processor, options=EngineOptions(max_sequences=3))
    conversations = (question, marked, question)
    outcomes = dict(engine.run([Request(conversation=each) for each in conversations]))
    assert isinstance(outcomes[1], EngineError)
    assert "token 3 of the answer" in outcomes[1].message
    for index in (0, 2):
        reply = outcomes[index]
        assert isinstance(reply, Reply)
        assert reply.text == "a longer answer than two tokens"


def test_respond_raises_the_first_error(says, processor, question):
    engine = Engine(says("fine"), processor, options=EngineOptions(max_sequences=2))
    missing = asked("?", ImagePart(source="nowhere.png"))
    with pytest.raises(FinesightError, match=r"nowhere\.png"):
        engine.respond([question, missing], Sampling())


def test_a_group_has_at_least_one_sequence(says, processor):
    with pytest.raises(ConfigError, match="max_sequences is 0"):
        Engine(says("x"), processor, options=EngineOptions(max_sequences=0))


def test_no_request_is_no_reply(says, processor):
    assert Engine(says("x"), processor).respond([], Sampling()) == []


def test_rows_are_drawn_as_one_by_one():
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(1))
    kept = logits.clone()
    options = [
        Sampling(),
        Sampling(temperature=1.0, seed=5),
        Sampling(logprobs=3),
        Sampling(repetition_penalty=5.0),
    ]
    prompt = logits[3].argmax()[None]  # the penalty rules out what would be the best

    def samplers():
        return [Sampler(each, prompt) for each in options]

    picks = pick_rows(logits, samplers())
    assert picks == [sampler.pick(row) for sampler, row in zip(samplers(), logits, strict=True)]
    assert picks[0].token_id == int(logits[0].argmax())
    assert torch.equal(logits, kept)
