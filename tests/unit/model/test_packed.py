# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch, pack
from finesight.errors import ConfigError
from finesight.kernels import ops
from finesight.kernels.formats import format_of, quantise, unpack
from finesight.model.cache import KVCache
from finesight.model.fused import use_kernels
from finesight.model.lora import add_lora, merge_lora
from finesight.model.packed import PackedLinear, pack_vision, pack_weights, packed_as
from finesight.model.vl import VisionLanguageModel
from tests.support.compiled import compiled, on_path
from tests.support.model_cases import Grid, randomize, sample_from, small_config

SAMPLE = sample_from([3, Grid((1, 6, 10)), 60], 0)


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    compiled()


def model_of(weights=None, *, dtype=torch.float32, **text):
    model = VisionLanguageModel(small_config(**text)).eval()
    randomize(model)
    model.to(dtype)
    if weights is not None:
        pack_weights(model, weights)
    return model


def batch_of(tokens, starts, block_size, blocks):
    """The next tokens of several sequences of text, over a paged cache."""
    new = [len(each) for each in tokens]
    totals = [start + count for start, count in zip(starts, new, strict=True)]
    positions = [
        torch.arange(total - count, total) for total, count in zip(totals, new, strict=True)
    ]
    plan = AttentionPlan.paged(new, totals, blocks, block_size)
    return PackedBatch.from_tokens(torch.cat(tokens), torch.cat(positions).expand(3, -1), plan)


SEQUENCES = [torch.arange(40) * 7 % 140, torch.arange(25) * 3 % 140, torch.arange(9) % 140]
BLOCKS = [[5, 0, 9, 2, 7], [1, 8, 3, 11], [4, 6, 10]]
PROMPTS = [33, 18, 2]


@torch.inference_mode()
def decoded(model, kv=None):
    """Logits of three sequences in blocks of 9 slots: the prompts, then seven tokens of each, one by one."""
    kv = KVCache(model.config.text, 12, 9, dtype=model.dtype) if kv is None else kv
    parts = [ids[:count] for ids, count in zip(SEQUENCES, PROMPTS, strict=True)]
    found = [model.logits(model(batch_of(parts, [0] * 3, 9, BLOCKS), kv=kv))]
    for step in range(7):
        starts = [prompt + step for prompt in PROMPTS]
        parts = [ids[start : start + 1] for ids, start in zip(SEQUENCES, starts, strict=True)]
        found.append(model.logits(model(batch_of(parts, starts, 9, BLOCKS), kv=kv)))
    return torch.cat(found).float()


def error(found, exact):
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("tied", [False, True])
def test_packed_bfloat16_is_as_close_to_float32_as_torch_is(tied):
    exact = decoded(model_of(tie_word_embeddings=tied))
    of_torch = error(decoded(model_of(dtype=torch.bfloat16, tie_word_embeddings=tied)), exact)
    packed = model_of("bf16", dtype=torch.bfloat16, tie_word_embeddings=tied)
    # Weights are the same; between the products the kernels keep float32, torch rounds to bfloat16.
    assert error(decoded(packed), exact) < 1.1 * of_torch


@pytest.mark.parametrize(("weights", "most"), [("int8", 0.035), ("int4", 0.35)])
def test_errors_of_quantised_weights(weights, most):
    assert error(decoded(model_of(weights)), decoded(model_of())) < most


