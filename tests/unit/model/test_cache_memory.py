# SPDX-License-Identifier: Apache-2.0
"""What lay in memory before never reaches an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import pack
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import randomize, sample_from, small_config

CONFIG = small_config()


@pytest.fixture
def memory_full_of_nan():
    """torch fills memory that nobody initialised with NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.empty(2).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


def cut(sample, start, stop):
    return replace(
        sample,
        input_ids=sample.input_ids[start:stop],
        labels=sample.labels[start:stop],
        position_ids=sample.position_ids[:, start:stop],
    )


@pytest.mark.parametrize("backend", ["sdpa", "reference"])
def test_sequences_of_several_lengths_read_nothing_but_what_they_wrote(memory_full_of_nan, backend):
    """Reading the short sequence up to the length of the long one, under a mask, would give NaN: 0 times NaN is NaN."""
    model = VisionLanguageModel(CONFIG, attention=backend).eval()
    randomize(model)
    samples = [sample_from([length], seed) for seed, length in enumerate((3, 17, 9))]
    prompts = [sample.input_ids.numel() - 1 for sample in samples]
    kv = KVCache(CONFIG.text, 3, 24)
    totals, blocks = [prompt + 1 for prompt in prompts], [[0], [1], [2]]
    with torch.inference_mode():
        first = pack([cut(s, 0, p) for s, p in zip(samples, prompts, strict=True)])
        plan = AttentionPlan.paged(prompts, prompts, blocks, kv.block_size)
        model(replace(first, attention=plan), kv=kv)
        step = pack([cut(s, p, p + 1) for s, p in zip(samples, prompts, strict=True)])
        plan = AttentionPlan.paged([1, 1, 1], totals, blocks, kv.block_size)
        found = model(replace(step, attention=plan), kv=kv)
        expected = torch.stack([model(pack([sample]))[-1] for sample in samples])
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_one_sequence_reads_nothing_but_what_it_wrote(memory_full_of_nan):
    model = VisionLanguageModel(CONFIG, attention="sdpa").eval()
    randomize(model)
    sample = sample_from([12], 1)
    kv = KVCache(CONFIG.text, 1, 40)
    with torch.inference_mode():
        plan = AttentionPlan.paged([11], [11], [[0]], kv.block_size)
        model(replace(pack([cut(sample, 0, 11)]), attention=plan), kv=kv)
        plan = AttentionPlan.paged([1], [12], [[0]], kv.block_size)
        found = model(replace(pack([cut(sample, 11, 12)]), attention=plan), kv=kv)
        expected = model(pack([sample]))[-1:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
