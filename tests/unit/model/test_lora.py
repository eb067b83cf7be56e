# SPDX-License-Identifier: Apache-2.0
"""Adapters: zero at the start, merged as applied, and switched off exactly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finesight.errors import ConfigError
from finesight.kernels.formats import unpack
from finesight.model.lora import (
    add_lora,
    lora_layers,
    merge_lora,
    merged_lora,
    without_lora,
)
from finesight.model.low_rank import LoRALinear, LoRAPackedLinear
from finesight.model.packed_linear import PackedLinear


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


def adapted(seed: int = 1, **options) -> nn.Module:
    net = network()
    assert add_lora(net, ["first", "inner.q_*"], rank=2, alpha=6.0, seed=seed, **options) == 2
    return net


def moved(net: nn.Module) -> nn.Module:
    """Adapters as after some training."""
    torch.manual_seed(5)
    with torch.no_grad():
        for layer in lora_layers(net).values():
            layer.lora_B.weight.normal_()
            if layer.lora_magnitude_vector is not None:
                layer.lora_magnitude_vector.mul_(1 + 0.3 * torch.rand(layer.out_features))
    return net


KINDS = [{}, {"dora": True}, {"rslora": True}, {"dora": True, "rslora": True}]


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


@pytest.mark.parametrize("options", KINDS)
def test_merged_computes_the_same_in_float32(options) -> None:
    net = moved(adapted(**options))
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


@pytest.mark.parametrize("options", KINDS)
def test_unmerged_weights_are_the_tensors_of_before(options) -> None:
    net = moved(adapted(**options)).requires_grad_(False)
    kept = {name: layer.weight for name, layer in lora_layers(net).items()}
    values = {name: weight.clone() for name, weight in kept.items()}
    before = run(net, ROWS)
    with merged_lora(net):
        torch.testing.assert_close(run(net, ROWS), before, atol=1e-5, rtol=1e-5)
        assert not torch.equal(net["first"].weight, values["first"])
    for name, layer in lora_layers(net).items():
        assert layer.weight is kept[name]
        assert torch.equal(layer.weight, values[name])
    assert torch.equal(run(net, ROWS), before)


def test_a_new_dora_adapter_changes_nothing() -> None:
    plain, net = network(), adapted(dora=True)
    torch.testing.assert_close(run(net, ROWS), run(plain, ROWS), atol=1e-6, rtol=1e-6)
    lengths = net["first"].lora_magnitude_vector
    torch.testing.assert_close(lengths, plain["first"].weight.norm(dim=1))


def of_peft(linear: nn.Linear, layer, **options) -> nn.Module:
    """The same adapter of peft."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=layer.rank,
        lora_alpha=layer.alpha,
        target_modules=["0"],
        use_dora=options.get("dora", False),
        use_rslora=options.get("rslora", False),
    )
    found = peft.get_peft_model(nn.Sequential(linear), config)
    theirs = found.base_model.model[0]
    with torch.no_grad():
        theirs.lora_A["default"].weight.copy_(layer.lora_A.weight)
        theirs.lora_B["default"].weight.copy_(layer.lora_B.weight)
        if layer.lora_magnitude_vector is not None:
            theirs.lora_magnitude_vector["default"].weight.copy_(layer.lora_magnitude_vector)
    return theirs


@pytest.mark.parametrize("packed_as", [None, "int8", "int4"])
@pytest.mark.parametrize("options", KINDS)
def test_output_and_gradients_are_those_of_peft(options, packed_as) -> None:
    """Also on packed weights, where peft gets the values of their codes."""
    torch.manual_seed(2)
    plain, generator = nn.Linear(48, 24), torch.Generator().manual_seed(3)
    if packed_as is None:
        ours = LoRALinear(plain, 4, 6.0, generator, **options)
    else:
        packed = PackedLinear.of(plain, packed_as)
        packed.is_exact = True
        with torch.no_grad():
            plain.weight.copy_(unpack(packed.weight, 24, 48))
        ours = LoRAPackedLinear(packed, 4, 6.0, generator, **options)
    moved(nn.ModuleList([ours]))
    theirs = of_peft(nn.Linear(48, 24).requires_grad_(False), ours, **options)
    with torch.no_grad():
        theirs.base_layer.weight.copy_(plain.weight)
        theirs.base_layer.bias.copy_(plain.bias)
    rows, slope = torch.randn(7, 48, requires_grad=True), torch.randn(7, 24)
    found, wanted = ours(rows), theirs(rows)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    pairs = [
        (rows, rows),
        (ours.lora_A.weight, theirs.lora_A["default"].weight),
        (ours.lora_B.weight, theirs.lora_B["default"].weight),
    ]
    if ours.lora_magnitude_vector is not None:
        pairs.append((ours.lora_magnitude_vector, theirs.lora_magnitude_vector["default"].weight))
    mine = torch.autograd.grad((found * slope).sum(), [one for one, _ in pairs])
    other = torch.autograd.grad((wanted * slope).sum(), [one for _, one in pairs])
    for one, two in zip(mine, other, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_packed_weights_are_not_merged() -> None:
    net = nn.ModuleDict({"one": PackedLinear.of(nn.Linear(32, 16), "int4")})
    add_lora(net, ["one"], rank=2, alpha=2.0, seed=0)
    with pytest.raises(ConfigError, match="adapter of one cannot be merged into its packed weight"):
        merge_lora(net)
    with pytest.raises(ConfigError, match="cannot be merged"), merged_lora(net):
        pass


def test_dropout_is_on_in_training_alone() -> None:
    net = moved(adapted(dropout=0.5))
    net.train()
    torch.manual_seed(0)
    first = run(net, ROWS)
    assert not torch.equal(run(net, ROWS), first)
    torch.manual_seed(0)
    assert torch.equal(run(net, ROWS), first)
    net.eval()
    assert torch.equal(run(net, ROWS), run(moved(adapted()).eval(), ROWS))


def test_the_first_group_of_a_layer_decides() -> None:
    net = network()
    assert add_lora(net, ["inner.q_*"], rank=3, alpha=3.0, seed=0) == 1
    assert add_lora(net, ["*"], rank=2, alpha=2.0, seed=0) == 2
    assert {name: one.rank for name, one in lora_layers(net).items()} == {
        "first": 2,
        "inner.q_proj": 3,
        "inner.other": 2,
    }


def test_parts_of_the_network_have_names(tiny_model_folder) -> None:
    from finesight.model.weights import load_model

    model = load_model(tiny_model_folder)
    for target, start in (
        ("vision", "visual.blocks."),
        ("merger", "visual.merger."),
        ("language", "model.layers."),
    ):
        before = set(lora_layers(model))
        assert add_lora(model, [target], rank=1, alpha=1.0, seed=0)
        assert all(name.startswith(start) for name in set(lora_layers(model)) - before)