@pytest.mark.parametrize("weights", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fused_step_is_the_layers_one_by_one(weights, dtype):
    model = model_of(weights, dtype=dtype)
    fused = decoded(model)
    model.model.fused = None
    # The layers round to the model's dtype between products; a quantised activation may fall to the next code.
    assert error(decoded(model), fused) < (0.035 if dtype == torch.bfloat16 else 0.01)


@pytest.mark.parametrize("path", ["avx2", "avx512"])
def test_a_fused_step_over_a_cache_in_int8_is_the_layers_one_by_one(path):
    """The same codes and scales in the cache, and the same logits."""
    model = model_of("int8")
    exact = decoded(model)
    caches = [KVCache(model.config.text, 12, 9, dtype=torch.int8) for _ in range(2)]
    for kv in caches:
        for part in (kv.keys, kv.values, kv.key_scales, kv.value_scales):
            part.zero_()
    with on_path(path):
        fused = decoded(model, caches[0])
        model.model.fused = None
        layers = decoded(model, caches[1])
    assert error(fused, layers) < 1e-5
    assert 1e-3 < error(fused, exact) < 0.035
    assert caches[0].keys.any()
    assert caches[0].values.any()
    torch.testing.assert_close(caches[0].keys, caches[1].keys, rtol=0, atol=1)
    torch.testing.assert_close(caches[0].values, caches[1].values, rtol=0, atol=1)
    torch.testing.assert_close(caches[0].key_scales, caches[1].key_scales)
    torch.testing.assert_close(caches[0].value_scales, caches[1].value_scales)


def test_values_that_are_not_finite_stay_visible_in_a_cache_in_int8():
    model = model_of("bf16")
    with torch.no_grad():
        model.model.layers[0].self_attn.v_proj.bias[3] = float("nan")
    logits = decoded(model, KVCache(model.config.text, 12, 9, dtype=torch.int8))
    assert logits.isnan().all()


def test_fused_steps_do_not_depend_on_the_other_sequences():
    model = model_of("int8")
    together = decoded(model)[-3:]
    with torch.inference_mode():
        for index in range(3):
            ids, total = SEQUENCES[index], PROMPTS[index] + 7
            kv = KVCache(model.config.text, 12, 9)
            for step in range(total):
                batch = batch_of([ids[step : step + 1]], [step], 9, [BLOCKS[index]])
                logits = model.logits(model(batch, kv=kv))
            torch.testing.assert_close(logits[0], together[index], rtol=1e-5, atol=1e-5)


def test_prompts_too_long_for_the_fused_step_run_layer_by_layer():
    model, exact = model_of("int8"), model_of()
    ids = torch.arange(90) % 140
    with torch.inference_mode():
        rows = [
            each.logits(
                each(batch_of([ids], [0], 100, [[0]]), kv=KVCache(each.config.text, 1, 100))
            )
            for each in (model, exact)
        ]
    assert error(*rows) < 0.035


@torch.inference_mode()
def test_packs_without_a_cache():
    rows = [each.logits(each(pack([SAMPLE]))) for each in (model_of("int8"), model_of())]
    assert error(*rows) < 0.035


def test_without_the_library_the_twins_decode(monkeypatch):
    model = model_of("int4")
    expected = decoded(model)
    monkeypatch.setattr(ops, "library", lambda: None)
    monkeypatch.setattr("finesight.model.fused.library", lambda: None)
    assert error(decoded(model), expected) < 0.01


def test_weights_that_were_stored_in_4_bits_with_a_minimum_stay_exact():
    model = model_of()
    for one in model.model.modules():
        if isinstance(one, nn.Linear):
            one.weight.data = unpack(quantise(one.weight, "int4_min"), *one.weight.shape)
    exact = decoded(model)
    pack_weights(model, "int4")
    assert packed_as(model) == "int4_min"
    assert (
        error(decoded(model), exact) < 0.035
    )  # that of the activations and of the head with 8 bits


def formats_of(model):
    layers = model.model.layers.named_modules()
    return {
        name.rpartition(".")[2]: format_of(one.weight)
        for name, one in layers
        if isinstance(one, PackedLinear)
    }


def test_keys_and_values_keep_8_bits_unless_4_bits_hold_them():
    found = formats_of(model_of("int4"))
    assert {name for name, kind in found.items() if kind == "int8"} == {"k_proj", "v_proj"}
    assert {kind for name, kind in found.items() if name not in ("k_proj", "v_proj")} == {"int4"}
    stored = model_of()
    with torch.no_grad():
        for one in stored.model.modules():
            if isinstance(one, nn.Linear):
                one.weight.data = unpack(quantise(one.weight, "int4"), *one.weight.shape)
    pack_weights(stored, "int4")
    assert set(formats_of(stored).values()) == {"int4"}


def kinds(module):
    return {type(one) for one in module.modules() if isinstance(one, nn.Linear | PackedLinear)}


def test_the_vision_tower_is_packed_on_request_only():
    model = model_of("int8")
    assert packed_as(model) == "int8"
    assert packed_as(model_of()) is None
    assert (kinds(model.model), kinds(model.visual)) == ({PackedLinear}, {nn.Linear})
    both = VisionLanguageModel(small_config()).eval()
    randomize(both)
    exact = both.encode_vision(pack([SAMPLE]).vision)
    pack_weights(both, "int8")
    pack_vision(both, "int8")
    assert kinds(both.visual) == {PackedLinear}
    with torch.inference_mode():
        assert error(both.encode_vision(pack([SAMPLE]).vision), exact) < 0.035


def test_a_copy_has_its_own_weights():
    model = model_of("bf16")
    copied, expected = deepcopy(model), decoded(model)
    for one in model.modules():
        if isinstance(one, PackedLinear):
            one.weight.zero_()
    assert torch.equal(decoded(copied), expected)


def test_other_dtypes_are_refused():
    model = model_of("bf16")
    assert model.to("cpu") is model
    with pytest.raises(ConfigError, match=r"stay in their format, torch\.bfloat16: they cannot"):
        model.double()


def test_it_is_no_checkpoint():
    with pytest.raises(ConfigError, match="is packed, so these weights are no checkpoint"):
        model_of("int8").state_dict()


def test_the_head_has_no_values_for_training():
    with pytest.raises(ConfigError, match="the output head is packed"):
        model_of("int8").lm_head.cosines(torch.zeros(1, 64))
    tied = model_of("int8", tie_word_embeddings=True)
    assert tied.lm_head.cosines(torch.ones(1, 64)).shape == (1, 160)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda: model_of("int8"), "packed already"),
        (lambda: VisionLanguageModel(small_config()).to("meta"), "the model is on meta"),
        (lambda: adapted(), "merge adapters first"),
    ],
)
def test_models_that_cannot_be_packed(prepare, message):
    with pytest.raises(ConfigError, match=message):
        pack_weights(prepare(), "int8")


