# SPDX-License-Identifier: Apache-2.0
"""A linear layer whose weight is packed in a format of the CPU kernels (`finesight.kernels.formats`).

The weight is frozen, but gradients reach the layer's input: the backward pass multiplies by the values that the codes
stand for. They are unpacked for some inputs at a time, so that a pass never holds the whole weight in a float format.

On a CPU the forward pass uses the kernels, which round the states to 8 bits, as the engine does. On other devices, and
if `is_exact` is set, it multiplies by the unpacked values as well.

Legend: R rows, K inputs, N outputs.
Source: Dettmers et al. 2023, QLoRA (arXiv 2305.14314), for gradients through a frozen quantised weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.errors import ConfigError
from finesight.kernels import ops
from finesight.kernels.formats import Format, format_of, pack, unpacked_rows
from finesight.model.quantised import Blocks

__all__ = ["PackedLinear"]

_FEW_BF16_ROWS = 32
"""Most rows for the kernel in bfloat16; with more, oneDNN is faster. The integer kernels are faster for any number."""


class PackedLinear(nn.Module):
    """A linear layer whose weight is packed.

    Args:
        weight: see `finesight.kernels.formats`.
        bias: [N], or None.
        in_features: K.
        out_features: N.

    Attributes:
        is_exact: whether states are not rounded to 8 bits; see the module's text.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, in_features: int, out_features: int
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.is_exact = False
        wide_bias = None if bias is None else bias.detach().float()
        # They are in no checkpoint, see `_save_to_state_dict`.
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", wide_bias, persistent=False)

    @classmethod
    def of(cls, linear: nn.Linear, name: Format) -> PackedLinear:
        """A layer's weight, rounded to a format."""
        return cls(
            ops.quantise(linear.weight.detach(), name),
            linear.bias,
            in_features=linear.in_features,
            out_features=linear.out_features,
        )

    @classmethod
    def of_codes(cls, linear: nn.Linear, blocks: Blocks) -> PackedLinear:
        """A layer whose weight is stored quantised, in the order of the kernels."""
        return cls(
            pack(*blocks),
            linear.bias,
            in_features=linear.in_features,
            out_features=linear.out_features,
        )

    def forward(self, states: Tensor) -> Tensor:
        """Map `[R, K]` to `[R, N]`, in the dtype of `states`, or in that of autocast."""
        return self.product(states, self.bias)

    def product(self, states: Tensor, bias: Tensor | None = None) -> Tensor:
        """`states @ weight.T + bias` for float32[N] or no bias; the gradient reaches `states` alone."""
        kind = states.device.type
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
            states = states.to(torch.get_autocast_dtype(kind))
        if states.requires_grad and torch.is_grad_enabled():
            product: Tensor = _FrozenProduct.apply(states, self, bias)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return product
        return self._computed(states, bias)

    def _computed(self, states: Tensor, bias: Tensor | None) -> Tensor:
        if self.is_exact or states.device.type != "cpu":
            parts = [
                functional.linear(states, values.to(states.dtype))
                for values in unpacked_rows(self.weight, self.out_features, self.in_features)
            ]
            out = torch.cat(parts, dim=1)
            return out if bias is None else out + bias.to(out.dtype)
        if format_of(self.weight) == "bf16" and states.shape[0] > _FEW_BF16_ROWS:
            low_bias = None if bias is None else bias.to(torch.bfloat16)
            out = functional.linear(states.to(torch.bfloat16), self.weight, low_bias)
            return out.to(states.dtype)
        return ops.linear(states, self.weight, bias, self.out_features)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedLinear:
        """Refuse other dtypes; torch calls this for every tensor of a module."""
        changed = fn(self.weight)
        if changed.dtype != self.weight.dtype:
            raise ConfigError(
                f"packed weights stay in their format, {self.weight.dtype}: they cannot become {changed.dtype}",
                hint="load the model again without packed weights",
            )
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if self.bias is not None:
            self.bias = self.bias.float()  # what the kernels read
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        raise ConfigError(
            f"{prefix}weight is packed, so these weights are no checkpoint",
            hint="save the model that the packed weights were made from",
        )

    def extra_repr(self) -> str:
        """Shape and format, for printing."""
        return f"{self.in_features}, {self.out_features}, {format_of(self.weight)}"


class _FrozenProduct(torch.autograd.Function):
    """A packed layer's product, differentiable in its input; no state is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, layer: PackedLinear, bias: Tensor | None) -> Tensor:
        ctx.layer = layer
        return layer._computed(states, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        layer: PackedLinear = ctx.layer
        return ops.linear_grad(grad, layer.weight, layer.in_features), None, None
