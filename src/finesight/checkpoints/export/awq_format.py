# SPDX-License-Identifier: Apache-2.0
"""The layout of AWQ (gemm): codes of 4 bits, a scale and a zero point for each group of inputs.

`finesight.model.quantised` reads it and has a table of the tensors; vLLM and transformers read it, too.

Legend: N outputs, K inputs, G groups of inputs.
Source: AutoAWQ `modules/linear/gemm.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

BITS = 4

_LARGEST_CODE = 2**BITS - 1

_COLUMNS = (0, 2, 4, 6, 1, 3, 5, 7)
"""Column of each code of a word, the lowest bits first."""


class Codes(NamedTuple):
    """A quantised weight: `(codes - zeros) * scales`.

    Attributes:
        codes: uint8[N, K].
        scales: float16[N, G].
        zeros: uint8[N, G].
    """

    codes: Tensor
    scales: Tensor
    zeros: Tensor

    def values(self) -> Tensor:
        """float32[N, K]."""
        groups = self.codes.unflatten(1, (self.scales.shape[1], -1)).float()
        values: Tensor = (groups - self.zeros.unsqueeze(-1)) * self.scales.float().unsqueeze(-1)
        return values.flatten(1)

    def stored(self) -> dict[str, Tensor]:
        """The tensors of the layer, by the endings of their names."""
        return {
            "qweight": _packed(self.codes.T),
            "qzeros": _packed(self.zeros.T),
            "scales": self.scales.T.contiguous(),
        }


def quantised(weight: Tensor, group_size: int, shrink: Tensor | float = 1.0) -> Codes:
    """Round a weight to nearest.

    Args:
        weight: float32[N, K].
        group_size: inputs that share a scale, a divisor of K.
        shrink: factor of the range that codes cover, one or float32[N, G]; weights outside are clipped.
    """
    groups = weight.unflatten(1, (-1, group_size))
    low, high = (
        (edge * shrink) for edge in (groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0))
    )
    scales = ((high - low) / _LARGEST_CODE).clamp(min=1e-5).half()
    wide = scales.float()
    zeros = (-low / wide).round().clamp(0, _LARGEST_CODE)
    codes = (groups / wide.unsqueeze(-1)).round() + zeros.unsqueeze(-1)
    return Codes(
        codes.clamp(0, _LARGEST_CODE).flatten(1).to(torch.uint8), scales, zeros.to(torch.uint8)
    )


def quantization_config(group_size: int) -> dict[str, Any]:
    """The `quantization_config` of a `config.json`."""
    return {
        "quant_method": "awq",
        "version": "gemm",
        "bits": BITS,
        "group_size": group_size,
        "zero_point": True,
        "modules_to_not_convert": ["visual"],
    }


def _packed(codes: Tensor) -> Tensor:
    """int32[rows, columns / 8] of uint8[rows, columns]."""
    words = codes.unflatten(1, (-1, len(_COLUMNS)))[:, :, list(_COLUMNS)].long()
    shifts = torch.arange(len(_COLUMNS)) * BITS
    joined = (words << shifts).sum(-1)
    return torch.where(joined >= 2**31, joined - 2**32, joined).to(torch.int32)
