# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from finesight.attention_plan import AttentionPlan
from finesight.batch import pack
from finesight.config.sizes import SIZE_NAMES, named_config
from finesight.model import flops
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import Grid, sample_from, small_config


def counted(run) -> int:
    """Operations that torch's counter sees; it does not know the fused CPU kernel, so that is switched off."""
    with (
        torch.inference_mode(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("grid", [(1, 2, 2), (1, 16, 16), (1, 10, 26), (3, 4, 14)])
def test_vision_operations_are_what_torch_counts(grid):
    config = small_config()
    sample = sample_from([1, Grid(grid, 1.0 if grid[0] > 1 else 0.0)])
    model = VisionLanguageModel(config)
    batch = pack([sample])
    expected = counted(lambda: model.encode_vision(batch.vision))
    assert flops.vision_flops(config.vision, [grid]) == expected


def test_prefill_operations_are_what_torch_counts_but_for_the_causal_half():
    """The counter takes causal attention as if the future were computed."""
    config = small_config()
    model = VisionLanguageModel(config)
    samples = [sample_from([20]), sample_from([20], 1)]
    batch = pack(samples)
    expected = counted(lambda: model.logits(model(batch)[-2:]))
    future = 4 * config.text.num_hidden_layers * config.text.hidden_size * 2 * (20 * 19 // 2)
    assert flops.prefill_flops(config.text, [20, 20], logit_rows=2) == expected - future


def test_decode_operations_are_what_torch_counts():
    config = small_config()
    model = VisionLanguageModel(config)
    kv = KVCache(config.text, 1, 32)
    prompt, token = pack([sample_from([20])]), pack([sample_from([1])])
    prompt = replace(prompt, attention=AttentionPlan.paged([20], [20], [[0]], 32))
    step = replace(token, attention=AttentionPlan.paged([1], [21], [[0]], 32))
    with torch.inference_mode():
        model(prompt, kv=kv)
    assert flops.decode_flops(config.text, 20) == counted(lambda: model.logits(model(step, kv=kv)))


@pytest.mark.parametrize("name", SIZE_NAMES)
def test_parameters_are_what_the_model_has(name):
    config = named_config(name)
    with torch.device("meta"):
        model = VisionLanguageModel(config)
    size = sum(parameter.nbytes for parameter in model.parameters()) // 4
    assert flops.weight_bytes(config, bytes_per_number=1) == size
    assert flops.vision_parameters(config.vision) == sum(
        parameter.numel() for parameter in model.visual.parameters()
    )


def test_cache_bytes_are_what_the_cache_takes():
    text = small_config().text
    cache = KVCache(text, 1, 100, dtype=torch.bfloat16)
    assert flops.cache_bytes(text, 100, bytes_per_number=2) == cache.num_bytes


def test_decode_reads_layers_head_and_cache():
    config = named_config("3b").text
    read = flops.decode_bytes(config, 0, bytes_per_number=2)
    layers = 36 * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * 2048 * 11_008)
    assert read == 2 * (layers + 151_936 * 2048)
    assert flops.decode_bytes(config, 600, bytes_per_number=2) - read == 600 * 36 * 2 * 2 * 128 * 2
