# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch, pack
from finesight.errors import LayoutError
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


def piece(kv, samples, starts, stops) -> PackedBatch:
    """The tokens `start:stop` of each sample, sample s in block s of the cache; media come with the first piece."""
    parts = [
        replace(
            sample,
            input_ids=sample.input_ids[start:stop],
            labels=sample.labels[start:stop],
            position_ids=sample.position_ids[:, start:stop],
            visual_index=sample.visual_index if start == 0 else sample.visual_index[:0],
            vision=sample.vision if start == 0 else (),
        )
        for sample, start, stop in zip(samples, starts, stops, strict=True)
    ]
    new = [stop - start for start, stop in zip(starts, stops, strict=True)]
    blocks = [[index] for index in range(len(samples))]
    return replace(pack(parts), attention=AttentionPlan.paged(new, stops, blocks, kv.block_size))


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
    kv = KVCache(CONFIG.text, count, 64)
    with torch.inference_mode():
        batch = piece(kv, samples, [0] * count, prompts)
        found = [list(part) for part in model(batch, kv=kv).split(prompts)]
        for step in range(5):
            starts = [prompt + step for prompt in prompts]
            rows = model(piece(kv, samples, starts, [s + 1 for s in starts]), kv=kv)
            for parts, row in zip(found, rows, strict=True):
                parts.append(row)
    for parts, states in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.stack(parts), states, atol=1e-5, rtol=1e-5)


def test_a_prompt_in_pieces_is_one_forward(model):
    """Later pieces are shorter than what they look back on: causal from the end, not from the start."""
    sample = SAMPLES[1]
    kv = KVCache(CONFIG.text, 1, 12)
    with torch.inference_mode():
        parts = [
            model(piece(kv, [sample], [start], [stop]), kv=kv)
            for start, stop in ((0, 5), (5, 7), (7, 8), (8, 12))
        ]
    torch.testing.assert_close(torch.cat(parts), whole(model, [sample])[0], atol=1e-5, rtol=1e-5)


def test_vision_embeds_with_a_cache(model):
    sample = SAMPLES[0]
    kv = KVCache(CONFIG.text, 1, 64)
    batch = piece(kv, [sample], [0], lengths([sample]))
    with torch.inference_mode():
        embeds = model.encode_vision(batch.vision)
        states = model(replace(batch, vision=None), vision_embeds=embeds, kv=kv)
    torch.testing.assert_close(states, whole(model, [sample])[0], atol=1e-5, rtol=1e-5)


def test_another_ending_is_written_over_the_first(model):
    first, second = sample_from([12], 1), sample_from([12], 5)
    second = replace(second, input_ids=torch.cat([first.input_ids[:8], second.input_ids[8:]]))
    kv = KVCache(CONFIG.text, 1, 12)
    with torch.inference_mode():
        model(piece(kv, [first], [0], [12]), kv=kv)
        tail = model(piece(kv, [second], [8], [12]), kv=kv)
    torch.testing.assert_close(tail, whole(model, [second])[0][8:], atol=1e-5, rtol=1e-5)


def test_a_step_writes_one_row_and_moves_nothing(model):
    kv = KVCache(CONFIG.text, 1, 40)
    sample = sample_from([13], 7)
    with torch.inference_mode():
        model(piece(kv, [sample], [0], [12]), kv=kv)
        kv.keys[:, :, 12:] = 0  # free slots are not cleared
        before, pointer = kv.keys.clone(), kv.keys.data_ptr()
        model(piece(kv, [sample], [12], [13]), kv=kv)
    assert kv.keys.data_ptr() == pointer
    changed = (kv.keys != before).any(-1).any(-1)[:, 0]
    assert changed.nonzero()[:, 1].unique().tolist() == [12]


def test_a_plan_without_a_cache_and_a_cache_without_a_plan_are_refused(model):
    kv = KVCache(CONFIG.text, 1, 12)
    with pytest.raises(LayoutError, match="places keys in a KV cache, but forward got none"):
        model(piece(kv, SAMPLES[1:2], [0], [12]))
    with pytest.raises(LayoutError, match="the plan places no keys in it"):
        model(pack(SAMPLES[1:2]), kv=kv)


def test_sizes():
    kv = KVCache(CONFIG.text, 2, 10, dtype=torch.bfloat16)
    assert kv.num_bytes == 2 * 3 * 2 * 10 * 2 * 16 * 2
    assert (kv.num_blocks, kv.block_size) == (2, 10)


def test_half_precision_cache_under_a_float32_model(model):
    kv = KVCache(CONFIG.text, 1, 20, dtype=torch.bfloat16)
    sample = sample_from([13], 1)
    with torch.inference_mode():
        states = model(piece(kv, [sample], [0], [12]), kv=kv)
        step = model(piece(kv, [sample], [12], [13]), kv=kv)
    assert states.dtype == step.dtype == torch.float32
    assert states.isfinite().all()
    torch.testing.assert_close(step, whole(model, [sample])[0][12:], atol=0.1, rtol=0.1)
