# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finesight.batch import PackedBatch, TextLayout, pack
from finesight.errors import LayoutError, PromptTooLong
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import Grid, randomize, sample_from, small_config

CONFIG = small_config()
SAMPLES = [
    sample_from([3, Grid((1, 6, 10)), 9], 0),
    sample_from([12], 1),
    sample_from([4, Grid((2, 4, 4), 1.0), 7], 2),
]


@pytest.fixture(scope="module", params=["sdpa", "reference"])
def model(request):
    network = VisionLanguageModel(CONFIG, attention=request.param).eval()
    randomize(network)
    return network


def piece(samples, starts, stops) -> PackedBatch:
    """The tokens `start:stop` of each sample as one text pack."""
    parts = [
        replace(
            sample,
            input_ids=sample.input_ids[start:stop],
            labels=sample.labels[start:stop],
            position_ids=sample.position_ids[:, start:stop],
            visual_index=sample.visual_index[:0],
            vision=(),
        )
        for sample, start, stop in zip(samples, starts, stops, strict=True)
    ]
    return pack(parts)


def lengths(samples):
    return [sample.input_ids.numel() for sample in samples]


@torch.inference_mode()
def whole(model, samples):
    return model(pack(samples)).split(lengths(samples))


@pytest.mark.parametrize("count", [1, 3])
def test_prefill_then_token_by_token_is_one_forward(model, count):
    samples = SAMPLES[:count]
    prompts = [length - 5 for length in lengths(samples)]
    expected = whole(model, samples)
    cache = KVCache(CONFIG.text, 64, num_sequences=count)
    with torch.inference_mode():
        batch = pack([cut(s, p) for s, p in zip(samples, prompts, strict=True)])
        found = [list(part) for part in model(batch, cache=cache).split(prompts)]
        for step in range(5):
            starts = [prompt + step for prompt in prompts]
            rows = model(piece(samples, starts, [s + 1 for s in starts]), cache=cache)
            for parts, row in zip(found, rows, strict=True):
                parts.append(row)
    assert cache.lengths == lengths(samples)
    for parts, states in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.stack(parts), states, atol=1e-5, rtol=1e-5)


def cut(sample, length):
    """The first tokens of a sample; its media must lie in them."""
    assert sample.visual_index.numel() == 0 or int(sample.visual_index.max()) < length
    return replace(
        sample,
        input_ids=sample.input_ids[:length],
        labels=sample.labels[:length],
        position_ids=sample.position_ids[:, :length],
    )


def test_a_prompt_in_pieces_is_one_forward(model):
    """Later pieces are shorter than what they look back on: causal from the end, not from the start."""
    sample = SAMPLES[1]
    cache = KVCache(CONFIG.text, 12)
    with torch.inference_mode():
        parts = [
            model(piece([sample], [start], [stop]), cache=cache)
            for start, stop in ((0, 5), (5, 7), (7, 8), (8, 12))
        ]
    torch.testing.assert_close(torch.cat(parts), whole(model, [sample])[0], atol=1e-5, rtol=1e-5)


def test_vision_embeds_with_a_cache(model):
    sample = SAMPLES[0]
    batch = pack([sample])
    with torch.inference_mode():
        embeds = model.encode_vision(batch.patches, batch.vision)
        text_only = replace(batch, patches=None, vision=None)
        states = model(text_only, vision_embeds=embeds, cache=KVCache(CONFIG.text, 64))
    torch.testing.assert_close(states, whole(model, [sample])[0], atol=1e-5, rtol=1e-5)


def test_truncate_goes_back_and_another_ending_follows(model):
    first, second = sample_from([12], 1), sample_from([12], 5)
    second = replace(second, input_ids=torch.cat([first.input_ids[:8], second.input_ids[8:]]))
    cache = KVCache(CONFIG.text, 12)
    with torch.inference_mode():
        model(pack([first]), cache=cache)
        cache.truncate(8)
        tail = model(piece([second], [8], [12]), cache=cache)
    torch.testing.assert_close(tail, whole(model, [second])[0][8:], atol=1e-5, rtol=1e-5)
    with pytest.raises(LayoutError, match="12 tokens to 13"):
        cache.truncate(13)


def test_a_step_writes_one_row_and_moves_nothing(model):
    cache = KVCache(CONFIG.text, 40)
    with torch.inference_mode():
        model(pack([SAMPLES[1]]), cache=cache)
        cache.keys[:, :, 12:] = 0  # a single sequence's free places are not cleared
        before, pointer = cache.keys.clone(), cache.keys.data_ptr()
        model(pack([sample_from([1], 7)]), cache=cache)
    assert cache.keys.data_ptr() == pointer
    changed = (cache.keys != before).any(-1).any(-1)[:, 0]
    assert changed.nonzero()[:, 1].unique().tolist() == [12]


def test_a_full_cache_says_so():
    cache = KVCache(CONFIG.text, 10)
    with pytest.raises(PromptTooLong, match=r"12 tokens.*holds 10"):
        cache.plan(TextLayout.from_lengths([12]), "sdpa")


def test_another_number_of_samples_is_refused():
    cache = KVCache(CONFIG.text, 10, num_sequences=2)
    with pytest.raises(LayoutError, match="1 samples against a cache of 2"):
        cache.plan(TextLayout.from_lengths([4]), "sdpa")


def test_size_and_length():
    cache = KVCache(CONFIG.text, 10, num_sequences=2, dtype=torch.bfloat16)
    assert cache.num_bytes == 2 * 3 * 2 * 10 * 2 * 16 * 2
    assert (cache.max_tokens, cache.length) == (10, 0)


def test_half_precision_cache_under_a_float32_model(model):
    cache = KVCache(CONFIG.text, 20, dtype=torch.bfloat16)
    with torch.inference_mode():
        states = model(pack([SAMPLES[1]]), cache=cache)
        step = model(pack([sample_from([1], 7)]), cache=cache)
    assert states.dtype == step.dtype == torch.float32
    assert states.isfinite().all()
