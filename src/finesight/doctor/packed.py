# SPDX-License-Identifier: Apache-2.0
"""Check packed weights on this machine: products of some layers against those with the unpacked weights.

The checksum and the shapes are checked when the folder is opened. Here the first, the middle and the last layer and the
output head multiply random rows, by the kernels that answers use.

Legend: R rows, K inputs, N outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from finesight.kernels.formats import TILE_ROWS, Format, format_of, unpack
from finesight.model.packed_linear import PackedLinear
from finesight.model.vl import VisionLanguageModel

_ROWS = 4

_MOST_OUTPUTS = 4096
"""Outputs that are compared, a multiple of the rows of a tile; bounds the memory of the output head's values."""

TOLERANCE: dict[Format, float] = {"bf16": 0.01, "int8": 0.02, "int4": 0.02, "int4_min": 0.02}
"""Largest relative difference explained by the rounding of activations: bfloat16, or 8 bits in groups of 32."""


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """Comparison of one packed layer.

    Attributes:
        name: of the layer.
        format: of its weight.
        difference: norm of the difference over the norm of the exact product; NaN if a scale is not finite.
        tolerance: largest difference that counts as equal.
    """

    name: str
    format: Format
    difference: float
    tolerance: float

    @property
    def is_right(self) -> bool:
        """Whether the difference is explained by rounding."""
        return self.difference <= self.tolerance


@torch.inference_mode()
def check_packed(network: VisionLanguageModel) -> Iterator[LayerCheck]:
    """Compare layers of a packed model with their unpacked weights."""
    last = network.config.text.num_hidden_layers - 1
    prefixes = tuple(f"model.layers.{index}." for index in {0, last // 2, last})
    generator = torch.Generator().manual_seed(0)
    for name, layer in network.named_modules():
        if isinstance(layer, PackedLinear) and name.startswith((*prefixes, "lm_head.")):
            states = torch.randn(_ROWS, layer.in_features, generator=generator)
            yield _check_layer(name, layer, states)


def _check_layer(name: str, layer: PackedLinear, states: torch.Tensor) -> LayerCheck:
    kind = format_of(layer.weight)
    count = min(layer.out_features, _MOST_OUTPUTS)
    some = layer.weight[: count if kind == "bf16" else -(-count // TILE_ROWS)]
    exact = states @ unpack(some, count, layer.in_features).T
    if layer.bias is not None:
        exact += layer.bias[:count]
    found = layer(states)[:, :count]
    difference = float((found - exact).norm() / exact.norm().clamp(min=1e-12))
    return LayerCheck(name, kind, difference, TOLERANCE[kind])
