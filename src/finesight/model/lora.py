# SPDX-License-Identifier: Apache-2.0
"""Gives layers of a network low-rank adapters, switches them off, and merges them.

The layers themselves are in `model.low_rank`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

import torch
from torch import nn

from finesight.errors import ConfigError
from finesight.model.low_rank import LoRALinear, LoRAPackedLinear, LowRank
from finesight.model.packed_linear import PackedLinear

__all__ = [
    "GROUPS",
    "add_lora",
    "lora_layers",
    "merge_lora",
    "merged_lora",
    "without_lora",
]

GROUPS = {
    "vision": "visual.blocks.*",
    "merger": "visual.merger.*",
    "language": "model.layers.*",
}
"""Names of the parts of the network, and the patterns of their layers."""


def add_lora(
    module: nn.Module,
    targets: Sequence[str],
    *,
    rank: int,
    alpha: float,
    seed: int,
    dropout: float = 0.0,
    dora: bool = False,
    rslora: bool = False,
) -> int:
    """Give every matching linear layer without an adapter one, in place.

    Args:
        module: a network; layers that have an adapter keep it.
        targets: shell patterns of module names, such as `model.layers.*.q_proj`, or names in `GROUPS`.
        rank: R.
        alpha: scale times rank.
        seed: of the initial values.
        dropout: share of the adapters' inputs that are zeroed in training.
        dora: whether the lengths of the weights' rows are learned as well.
        rslora: whether the scale is `alpha / sqrt(R)`.

    Returns:
        The number of new adapters.

    Raises:
        ConfigError: a pattern matches no linear layer.
    """
    generator = torch.Generator().manual_seed(seed)
    adapted = lora_layers(module)
    found = {
        name: one
        for name, one in module.named_modules()
        if isinstance(one, nn.Linear | PackedLinear) and name.rpartition(".")[0] not in adapted
    }
    chosen = [name for name in _matching(found, targets) if name not in adapted]
    for name in chosen:
        parent, _, own = name.rpartition(".")
        base, options = found[name], {"dropout": dropout, "dora": dora, "rslora": rslora}
        layer: LowRank = (
            LoRAPackedLinear(base, rank, alpha, generator, **options)
            if isinstance(base, PackedLinear)
            else LoRALinear(base, rank, alpha, generator, **options)
        )
        setattr(module.get_submodule(parent), own, layer)
    return len(chosen)


def _matching(names: Iterable[str], targets: Sequence[str]) -> list[str]:
    """The names that match a target, in their order."""
    names = list(names)
    patterns = [GROUPS.get(each, each) for each in targets]
    for target, pattern in zip(targets, patterns, strict=True):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"lora target {target!r} matches none of {len(names)} linear layers",
                hint=f"give {', '.join(GROUPS)}, or patterns of module names, such as model.layers.*.q_proj",
            )
    return [name for name in names if any(fnmatchcase(name, each) for each in patterns)]


def lora_layers(module: nn.Module) -> dict[str, LowRank]:
    """Layers with an adapter, by name."""
    return {name: one for name, one in module.named_modules() if isinstance(one, LowRank)}


@contextmanager
def without_lora(module: nn.Module) -> Iterator[None]:
    """Within the block, the network computes without its adapters."""
    layers = list(lora_layers(module).values())
    for layer in layers:
        layer.is_active = False
    try:
        yield
    finally:
        for layer in layers:
            layer.is_active = True


@contextmanager
def merged_lora(module: nn.Module) -> Iterator[None]:
    """Within the block, the adapters are part of the weights; then the weights are the tensors of before.

    Raises:
        ConfigError: a layer is packed.
    """
    layers = _plain_layers(module)
    before = {name: layer.weight for name, layer in layers.items()}
    with torch.no_grad(), without_lora(module):
        for layer in layers.values():
            layer.weight = nn.Parameter(layer.merged(), requires_grad=False)
    try:
        for layer in layers.values():
            layer.is_active = False
        yield
    finally:
        for name, layer in layers.items():
            layer.weight, layer.is_active = before[name], True


def merge_lora(module: nn.Module) -> None:
    """Replace every layer with an adapter by a plain linear layer with the merged weight, in place.

    Raises:
        ConfigError: a layer is packed.
    """
    for name, layer in _plain_layers(module).items():
        parent, _, own = name.rpartition(".")
        plain = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
        plain.weight = nn.Parameter(layer.merged().detach())
        plain.bias = layer.bias
        setattr(module.get_submodule(parent), own, plain)


def _plain_layers(module: nn.Module) -> dict[str, LoRALinear]:
    """The layers with adapters; none may be packed: rounding the sum again would lose most of a small change."""
    layers: dict[str, LoRALinear] = {}
    for name, layer in lora_layers(module).items():
        if not isinstance(layer, LoRALinear):
            raise ConfigError(
                f"the adapter of {name} cannot be merged into its packed weight",
                hint="save the adapter, and merge it into the weights that were packed: "
                "`finesight export --adapter`",
            )
        layers[name] = layer
    return layers
