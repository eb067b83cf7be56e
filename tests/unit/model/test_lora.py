# SPDX-License-Identifier: Apache-2.0
"""Adapters: zero at the start, merged as applied, and switched off exactly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finesight.errors import ConfigError
from finesight.model.lora import LoRALinear, add_lora, lora_layers, merge_lora, without_lora


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "first": nn.Linear(6, 8),
            "inner": nn.ModuleDict(
                {"q_proj": nn.Linear(8, 4, bias=False), "other": nn.Linear(8, 4)}
            ),
        }
    )


def run(net: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    states = net["first"](rows).tanh()
    return net["inner"]["q_proj"](states) + net["inner"]["other"](states)


def adapted(seed: int = 1) -> nn.Module:
    net = network()
    assert add_lora(net, ["first", "inner.q_*"], rank=2, alpha=6.0, seed=seed) == 2
    return net


def moved(net: nn.Module) -> nn.Module:
    """Adapters as after some training."""
    torch.manual_seed(5)
    with torch.no_grad():
        for layer in lora_layers(net).values():
            layer.lora_B.weight.normal_()
    return net


ROWS = torch.linspace(-1, 1, 18).view(3, 6)


def test_a_new_adapter_changes_nothing_and_keeps_the_names() -> None:
    plain, net = network(), adapted()
    assert torch.equal(run(plain, ROWS), run(net, ROWS))
    assert plain.state_dict().keys() <= net.state_dict().keys()
    assert sorted(lora_layers(net)) == ["first", "inner.q_proj"]
    assert net["inner"]["other"].__class__ is nn.Linear


def test_worked_example() -> None:
    """W = 2, A = 3, B = 5, alpha 4 of rank 1: 2x + 4 * 5 * 3x = 62x."""
    layer = LoRALinear(nn.Linear(1, 1, bias=False), 1, 4.0, torch.Generator())
    with torch.no_grad():
        layer.weight.fill_(2)
        layer.lora_A.weight.fill_(3)
        layer.lora_B.weight.fill_(5)
    assert layer(torch.tensor([[1.0]])).item() == 62
    assert layer.merged().item() == 62


def test_merged_computes_the_same_in_float32() -> None:
    net = moved(adapted())
    before = run(net, ROWS)
    merge_lora(net)
    assert not lora_layers(net)
    assert net.state_dict().keys() == network().state_dict().keys()
    torch.testing.assert_close(run(net, ROWS), before, atol=1e-5, rtol=1e-5)


def test_without_adapters_it_is_the_network_of_before() -> None:
    net = moved(adapted())
    changed = run(net, ROWS)
    with without_lora(net):
        assert torch.equal(run(net, ROWS), run(network(), ROWS))
    assert torch.equal(run(net, ROWS), changed)
    with pytest.raises(ZeroDivisionError), without_lora(net):
        raise ZeroDivisionError
    assert torch.equal(run(net, ROWS), changed)


def test_the_seed_decides_the_initial_values() -> None:
    first, again, other = adapted(1), adapted(1), adapted(2)
    assert torch.equal(first["first"].lora_A.weight, again["first"].lora_A.weight)
    assert not torch.equal(first["first"].lora_A.weight, other["first"].lora_A.weight)


def test_a_pattern_without_a_layer_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'inner\.v_proj' matches none of 3 linear layers"):
        add_lora(network(), ["first", "inner.v_proj"], rank=2, alpha=2.0, seed=0)


def test_gradients_reach_the_adapter_alone() -> None:
    net = moved(adapted())
    for name, weight in net.named_parameters():
        weight.requires_grad_(".lora_" in name)
    run(net, ROWS).sum().backward()
    with_gradient = {name for name, weight in net.named_parameters() if weight.grad is not None}
    assert with_gradient == {name for name, _ in net.named_parameters() if ".lora_" in name}


def test_a_frozen_weight_is_cast_once_and_again_after_loading() -> None:
    layer = nn.Linear(8, 6)
    model = nn.ModuleDict({"one": layer}).requires_grad_(False)
    add_lora(model, ["one"], rank=2, alpha=2.0, seed=0)
    rows = torch.randn(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = model["one"](rows)
        assert torch.equal(model["one"](rows), first)
        model.load_state_dict({name: 2 * value for name, value in model.state_dict().items()})
        doubled = model["one"](rows)
    assert torch.equal(doubled, 2 * first)
    torch.testing.assert_close(model["one"](rows), doubled.float(), atol=0.05, rtol=0.02)
