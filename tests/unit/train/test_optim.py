# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from finesight.errors import ConfigError
from finesight.train.optim import GroupRule, OptimConfig, Optimizers, assign


def _module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8), nn.Linear(8, 3))


def _config(*rules: GroupRule) -> OptimConfig:
    return OptimConfig(group=rules)


MATRICES = GroupRule(match="*.weight", ndim=2, algorithm="muon", lr=1e-2)
REST = GroupRule(match="*", algorithm="adamw", lr=1e-3)


def test_first_rule_that_matches_wins() -> None:
    groups = assign(_module().named_parameters(), _config(MATRICES, REST))
    assert sorted(groups[0][1]) == ["0.weight", "2.weight"]
    assert sorted(groups[1][1]) == ["0.bias", "1.weight", "2.bias"]


def test_parameter_without_rule_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"0\.bias .* matches no"):
        assign(_module().named_parameters(), _config(MATRICES))


def test_rule_without_parameter_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'visual"):
        assign(
            _module().named_parameters(),
            _config(GroupRule(match="visual.*", algorithm="adamw"), REST),
        )


def test_muon_takes_matrices_only() -> None:
    with pytest.raises(ConfigError, match=r"0\.bias to muon"):
        assign(
            _module().named_parameters(), _config(GroupRule(match="*", algorithm="muon", lr=1e-2))
        )


def test_frozen_parameters_stay() -> None:
    module = _module()
    frozen = GroupRule(match="0.*", algorithm="frozen")
    optimizers = Optimizers(module, _config(frozen, MATRICES, REST))
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    module(torch.randn(4, 6)).square().sum().backward()
    optimizers.step(1.0)
    changed = {
        name for name, value in module.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == {"1.weight", "2.weight", "2.bias"}


def test_state_put_back_gives_the_same_next_step() -> None:
    def advance(module: nn.Module, optimizers: Optimizers, seed: int) -> None:
        torch.manual_seed(seed)
        module(torch.randn(4, 6)).square().sum().backward()
        optimizers.step(0.5)

    first = _module()
    first_optimizers = Optimizers(first, _config(MATRICES, REST))
    advance(first, first_optimizers, 1)
    second = _module()
    second.load_state_dict(first.state_dict())
    second_optimizers = Optimizers(second, _config(MATRICES, REST))
    second_optimizers.load_state_tensors(first_optimizers.state_tensors())
    for module, optimizers in ((first, first_optimizers), (second, second_optimizers)):
        advance(module, optimizers, 2)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_state_of_an_unknown_parameter_is_an_error() -> None:
    optimizers = Optimizers(_module(), _config(MATRICES, REST))
    with pytest.raises(ConfigError, match=r"visual\.x"):
        optimizers.load_state_tensors({"visual.x|exp_avg": torch.zeros(1)})
