# SPDX-License-Identifier: Apache-2.0
"""Packed weights: linear layers in the formats of the CPU kernels.

A decoding step multiplies one row per sequence, so its speed is that of reading the weights; fewer bits per weight read
faster. A prompt of many rows uses oneDNN in bfloat16; integers use the kernels for it too. By default only the language
model is packed: the vision tower is limited by arithmetic, and loses accuracy first.

Packed layers compute on the CPU and without gradients.

Legend: R rows, K inputs, N outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.errors import ConfigError
from finesight.kernels import ops
from finesight.kernels.formats import Format, format_of, quantise
from finesight.model.fused import FusedDecoder
from finesight.model.head import OutputHead
from finesight.model.lora import LoRALinear
from finesight.model.vl import VisionLanguageModel

Weights = Literal["bf16", "int8", "int4"]

_FEW_BF16_ROWS = 32
"""Most rows for the kernel in bfloat16; with more, oneDNN is faster. The integer kernels are faster for any number."""


class PackedLinear(nn.Module):
    """A linear layer whose weight is packed.

    Args:
        weight: see `finesight.kernels.formats`.
        bias: [N], or None.
        in_features: K.
        out_features: N.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, in_features: int, out_features: int
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("weight", weight)
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    @classmethod
    def of(cls, linear: nn.Linear, weights: Format) -> PackedLinear:
        """A layer's weight, rounded to a format."""
        return cls(
            quantise(linear.weight.detach(), weights),
            linear.bias,
            in_features=linear.in_features,
            out_features=linear.out_features,
        )

    def forward(self, states: Tensor) -> Tensor:
        """Map `[R, K]` to `[R, N]`, in the dtype of `states`.

        Raises:
            ConfigError: a gradient is wanted, or `states` is not on the CPU.
        """
        if states.requires_grad and torch.is_grad_enabled():
            raise ConfigError(
                "packed weights have no gradients",
                hint="train with the weights they were made from",
            )
        if states.device.type != "cpu":
            raise ConfigError(
                f"packed weights compute on the CPU, the states are on {states.device}"
            )
        if format_of(self.weight) == "bf16" and states.shape[0] > _FEW_BF16_ROWS:
            bias = None if self.bias is None else self.bias.to(torch.bfloat16)
            out = functional.linear(states.to(torch.bfloat16), self.weight, bias)
            return out.to(states.dtype)
        return ops.linear(states, self.weight, self.bias, self.out_features)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedLinear:
        """Refuse other devices and dtypes; torch calls this for every tensor of a module."""
        changed = fn(self.weight)
        if changed is not self.weight:
            raise ConfigError(
                f"packed weights stay on the CPU and in their format, they cannot become "
                f"{changed.dtype} on {changed.device}",
                hint="load the model again without packed weights",
            )
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        raise ConfigError(
            f"{prefix}weight is packed, so these weights are no checkpoint",
            hint="save the model that the packed weights were made from",
        )

    def extra_repr(self) -> str:
        """Shape and format, for printing."""
        return f"{self.in_features}, {self.out_features}, {format_of(self.weight)}"


class PackedHead(OutputHead):
    """An output head with a packed weight.

    Args:
        head: the head; a tied embedding is left as it is.
        packed: its weight.
    """

    def __init__(self, head: OutputHead, packed: PackedLinear) -> None:
        nn.Module.__init__(self)
        self._tied_to = (
            (head.weight_owner,) if isinstance(head.weight_owner, nn.Embedding) else None
        )
        self.packed = packed

    def forward(self, rows: Tensor) -> Tensor:
        """Logits `[R, V]` of hidden states `[R, D]`, in their dtype."""
        return self.packed(rows)  # type: ignore[no-any-return]  # nn.Module call

    def _vocabulary(self) -> Tensor:
        if self._tied_to is not None:
            return self._tied_to[0].weight
        raise ConfigError(
            "the output head is packed, its weight has no values to train or compare with",
            hint="load the model again without packed weights",
        )


def pack_weights(model: VisionLanguageModel, weights: Weights, *, vision: bool = False) -> None:
    """Replace the linear layers of the language model by packed ones, in place.

    Each weight is released as soon as it is packed. The token embedding and the norms stay as they are.

    Args:
        model: on the CPU, without adapters.
        weights: "bf16" rounds only weights of a higher precision; "int8" and "int4" round to 8 and 4 bits in
            groups of 32 columns.
        vision: also pack the vision tower.

    Raises:
        ConfigError: an unknown format, a model on another device, with adapters, or packed already.
    """
    _check(model, weights)
    with torch.inference_mode(False), torch.no_grad():
        for part in (model.model, model.visual) if vision else (model.model,):
            _replace_linears(part, weights)
        model.lm_head = PackedHead(model.lm_head, _packed_head(model.lm_head, weights))
    model.model.fused = FusedDecoder(model.model.layers, model.model.norm, model.config.text)


def is_packed(model: VisionLanguageModel) -> bool:
    """Whether the language model has packed weights."""
    return isinstance(model.lm_head, PackedHead)


def _check(model: VisionLanguageModel, weights: str) -> None:
    if weights not in get_args(Weights):
        raise ConfigError(f"weights is {weights!r}, expected one of {', '.join(get_args(Weights))}")
    if model.device.type != "cpu":
        raise ConfigError(
            f"weights can be packed on the CPU, the model is on {model.device}",
            hint='load it with device="cpu"',
        )
    if is_packed(model):
        raise ConfigError("the weights are packed already", hint="load the model again")
    adapted = next((name for name, one in model.named_modules() if isinstance(one, LoRALinear)), "")
    if adapted:
        raise ConfigError(
            f"{adapted} has an adapter, which cannot be packed", hint="merge adapters first"
        )


def _replace_linears(module: nn.Module, weights: Weights) -> None:
    for name, linear in list(module.named_modules()):
        if isinstance(linear, nn.Linear):
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, PackedLinear.of(linear, weights))


def _packed_head(head: OutputHead, weights: Weights) -> PackedLinear:
    values = head._vocabulary().detach()
    return PackedLinear(
        quantise(values, weights), None, in_features=values.shape[1], out_features=values.shape[0]
    )
