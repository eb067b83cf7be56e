# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch, pack
from finesight.config.sizes import named_config
from finesight.errors import ConfigError, LayoutError
from finesight.model.cache import KVCache
from finesight.model.init import init_weights
from finesight.model.rope import vision_rotary
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import Grid, randomize, sample_from, small_config

SAMPLES = [
    sample_from([3, Grid((1, 6, 10)), 9], 0),
    sample_from([12], 1),
    sample_from([4, Grid((2, 4, 4), 1.0), 2, Grid((1, 18, 4)), 7], 2),
]


@pytest.fixture
def model():
    network = VisionLanguageModel(small_config())
    randomize(network)
    return network


def gradients(model, batch):
    model.zero_grad()
    model.logits(model(batch)).square().mean().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("name", "count"),
    [("3b", 3_754_622_976), ("7b", 8_292_166_656), ("72b", 73_410_777_344)],
)
def test_parameter_counts_of_the_releases(name, count):
    assert VisionLanguageModel.without_memory(named_config(name)).num_parameters() == count


def test_the_small_size_fits_its_budget():
    with torch.device("meta"):
        count = VisionLanguageModel(named_config("tiny")).num_parameters()
    assert 8_000_000 <= count <= 12_000_000


def test_gradient_checkpointing_changes_no_gradient(model):
    batch = pack(SAMPLES)
    expected = gradients(model, batch)
    model.set_gradient_checkpointing(True)
    torch.testing.assert_close(gradients(model, batch), expected)


def test_gradients_of_a_pack_are_the_sum_over_its_samples(model):
    def loss(samples):
        return model(pack(samples)).square().sum()

    model.zero_grad()
    loss(SAMPLES).backward()
    packed = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for sample in SAMPLES:
        loss([sample]).backward()
    for name, parameter in model.named_parameters():
        if name in packed:
            scale = packed[name].abs().max()
            assert (parameter.grad - packed[name]).abs().max() <= 1e-4 * scale, name


def test_bfloat16_autocast_trains_every_weight(model):
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.logits(model(pack(SAMPLES)), float32=True).square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_a_frozen_tower_gets_no_gradient(model):
    model.visual.requires_grad_(False)
    model(pack(SAMPLES)).sum().backward()
    assert all(parameter.grad is None for parameter in model.visual.parameters())
    assert model.model.embed_tokens.weight.grad is not None


def test_visual_tokens_encoded_before_are_used(model):
    batch = pack(SAMPLES)
    with torch.inference_mode():
        embeds = model.encode_vision(batch.vision)
        expected = model(batch)
        reused = model(replace(batch, vision=None), vision_embeds=embeds)
    assert torch.equal(reused, expected)


def test_placeholders_without_pictures_are_an_error(model):
    batch = replace(pack(SAMPLES), vision=None)
    with pytest.raises(LayoutError, match="41 places for visual tokens but 0 visual tokens"):
        model(batch)


def test_more_placeholders_than_visual_tokens_are_an_error(model):
    with pytest.raises(LayoutError, match="41 places for visual tokens but 40 visual tokens"):
        model(pack(SAMPLES), vision_embeds=torch.zeros(40, 64))


def test_inference_does_not_write_into_its_inputs(model):
    batch = pack(SAMPLES)
    patches, weight = batch.vision.patches.clone(), model.model.embed_tokens.weight.clone()
    with torch.inference_mode():
        model(batch)
    assert torch.equal(batch.vision.patches, patches)
    assert torch.equal(model.model.embed_tokens.weight, weight)


def test_logits_rows_and_dtype(model):
    hidden = torch.randn(3, 64, dtype=torch.bfloat16)
    half = VisionLanguageModel(small_config(tie_word_embeddings=True)).to(torch.bfloat16)
    assert half.logits(hidden).dtype == torch.bfloat16
    assert half.logits(hidden, float32=True).dtype == torch.float32
    assert "lm_head.weight" not in half.state_dict()
    assert half.logits(hidden).shape == (3, 160)
    assert (half.dtype, half.device.type) == (torch.bfloat16, "cpu")


def test_an_unknown_back_end_is_refused():
    with pytest.raises(ConfigError, match="'eager'"):
        VisionLanguageModel(small_config(), attention="eager")


def test_starting_weights_depend_on_the_seed_alone_and_keep_states_at_size_one():
    model = VisionLanguageModel(small_config())
    init_weights(model, seed=3)
    first = {name: parameter.clone() for name, parameter in model.state_dict().items()}
    randomize(model)
    init_weights(model, seed=3)
    assert all(
        torch.equal(first[name], parameter) for name, parameter in model.state_dict().items()
    )
    with torch.inference_mode():
        states = model(pack(SAMPLES))
    assert 0.5 < states.std() < 2


def test_layers_compile_without_a_graph_break(model):
    """With the plan given, nothing in a block depends on data."""
    vision = pack(SAMPLES[:1]).vision
    rotary = vision_rotary(vision.position_hw, model.config.vision)
    block = model.visual.blocks[0]
    states = torch.randn(vision.patches.shape[0], 32, requires_grad=True)
    explained = torch._dynamo.explain(block)(states, rotary, vision.window)
    assert explained.graph_break_count == 0


def test_a_forward_asks_the_device_nothing(model):
    """On the meta device there is no value to read: a length or an index that the host wants would fail."""
    model.to("meta")
    with torch.inference_mode():
        assert model(pack(SAMPLES).to("meta")).device.type == "meta"
        kv = KVCache(model.config.text, 8, 4, device="meta")
        plan = AttentionPlan.paged([5, 1], [5, 14], [[6, 1], [0, 2, 4, 7]], 4)
        ids = torch.zeros(6, dtype=torch.int64)
        batch = PackedBatch.from_tokens(ids, torch.zeros(3, 6), plan).to("meta")
        assert model.logits(model(batch, kv=kv)).shape == (6, 160)
