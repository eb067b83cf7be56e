# SPDX-License-Identifier: Apache-2.0
"""Speed of a run: what is counted, and that waiting for data is told from computing."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from finesight.attention_plan import AttentionPlan
from finesight.batch import PackedBatch
from finesight.model.flops import layer_parameters, prefill_flops
from finesight.model.weights import load_model
from finesight.train import rates as module
from finesight.train.rates import Rates, peak_flops


@pytest.fixture
def model(tiny_model_folder):
    return load_model(tiny_model_folder, dtype=torch.float32)


def pack(*lengths):
    tokens = torch.zeros(sum(lengths), dtype=torch.long)
    plan = AttentionPlan.from_lengths(lengths, causal=True)
    batch = PackedBatch.from_tokens(tokens, tokens.expand(3, -1), plan, tokens[:4])
    return SimpleNamespace(batch=batch, next_tokens=SimpleNamespace(rows=tokens[:5]), answers=None)


@torch.no_grad()
def run_decoder(model):
    tokens = torch.zeros(3, dtype=torch.long)
    plan = AttentionPlan.from_lengths([3], causal=True)
    model(PackedBatch.from_tokens(tokens, tokens.expand(3, -1), plan))


def test_values_of_some_steps(model, monkeypatch):
    monkeypatch.setattr(module, "peak_flops", lambda *_: 1e9)
    rates = Rates(model, pack_tokens=100, dtype=torch.float32)
    groups = [[pack(40, 50)], [pack(100), pack(30)]]

    def slow():
        for group in groups:
            time.sleep(0.02)
            yield group

    run_decoder(model)
    seen = list(rates.watch(slow()))
    assert seen == groups
    time.sleep(0.02)
    values = rates.read()
    assert values["fill"] == pytest.approx(220 / 300, abs=1e-4)
    seconds = 220 / values["tokens_per_second"]
    assert 0.06 < seconds < 5
    assert values["visual_tokens_per_second"] * seconds == pytest.approx(12, rel=0.01)
    assert 0.04 / seconds - 0.01 < values["data_wait"] < 1
    flops = sum(
        prefill_flops(model.config.text, one, logit_rows=5) for one in ([40, 50], [100], [30])
    )
    assert values["mfu"] * seconds * 1e9 == pytest.approx(3 * flops, rel=0.02)
    assert rates.read()["fill"] == 0.0


@pytest.mark.parametrize(("frozen", "passes"), [("visual.", 3), ("model.", 2), ("", 1)])
def test_passes_of_frozen_parts(model, monkeypatch, frozen, passes):
    """A frozen decoder behind a trained tower passes gradients on; if nothing is trained, it does not."""
    monkeypatch.setattr(module, "peak_flops", lambda *_: 1e9)
    for name, value in model.named_parameters():
        value.requires_grad_(not name.startswith(frozen))
    rates = Rates(model, pack_tokens=100, dtype=torch.float32)
    run_decoder(model)
    list(rates.watch(iter([[pack(90)]])))
    values = rates.read()
    seconds = 90 / values["tokens_per_second"]
    flops = passes * prefill_flops(model.config.text, [90], logit_rows=5)
    assert values["mfu"] * seconds * 1e9 == pytest.approx(flops, rel=0.05)


def test_a_decoder_that_does_not_run_has_no_operations(model):
    rates = Rates(model, pack_tokens=100, dtype=torch.float32)
    list(rates.watch(iter([[pack(90)]])))
    assert rates.read()["mfu"] == 0.0


def test_the_peak_is_that_of_a_product():
    assert 1e8 < peak_flops(torch.device("cpu"), torch.float32) < 1e15


def test_a_prompt_that_answers_share_counts_once(model, monkeypatch):
    """Two answers of 5 and 7 tokens to a prompt of 30: attention sees 35 and 37 tokens, the layers 42."""
    monkeypatch.setattr(module, "peak_flops", lambda *_: 1e9)
    shared = pack(42)
    plan = AttentionPlan.shared([(30, [5, 7])])
    shared.batch = replace(shared.batch, attention=plan)
    shared.answers = SimpleNamespace(rows=torch.arange(12))
    rates = Rates(model, pack_tokens=100, dtype=torch.float32)
    run_decoder(model)
    assert list(rates.watch(iter([[shared]]))) == [[shared]]
    values = rates.read()
    seconds = 42 / values["tokens_per_second"]
    text = model.config.text
    linear = 2 * text.num_hidden_layers * layer_parameters(text)
    flops = prefill_flops(text, [35, 37], logit_rows=12) - 30 * linear
    assert values["mfu"] * seconds * 1e9 == pytest.approx(3 * flops, rel=0.02)
