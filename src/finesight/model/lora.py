# SPDX-License-Identifier: Apache-2.0
"""LoRA: low-rank adapters of linear layers.

`W x + b` becomes `W x + b + scale * B A x`, with `A` of shape `[R, in]` and `B` of shape `[out, R]`. `B` starts at
zero, so a new adapter changes nothing. Names of parameters and the scale `alpha / R` are those of peft.

Legend: N rows, R rank.
Source: Hu et al. 2021 (arXiv 2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.errors import ConfigError

__all__ = ["LoRALinear", "add_lora", "lora_layers", "merge_lora", "without_lora"]


class LoRALinear(nn.Linear):
    """A linear layer with a low-rank adapter; it keeps the parameters `weight` and `bias` of the layer it replaces.

    Args:
        base: the layer.
        rank: R.
        alpha: the adapter's output is multiplied by `alpha / rank`.
        generator: of the random initial values of `lora_A`.

    Attributes:
        is_active: whether the adapter is applied.
    """

    def __init__(
        self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator
    ) -> None:
        super().__init__(base.in_features, base.out_features, bias=False, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.scale = alpha / rank
        self.is_active = True
        self._cast: tuple[int, int, Tensor] | None = None
        device = base.weight.device
        self.lora_A = nn.Linear(base.in_features, rank, bias=False, device=device)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False, device=device)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Linear
        """Map `[N, in]` to `[N, out]`."""
        out = functional.linear(input, self._weight(input.device.type), self.bias)
        if not self.is_active:
            return out
        # The scale is applied to the smallest matrix.
        return out + self.lora_B(self.lora_A(input) * self.scale)  # type: ignore[no-any-return]  # nn.Module call

    def _weight(self, device_type: str) -> Tensor:
        """The weight; if it is frozen, under autocast, a stored copy in its dtype.

        Autocast keeps its casts of trained weights for the pass only, and casts frozen ones at every use, which takes
        a tenth of a training step on a CPU.
        """
        weight = self.weight
        if weight.requires_grad or not torch.is_autocast_enabled(device_type):
            return weight
        dtype = torch.get_autocast_dtype(device_type)
        version, address = weight._version, weight.data_ptr()  # change when other values are loaded
        cast = self._cast
        if cast is None or cast[:2] != (version, address) or cast[2].dtype != dtype:
            cast = self._cast = (version, address, weight.detach().to(dtype))
        return cast[2]

    def merged(self) -> Tensor:
        """`[out, in]`, the weight with the adapter added, in the dtype of the weight; computed in float32."""
        change = self.lora_B.weight.float() @ self.lora_A.weight.float()
        total = self.weight.float() + self.scale * change
        return total.to(self.weight.dtype)


def add_lora(
    module: nn.Module, targets: Sequence[str], *, rank: int, alpha: float, seed: int
) -> int:
    """Give every matching linear layer an adapter, in place.

    Args:
        module: a network without adapters.
        targets: shell patterns of module names, such as `model.layers.*.q_proj`.
        rank: R.
        alpha: scale times rank.
        seed: of the initial values.

    Returns:
        The number of adapters.

    Raises:
        ConfigError: a pattern matches no linear layer.
    """
    generator = torch.Generator().manual_seed(seed)
    found = {name: one for name, one in module.named_modules() if isinstance(one, nn.Linear)}
    for pattern in targets:
        if not any(fnmatchcase(name, pattern) for name in found):
            raise ConfigError(
                f"lora target {pattern!r} matches none of {len(found)} linear layers",
                hint="give patterns of module names, such as model.layers.*.q_proj",
            )
    chosen = [name for name in found if any(fnmatchcase(name, each) for each in targets)]
    for name in chosen:
        parent, _, own = name.rpartition(".")
        adapted = LoRALinear(found[name], rank, alpha, generator)
        setattr(module.get_submodule(parent), own, adapted)
    return len(chosen)


def lora_layers(module: nn.Module) -> dict[str, LoRALinear]:
    """Layers with an adapter, by name."""
    return {name: one for name, one in module.named_modules() if isinstance(one, LoRALinear)}


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


def merge_lora(module: nn.Module) -> None:
    """Replace every layer with an adapter by a plain linear layer with the merged weight, in place."""
    for name, layer in lora_layers(module).items():
        parent, _, own = name.rpartition(".")
        plain = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
        plain.weight = nn.Parameter(layer.merged())
        plain.bias = layer.bias
        setattr(module.get_submodule(parent), own, plain)
