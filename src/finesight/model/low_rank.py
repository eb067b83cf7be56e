# SPDX-License-Identifier: Apache-2.0
"""LoRA and DoRA: low-rank adapters of linear layers.

`W x + b` becomes `W x + b + scale * B A x`, with `A` of shape `[R, in]` and `B` of shape `[out, R]`. `B` starts at
zero, so a new adapter changes nothing. DoRA also learns the length of each row of the weight, the magnitude `m`: the
weight is `W + scale * B A` with its rows scaled to the lengths `m`. The lengths before scaling are taken as constants
of the backward pass. The layer may be plain or packed (QLoRA); it is frozen in the latter case.

Names of parameters and the scale, `alpha / R` or rank-stabilised `alpha / sqrt(R)`, are those of peft. So are the
results, with one exception: peft's DoRA applies dropout to the input of the frozen product as well and so computes it
twice; here dropout is applied to the low-rank product alone.

Legend: N rows, R rank.
Source: Hu et al. 2021 (arXiv 2106.09685); Liu et al. 2024, DoRA (arXiv 2402.09353); Kalajdzievski 2023, rsLoRA
(arXiv 2312.03732).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.kernels.formats import unpacked_rows
from finesight.model.packed_linear import PackedLinear

__all__ = ["LoRALinear", "LoRAPackedLinear", "LowRank", "lora_scale", "merged_weight"]

_ROWS_AT_ONCE = 1024
"""Rows of a weight that are squared together; their float32 copies are temporary."""


def lora_scale(rank: int, alpha: float, *, rslora: bool = False) -> float:
    """Factor of `B A x`."""
    return alpha / (math.sqrt(rank) if rslora else rank)


def merged_weight(
    weight: Tensor, first: Tensor, second: Tensor, scale: float, magnitude: Tensor | None
) -> Tensor:
    """A weight with an adapter added, in its dtype; computed in float32.

    Args:
        weight: `[out, in]`.
        first: `A`, `[R, in]`.
        second: `B`, `[out, R]`.
        scale: factor of `B A`.
        magnitude: `m` of DoRA, `[out]`; None for LoRA.
    """
    total = weight.float() + scale * (second.float() @ first.float())
    if magnitude is not None:
        total *= (magnitude.float() / total.norm(dim=1))[:, None]
    return total.to(weight.dtype)


class LowRank(nn.Module):
    """The adapter of a linear layer; the layer's own product is that of the other base class.

    Attributes:
        alpha: see `lora_scale`.
        scale: factor of the adapter's output.
        dropout: share of the adapter's inputs that are zeroed in training.
        rslora: whether the scale is rank-stabilised.
        is_active: whether the adapter is applied.
    """

    weight: Tensor
    bias: Any  # Tensor or None; the two classes of torch and ours annotate it differently
    in_features: int
    out_features: int
    lora_magnitude_vector: nn.Parameter | None

    def add_adapter(
        self,
        rank: int,
        alpha: float,
        generator: torch.Generator,
        *,
        dropout: float = 0.0,
        dora: bool = False,
        rslora: bool = False,
    ) -> None:
        """Make the matrices; called once by the constructor.

        Args:
            rank: R.
            alpha: see `lora_scale`.
            generator: of the random initial values of `lora_A`.
            dropout: share of inputs.
            dora: whether the lengths of the weight's rows are learned as well.
            rslora: see `lora_scale`.
        """
        self.alpha, self.scale = alpha, lora_scale(rank, alpha, rslora=rslora)
        self.dropout, self.rslora = dropout, rslora
        self.is_active = True
        self._kept: dict[str, tuple[int, int, Tensor]] = {}
        device = self.weight.device
        self.lora_A = nn.Linear(self.in_features, rank, bias=False, device=device)
        self.lora_B = nn.Linear(rank, self.out_features, bias=False, device=device)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(self.lora_B.weight)
        lengths = nn.Parameter(self._row_squares().sqrt()) if dora else None
        self.register_parameter("lora_magnitude_vector", lengths)

    @property
    def rank(self) -> int:
        """R."""
        return self.lora_A.out_features

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Linear
        """Map `[N, in]` to `[N, out]`."""
        if not self.is_active:
            return self.frozen_product(input, self.bias)
        # The scale is applied to the smallest matrix.
        rows = functional.dropout(input, self.dropout, self.training and self.dropout > 0)
        change: Tensor = self.lora_B(self.lora_A(rows) * self.scale)
        if self.lora_magnitude_vector is None:
            return self.frozen_product(input, self.bias) + change
        out = self.frozen_product(input, None)
        gain = self.lora_magnitude_vector / self._lengths()
        # `gain - 1` instead of `gain`: bfloat16 has few values near 1.
        out = out + out * (gain - 1).to(out.dtype) + change * gain.to(change.dtype)
        return out if self.bias is None else out + self.bias.to(out.dtype)

    @abstractmethod
    def frozen_product(self, states: Tensor, bias: Tensor | None) -> Tensor:
        """`W x + bias`."""

    @abstractmethod
    def base_values(self) -> Iterator[Tensor]:
        """Rows of the weight without its adapter, float32[n, in], some at a time."""

    @torch.no_grad()
    def _lengths(self) -> Tensor:
        """float32[out], lengths of the rows of the weight with its adapter; that weight is never made.

        `|w + s d|^2 = |w|^2 + 2 s w.d + s^2 |d|^2` with `d = B A`: `w.d` needs `W A^T`, and `|d|^2` needs `A A^T`.
        """
        first, second = self.lora_A.weight.float(), self.lora_B.weight.float()
        crossed = self.frozen_product(self.lora_A.weight, None).float().T  # [out, R]
        squares = self._row_squares()
        squares = squares + 2 * self.scale * (crossed * second).sum(1)
        squares += self.scale**2 * ((second @ (first @ first.T)) * second).sum(1)
        return squares.clamp_min(0).sqrt()

    @torch.no_grad()
    def _row_squares(self) -> Tensor:
        """float32[out], squared lengths of the rows of the weight without its adapter."""

        def squares() -> Tensor:
            return torch.cat([rows.square().sum(1) for rows in self.base_values()])

        return self._of_weight("squares", squares)

    def _of_weight(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """A tensor made of the weight; kept until a frozen weight gets other values."""
        if self.weight.requires_grad:
            return make()
        # Both change when other values are loaded; the address of the storage exists for tensors without values, too.
        version, address = self.weight._version, self.weight.untyped_storage()._cdata
        kept = self._kept.get(name)
        if kept is None or kept[:2] != (version, address):
            kept = self._kept[name] = (version, address, make())
        return kept[2]


class LoRALinear(LowRank, nn.Linear):
    """A linear layer with an adapter; it keeps the parameters `weight` and `bias` of the layer it replaces.

    Args:
        base: the layer.
        rank: R.
        alpha: see `lora_scale`.
        generator: of the random initial values of `lora_A`.
        options: those of `LowRank.add_adapter`.
    """

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        alpha: float,
        generator: torch.Generator,
        **options: float,
    ) -> None:
        nn.Linear.__init__(self, base.in_features, base.out_features, bias=False, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.add_adapter(rank, alpha, generator, **options)  # type: ignore[arg-type]  # bools are numbers

    def frozen_product(self, states: Tensor, bias: Tensor | None) -> Tensor:
        """`W x + bias`."""
        return functional.linear(states, self._low_weight(states.device.type), bias)

    def base_values(self) -> Iterator[Tensor]:
        """Rows of the weight, float32[n, in]."""
        return (rows.float() for rows in self.weight.detach().split(_ROWS_AT_ONCE))

    def _low_weight(self, device_type: str) -> Tensor:
        """The weight; if it is frozen, under autocast, a stored copy in its dtype.

        Autocast keeps its casts of trained weights for the pass only, and casts frozen ones at every use, which takes
        a tenth of a training step on a CPU.
        """
        weight = self.weight
        if weight.requires_grad or not torch.is_autocast_enabled(device_type):
            return weight
        dtype = torch.get_autocast_dtype(device_type)
        return self._of_weight(str(dtype), lambda: weight.detach().to(dtype))

    def merged(self) -> Tensor:
        """`[out, in]`, the weight with the adapter added, in the dtype of the weight; computed in float32."""
        pair = (self.lora_A.weight, self.lora_B.weight)
        return merged_weight(self.weight, *pair, self.scale, self.lora_magnitude_vector)


class LoRAPackedLinear(LowRank, PackedLinear):
    """A packed layer with an adapter.

    Args:
        base: the layer.
        rank: R.
        alpha: see `lora_scale`.
        generator: of the random initial values of `lora_A`.
        options: those of `LowRank.add_adapter`.
    """

    def __init__(
        self,
        base: PackedLinear,
        rank: int,
        alpha: float,
        generator: torch.Generator,
        **options: float,
    ) -> None:
        shape = {"in_features": base.in_features, "out_features": base.out_features}
        PackedLinear.__init__(self, base.weight, base.bias, **shape)
        self.is_exact = base.is_exact
        self.add_adapter(rank, alpha, generator, **options)  # type: ignore[arg-type]  # bools are numbers

    def frozen_product(self, states: Tensor, bias: Tensor | None) -> Tensor:
        """`W x + bias`."""
        return self.product(states, bias)

    def base_values(self) -> Iterator[Tensor]:
        """Rows of the values that the codes stand for, float32[n, in]."""
        return unpacked_rows(self.weight, self.out_features, self.in_features)
