# SPDX-License-Identifier: Apache-2.0
"""The decoder of a GPU, on the CPU: its operations then run by torch, and its results are those of the layers."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.kernels import ops, triton_ops
from finesight.model import fused
from finesight.model.cache import KVCache
from finesight.model.fused_gpu import GpuDecoder
from finesight.model.lora import add_lora
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model, save_model
from tests.support.model_cases import randomize, small_config

SEQUENCES = [torch.arange(40) * 7 % 140, torch.arange(25) * 3 % 140, torch.arange(9) % 140]
BLOCKS = [[5, 0, 9, 2, 7], [1, 8, 3, 11], [4, 6, 10]]
PROMPTS = [33, 18, 2]


def model_of(**text) -> VisionLanguageModel:
    model = VisionLanguageModel(small_config(**text)).eval()
    randomize(model)
    return model


def with_gpu_decoder(model: VisionLanguageModel) -> VisionLanguageModel:
    decoder = model.model
    decoder.fused = GpuDecoder(decoder.layers, decoder.norm, model.config.text, "sdpa")
    return model


def batch_of(parts, starts) -> PackedBatch:
    new = [len(each) for each in parts]
    totals = [start + count for start, count in zip(starts, new, strict=True)]
    places = [torch.arange(total - count, total) for total, count in zip(totals, new, strict=True)]
    plan = AttentionPlan.paged(new, totals, BLOCKS[: len(parts)], 9)
    return PackedBatch.from_tokens(torch.cat(parts), torch.cat(places).expand(3, -1), plan)


@torch.inference_mode()
def decoded(model: VisionLanguageModel, *, steps: int = 7) -> torch.Tensor:
    """Logits of three sequences: their prompts together, then some tokens of each."""
    kv = KVCache(model.config.text, 12, 9, dtype=model.dtype)
    parts = [ids[:count] for ids, count in zip(SEQUENCES, PROMPTS, strict=True)]
    found = [model.logits(model(batch_of(parts, [0] * 3), kv=kv))]
    for step in range(steps):
        starts = [prompt + step for prompt in PROMPTS]
        parts = [ids[start : start + 1] for ids, start in zip(SEQUENCES, starts, strict=True)]
        found.append(model.logits(model(batch_of(parts, starts), kv=kv)))
    return torch.cat(found).float()


@pytest.mark.parametrize("tied", [False, True])
def test_prompts_and_steps_are_those_of_the_layers(tied, monkeypatch):
    model = model_of(tie_word_embeddings=tied)
    expected = decoded(model)
    calls = []
    called = ops.add_rms_norm_
    monkeypatch.setattr(ops, "add_rms_norm_", lambda *given: (calls.append(1), called(*given))[1])
    torch.testing.assert_close(decoded(with_gpu_decoder(model)), expected, rtol=1e-4, atol=1e-4)
    assert len(calls) == 8 * 2 * model.config.text.num_hidden_layers


def test_half_precision_is_as_near_as_the_layers():
    exact = decoded(model_of())
    of_layers, of_gpu = (
        float((decoded(each) - exact).norm() / exact.norm())
        for each in (model_of().bfloat16(), with_gpu_decoder(model_of().bfloat16()))
    )
    assert of_gpu < 1.1 * of_layers


def test_weights_are_shared_with_the_layers_and_can_be_saved(tmp_path):
    model = with_gpu_decoder(model_of())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    expected = decoded(model)
    save_model(model, tmp_path)
    for name, tensor in load_model(tmp_path).state_dict().items():
        assert torch.equal(tensor, before[name]), name
    with torch.no_grad():  # training writes in place
        model.model.layers[0].self_attn.k_proj.weight.mul_(2)
    assert not torch.allclose(decoded(model), expected)
    assert model.model.fused.revision() == 1


def test_replaced_weights_are_noticed():
    model = with_gpu_decoder(model_of())
    other = model_of()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    expected = decoded(other)
    model.load_state_dict(other.state_dict(), assign=True)
    torch.testing.assert_close(decoded(model), expected, rtol=1e-4, atol=1e-4)
    assert model.model.fused.revision() == 2


def test_another_module_is_multiplied_by_itself():
    class Doubled(nn.Linear):
        """A linear layer that is not to be joined, as a quantised one."""

        def forward(self, rows):
            return 2 * super().forward(rows)

    model = model_of()
    for layer in model.model.layers:
        old = layer.self_attn.q_proj
        layer.self_attn.q_proj = Doubled(old.in_features, old.out_features)
        layer.self_attn.q_proj.load_state_dict(old.state_dict())
    expected = decoded(model)
    torch.testing.assert_close(decoded(with_gpu_decoder(model)), expected, rtol=1e-4, atol=1e-4)


def test_adapters_run_in_the_layers():
    model = with_gpu_decoder(model_of())
    before = decoded(model)
    add_lora(model, ["model.layers.*.mlp.up_proj"], rank=2, alpha=4, seed=0)
    assert model.model.fused.revision() is None
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.3)
    adapted = decoded(model)
    assert not torch.allclose(adapted, before)
    model.model.fused = None
    assert torch.equal(decoded(model), adapted)


def test_a_copy_reads_its_own_weights():
    model = with_gpu_decoder(model_of())
    expected = decoded(model)
    copied = deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(decoded(copied), expected)


def test_steps_with_gradients_and_other_caches_run_in_the_layers(monkeypatch):
    model = with_gpu_decoder(model_of())
    batch, states = batch_of([SEQUENCES[0][:4]], [0]), torch.zeros(4, 64)
    kv = KVCache(model.config.text, 12, 9)
    with torch.inference_mode():
        assert model.model.fused.fits(states, batch.attention, kv)
        half = KVCache(model.config.text, 12, 9, dtype=torch.bfloat16)
        assert not model.model.fused.fits(states, batch.attention, half)
        assert not model.model.fused.fits(states, batch.attention, None)
    assert not model.model.fused.fits(states, batch.attention, kv)


@pytest.mark.parametrize("has_triton", [True, False])
def test_a_model_on_cuda_gets_it_where_there_is_triton(monkeypatch, has_triton):
    class OnCuda(VisionLanguageModel):
        device = torch.device("cuda")

    monkeypatch.setattr(triton_ops, "kernels", lambda: torch if has_triton else None)
    model = OnCuda(small_config())
    assert fused.use_kernels(model) is has_triton
    assert isinstance(model.model.fused, GpuDecoder) is has_triton
    kept = model.model.fused
    fused.use_kernels(model)
    assert model.model.fused is kept
