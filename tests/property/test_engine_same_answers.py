# SPDX-License-Identifier: Apache-2.0
"""A request has the same answer alone, in a batch, in chunks, from cached blocks, after preemption and with drafts.

Weights are random and in float32. Log-probabilities of the drawn and the likeliest tokens stand for the logits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from finesight.config.model import ModelConfig
from finesight.conversation import Conversation, ImagePart, Message, Reply, Sampling, TextPart
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.engine.sequence import Sequence
from finesight.model.weights import load_model
from finesight.processor.processor import Processor

WORDS = ("What", "is", "this", "red", "square", "and", "the", "tree", "left", "of")
PICTURES = [
    Image.fromarray(
        np.random.default_rng(seed).integers(0, 255, (56 + 28 * seed, 84, 3), dtype=np.uint8)
    )
    for seed in range(3)
]
TIGHT = 1.5e-4
"""GB of KV cache: 9 blocks of the test model, which force preemption."""


@pytest.fixture(scope="module")
def network(tiny_model_folder):
    return load_model(tiny_model_folder).float()


@pytest.fixture(scope="module")
def processor(tiny_tokenizer, tiny_hf_config):
    return Processor(tiny_tokenizer, ModelConfig.from_hf(tiny_hf_config))


def request(draw) -> Request:
    shown = [
        ImagePart(source=PICTURES[index]) for index in draw(st.lists(st.integers(0, 2), max_size=2))
    ]
    text = " ".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12)))
    system = Message("system", (TextPart("You say what you see, in few words and without doubt."),))
    sampling = Sampling(max_new_tokens=draw(st.integers(1, 7)), logprobs=3)
    if draw(st.booleans()):
        sampling = replace(sampling, temperature=0.8, top_p=0.9, seed=draw(st.integers(0, 5)))
    if draw(st.booleans()):
        sampling = replace(sampling, repetition_penalty=1.2)
    conversation = Conversation((system, Message("user", (*shown, TextPart(text)))))
    return Request(conversation=conversation, sampling=sampling)


requests = st.composite(lambda draw: [request(draw) for _ in range(draw(st.integers(1, 5)))])()

WAYS = {
    "batched": EngineOptions(max_sequences=5),
    "chunked": EngineOptions(max_sequences=2, max_step_tokens=13),
    "uncached": EngineOptions(max_sequences=3, prefix_cache=False, vision_cache_mb=0),
    "preempted": EngineOptions(max_sequences=5, kv_cache_gb=TIGHT, max_step_tokens=64),
    "drafted": EngineOptions(max_sequences=2, draft_tokens=3),
    "deterministic": EngineOptions(max_sequences=3, max_step_tokens=32, deterministic=True),
}


def same(found: Reply, expected: Reply) -> None:
    assert found.token_ids == expected.token_ids
    assert found.finish_reason == expected.finish_reason
    for one, other in zip(found.logprobs, expected.logprobs, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-5)
        pairs = zip(one.top, other.top, strict=True)
        assert all(a[2] == pytest.approx(b[2], abs=1e-5) for a, b in pairs)


def check_every_way(network, processor, drawn) -> None:
    alone = []
    for one in drawn:
        engine = Engine(network, processor, options=EngineOptions(prefix_cache=False))
        alone += [reply for _, reply in engine.run([one])]
    for way, options in WAYS.items():
        engine = Engine(network, processor, options=options)
        for _ in range(2):  # the second time from cached blocks
            found = dict(engine.run(drawn))
            for index, expected in enumerate(alone):
                assert isinstance(found[index], Reply), (way, found[index])
                same(found[index], expected)


@settings(max_examples=15, deadline=None)
@given(requests)
def test_every_way_gives_the_same_answer(network, processor, drawn):
    check_every_way(network, processor, drawn)


@pytest.mark.fuzz
@settings(max_examples=200, deadline=None)
@given(requests)
def test_every_way_gives_the_same_answer_200_times(network, processor, drawn):
    check_every_way(network, processor, drawn)


def asked(text: str, **options) -> Request:
    message = Message("user", (ImagePart(source=PICTURES[1]), TextPart(text)))
    return Request(conversation=Conversation((message,)), sampling=Sampling(logprobs=3, **options))


def test_preempted_sequences_go_on_where_they_were(network, processor):
    many = [
        asked(f"{word} " * 20, max_new_tokens=40 + index) for index, word in enumerate(WORDS[:5])
    ]
    alone = dict(Engine(network, processor, options=EngineOptions(prefix_cache=False)).run(many))
    tight = Engine(network, processor, options=WAYS["preempted"])
    core, _ = tight._started()
    sequences = [tight._sequence(one, None) for one in many]
    for one in sequences:  # all at once, whatever the speed of the machine
        core.scheduler.add(one)
    found: dict[Sequence, Reply] = {}
    while not core.scheduler.is_idle:
        found |= {one: event.reply for one, event in core.step() if event.reply is not None}
    assert sum(one.num_preemptions for one in sequences) > 0
    for one, expected in zip(sequences, alone.values(), strict=True):
        same(found[one], expected)
    assert core.pool.num_free == core.pool.num_blocks


def test_a_second_question_finds_the_blocks_and_the_picture_of_the_first(network, processor):
    engine = Engine(network, processor)
    first = dict(engine.run([asked("What is this?", max_new_tokens=3)]))[0]
    second = dict(engine.run([asked("What is the tree left of?", max_new_tokens=3)]))[0]
    assert first.usage.cached_tokens == 0
    assert 32 <= second.usage.cached_tokens < second.usage.prompt_tokens


def test_deterministic_answers_are_equal_bit_for_bit(network, processor):
    """Alone, in company, and from cached chunks: the same log-probabilities, not nearly the same."""
    options = WAYS["deterministic"]
    sampling = Sampling(max_new_tokens=9, logprobs=3)
    message = Message(
        "user", (ImagePart(source=PICTURES[1]), TextPart("What is this red tree? " * 4))
    )
    one = Request(conversation=Conversation((message,)), sampling=sampling)
    others = [
        Request(
            conversation=Conversation((Message("user", (TextPart(f"{word} " * 9),)),)),
            sampling=Sampling(max_new_tokens=4),
        )
        for word in WORDS[:4]
    ]
    engine = Engine(network, processor, options=options)
    alone = dict(engine.run([one]))[0]
    crowd = dict(engine.run([*others[:2], one, *others[2:]]))[2]
    fresh = dict(Engine(network, processor, options=options).run([*others, one]))[4]
    assert crowd.usage.cached_tokens > 0
    assert alone.logprobs == crowd.logprobs == fresh.logprobs
