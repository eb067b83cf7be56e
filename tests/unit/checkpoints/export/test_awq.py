# SPDX-License-Identifier: Apache-2.0
"""int4 weights with calibrated scales: stored as AWQ, read again by our loader, better than rounding to nearest."""

from __future__ import annotations

import json

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.checkpoints.export import awq
from finesight.checkpoints.export.awq import check_group_size, quantise_layer, write_awq
from finesight.checkpoints.export.awq_format import quantised
from finesight.checkpoints.export.formats import ExportSource
from finesight.checkpoints.export.plain import plain_model
from finesight.config.quantisation import Quantisation
from finesight.errors import ConfigError
from finesight.model.quantised import dequantise
from finesight.model.weights import load_model

SCHEME = Quantisation(method="awq", bits=4, group_size=32, zero_offset=0)


def text_batch(seed: int, length: int = 40) -> PackedBatch:
    """Random tokens that are all targets."""
    chance = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 300, (length,), generator=chance)
    from dataclasses import replace

    plan = AttentionPlan.from_lengths([length], causal=True)
    batch = PackedBatch.from_tokens(ids, torch.arange(length).expand(3, -1), plan)
    return replace(batch, labels=ids)


BATCHES = [text_batch(seed) for seed in range(6)]


@pytest.fixture
def outlying(tiny_model_folder):
    """A model some of whose activations are much larger than others, as those of large models are."""
    model = plain_model(tiny_model_folder, dtype=torch.float32)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight[:3] *= 20
            layer.post_attention_layernorm.weight[:3] *= 20
    return model


def test_codes_are_stored_as_the_reader_expects():
    weight = torch.randn(64, 96, generator=torch.Generator().manual_seed(0))
    codes = quantised(weight, 32)
    assert torch.equal(dequantise(codes.stored(), SCHEME, torch.float32), codes.values())
    steps = codes.scales.float().repeat_interleave(32, dim=1)
    assert bool(((codes.values() - weight).abs() <= 0.51 * steps + 1e-6).all())


def test_constant_groups_keep_their_value():
    weight = torch.tensor([[0.5] * 32, [-0.25] * 32, [0.0] * 32])
    assert torch.allclose(quantised(weight, 32).values(), weight, atol=1e-3)


def test_scales_do_not_change_the_network(outlying, monkeypatch):
    """Without rounding, the scaled weights give the logits of the model: the inverse scales are in front."""

    class Exact:
        def __init__(self, weight, *_):
            self.weight = weight

        def values(self):
            return self.weight

    monkeypatch.setattr(awq, "_clipped", Exact)
    inputs = awq._collect(outlying, BATCHES, lambda *_: None)
    changed = {}
    scaled = 0
    for index, layer in enumerate(outlying.model.layers):
        prefix = f"model.layers.{index}."
        own = {
            name.removeprefix(prefix): each
            for name, each in inputs.items()
            if name.startswith(prefix)
        }
        plain, coded = quantise_layer(layer, own, 32)
        both = plain | {name: each.values() for name, each in coded.items()}
        scaled += sum(
            not torch.equal(both[name], value) for name, value in layer.state_dict().items()
        )
        changed |= {prefix + name: value for name, value in both.items()}
    assert scaled > 8
    other = awq._with(outlying, changed)
    with torch.no_grad():
        wanted, found = (model.logits(model(BATCHES[0])) for model in (outlying, other))
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


def test_a_written_folder_is_a_model_with_the_reported_divergence(
    outlying, tiny_model_folder, tmp_path
):
    source = ExportSource("toy", tiny_model_folder, outlying)
    stages = []
    report = write_awq(
        source,
        tmp_path,
        BATCHES[2:],
        BATCHES[:2],
        group_size=32,
        on_stage=lambda *each: stages.append(each),
    )
    assert 0 < report.kl < report.kl_rounded
    assert report.tokens == 2 * 39
    section = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert section["modules_to_not_convert"] == ["visual"]
    assert (section["quant_method"], section["version"], section["bits"]) == ("awq", "gemm", 4)
    with pytest.warns(UserWarning, match="AWQ, 4 bits, groups of 32"):
        again = load_model(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        wanted, found = (
            model.logits(model(BATCHES[0])[:-1]).log_softmax(-1) for model in (outlying, again)
        )
    kl = (wanted.exp() * (wanted - found)).sum(-1).mean().item()
    assert kl == pytest.approx(report.kl, rel=0.5)
    assert torch.equal(
        again.visual.patch_embed.proj.weight, outlying.visual.patch_embed.proj.weight.half().float()
    )
    assert {stage for stage, *_ in stages} == {"calibrating (batches)", "searching scales (layers)"}


def test_a_group_size_that_does_not_divide_is_refused(outlying):
    with pytest.raises(ConfigError, match=r"hidden size 64.*128") as caught:
        check_group_size(outlying, 128)
    assert "--group-size 64" in caught.value.hint