def adapted():
    model = model_of()
    add_lora(model, ["model.layers.*.q_proj"], rank=2, alpha=2, seed=0)
    return model


def test_unknown_formats():
    with pytest.raises(ConfigError, match="weights is 'int3', expected one of bf16, int8, int4"):
        pack_weights(model_of(), "int3")


def test_plain_bfloat16_weights_are_read_as_they_are_and_changes_are_seen():
    """Weights changed in place, replaced, or given adapters: the step is that of the layers every time."""
    model = model_of(dtype=torch.bfloat16)
    assert use_kernels(model)

    def check(*, is_read: bool = True) -> None:
        fused = decoded(model)
        assert (model.model.fused._struct is not None) == is_read
        kept, model.model.fused, model.lm_head.uses_kernels = model.model.fused, None, False
        layers = decoded(model)
        model.model.fused, model.lm_head.uses_kernels = kept, True
        assert error(fused, layers) < 0.03

    check()
    with torch.no_grad():
        model.model.layers[0].input_layernorm.weight.mul_(3.0)
        model.model.layers[1].self_attn.q_proj.bias.add_(2.0)
        model.model.layers[1].mlp.up_proj.weight.neg_()
    check()
    changed = {name: value * 0.5 for name, value in model.state_dict().items()}
    model.load_state_dict(changed, assign=True)
    check()
    add_lora(model, ["model.layers.0.self_attn.q_proj"], rank=2, alpha=2.0, seed=0)
    model.bfloat16()
    check(is_read=False)
    merge_lora(model)
    check()
    model.float()
    check(is_read=False)


def test_kernels_are_for_bfloat16_on_a_cpu():
    assert not use_kernels(model_of())
