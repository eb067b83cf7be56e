# SPDX-License-Identifier: Apache-2.0
"""Videos that share frame pairs: each pair is encoded once, and a common beginning is not computed again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import finesight
from finesight.conversation import Conversation, Message, Sampling, TextPart, VideoPart
from finesight.engine.block_pool import BlockKeys
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import Request
from finesight.engine.vision import visual_tokens

FRAMES = np.random.default_rng(0).integers(0, 256, (12, 84, 84, 3), dtype=np.uint8)
SAMPLING = Sampling(max_new_tokens=6, temperature=0)


@pytest.fixture(scope="module")
def model():
    return finesight.load("tiny")


def sample_of(model, frames, times, *, shares_pairs=True):
    video = VideoPart(source=FRAMES[frames], timestamps=times, resized_height=84, resized_width=84)
    conversation = Conversation((Message("user", (video, TextPart("What is it?"))),))
    sample = model.engine.processor.encode(conversation)
    items = tuple(replace(item, shares_pairs=shares_pairs) for item in sample.vision)
    return conversation, replace(sample, vision=items)


def reply(engine, conversation, sample):
    request = Request(conversation=conversation, sampling=SAMPLING)
    *_, last = engine.submit(request, sample)
    return last.reply


def keys(sample):
    length = sample.input_ids.numel()
    return BlockKeys(sample, 8).up_to(sample.input_ids.tolist(), length)


def test_a_pair_has_one_digest_at_whatever_time(model):
    _, first = sample_of(model, range(6), (0, 1, 2, 3, 4, 5))
    _, later = sample_of(model, range(2, 8), (7, 8, 9, 10, 11, 12))
    assert len(set(first.vision[0].pair_digests)) == 3
    assert first.vision[0].pair_digests[1:] == later.vision[0].pair_digests[:2]


def test_keys_are_equal_up_to_the_first_pair_that_differs(model):
    _, first = sample_of(model, range(6), (0, 1, 2, 3, 4, 5))
    _, longer = sample_of(model, range(8), (0, 1, 2, 3, 4, 5, 6, 7))
    _, moved = sample_of(model, range(6), (0, 1, 2.5, 3, 4, 5))
    _, whole = sample_of(model, range(6), (0, 1, 2, 3, 4, 5), shares_pairs=False)
    start = int(first.visual_index[0])
    common = (start + 27) // 8  # three pairs of nine visual tokens
    assert keys(first)[:common] == keys(longer)[:common]
    assert keys(first)[: (start + 9) // 8] == keys(moved)[: (start + 9) // 8]
    assert keys(first)[(start + 9) // 8] != keys(moved)[(start + 9) // 8]
    assert keys(first)[:common] != keys(whole)[:common]


def test_answers_are_those_without_sharing(model):
    options = EngineOptions(vision_cache_mb=10)
    shared, fresh = (
        Engine(model.network, model.engine.processor, options=options) for _ in range(2)
    )
    for last in (6, 8, 12):
        times = tuple(range(last))
        conversation, sample = sample_of(model, range(last), times)
        _, whole = sample_of(model, range(last), times, shares_pairs=False)
        found, expected = reply(shared, conversation, sample), reply(fresh, conversation, whole)
        assert found.text == expected.text
    assert found.usage.cached_tokens > 0


def test_visual_tokens_of_pairs_are_those_of_the_whole(model):
    _, sample = sample_of(model, range(6), (0, 1, 2, 3, 4, 5))
    (item,) = sample.vision
    with torch.inference_mode():
        whole = visual_tokens(model.network, item)
        pairs = torch.cat([visual_tokens(model.network, pair) for pair in item.chunks(1)])
    # float32 sums in another order
    torch.testing.assert_close(pairs, whole, rtol=1e-4, atol=1e-4)
