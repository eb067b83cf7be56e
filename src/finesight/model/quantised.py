# SPDX-License-Identifier: Apache-2.0
"""Reads AWQ and GPTQ checkpoints: integer codes of linear layers become plain weights.

A weight is `(code - zero point) * scale`. Scale and zero point belong to a group of inputs and to one output. Codes are
packed into int32 words, and the two methods order them differently:

==========  ==========================  ============================
            AWQ (gemm)                  GPTQ
==========  ==========================  ============================
`qweight`   `[K, N / c]`                `[K / c, N]`
`qzeros`    `[G, N / c]`                `[G, N / c]`, less one in version 1
`scales`    `[G, N]`                    `[G, N]`
`g_idx`                                 `[K]`, group of each input
order       columns 0 2 4 6 1 3 5 7     ascending
==========  ==========================  ============================

Weights are computed in float32 and rounded once, a slice of one layer at a time, so that the peak of memory is that of
the plain model and one layer.

Legend: K inputs, N outputs, G groups of inputs, c codes in a word.
Source: AutoAWQ `modules/linear/gemm.py`, `utils/packing_utils.py`; AutoGPTQ `qlinear_cuda_old.py`; transformers
`should_convert_module`. Parity: none, because transformers needs GPU kernels to load these files; tests compute the
formula independently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from finesight.config.quantisation import Quantisation
from finesight.errors import WeightsError
from finesight.model.shards import MappedFiles, StoredTensor, check_finite

_WORD_BITS = 32

_AWQ_COLUMNS = (0, 2, 4, 6, 1, 3, 5, 7)
"""Column of each code of a word, the lowest bits first."""

_INPUTS_AT_ONCE = 256
"""Inputs that are dequantised together, a multiple of the codes in a word; bounds the temporaries."""


@dataclass(frozen=True, slots=True)
class QuantisedWeight:
    """The stored tensors of one quantised weight, by the endings of their names."""

    parts: Mapping[str, StoredTensor]
    quantisation: Quantisation

    @property
    def path(self) -> Path:
        """File of the codes."""
        return self.parts["qweight"].path

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, K)`, the shape of the weight."""
        rows, columns = self.parts["qweight"].shape
        per_word = _WORD_BITS // self.quantisation.bits
        if self.quantisation.method == "awq":
            return columns * per_word, rows
        return columns, rows * per_word

    def part_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape that each other part must have."""
        outputs, inputs = self.shape
        size = self.quantisation.group_size
        groups = 1 if size == -1 else -(-inputs // size)
        words = -(-outputs * self.quantisation.bits // _WORD_BITS)
        return {"qzeros": (groups, words), "scales": (groups, outputs), "g_idx": (inputs,)}


def read_quantised(
    weights: Mapping[str, QuantisedWeight], device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Dequantise weights in file order.

    Args:
        weights: by the names of the weights.
        device: of the results, and of the computation.
        dtype: of the results.

    Yields:
        Name and weight `[N, K]`.

    Raises:
        WeightsError: a group index is out of range, or a value is not finite.
    """
    files = MappedFiles()
    for name, weight in sorted(weights.items(), key=lambda one: _place(one[1])):
        parts = {part: files.view(entry).to(device) for part, entry in weight.parts.items()}
        _check_groups(name, parts, weight)
        values = dequantise(parts, weight.quantisation, dtype)
        check_finite(name, values, weight.path)
        yield name, values
        for entry in weight.parts.values():
            files.release(entry)


def dequantise(
    parts: Mapping[str, Tensor], quantisation: Quantisation, dtype: torch.dtype
) -> Tensor:
    """The weight of one layer.

    Args:
        parts: `qweight`, `qzeros`, `scales` and, where groups are in any order, `g_idx`; see above.
        quantisation: method, bits and groups.
        dtype: of the result, which is rounded once from float32.

    Returns:
        `[N, K]`, on the device of the parts.
    """
    zeros, scales = zero_points(parts["qzeros"], quantisation), parts["scales"].float()
    per_word = _WORD_BITS // quantisation.bits
    is_awq = quantisation.method == "awq"
    inputs = parts["qweight"].shape[0] * (1 if is_awq else per_word)
    groups = _groups_of(parts, inputs, quantisation)
    weight = torch.empty(scales.shape[1], inputs, dtype=dtype, device=scales.device)
    for start in range(0, inputs, _INPUTS_AT_ONCE):
        rows = slice(start, min(start + _INPUTS_AT_ONCE, inputs))
        words = parts["qweight"][
            rows if is_awq else slice(start // per_word, rows.stop // per_word)
        ]
        codes = unpacked(words, quantisation, dim=1 if is_awq else 0)
        weight[:, rows] = ((codes - zeros[groups[rows]]) * scales[groups[rows]]).T
    return weight


def zero_points(qzeros: Tensor, quantisation: Quantisation) -> Tensor:
    """int32[G, N], the zero points of int32[G, N / c]."""
    stored = unpacked(qzeros, quantisation, dim=1)
    # A zero point of 0 is stored as the largest code in version 1 of GPTQ.
    zeros: Tensor = (stored + quantisation.zero_offset) & (2**quantisation.bits - 1)
    return zeros


def unpacked(words: Tensor, quantisation: Quantisation, *, dim: int) -> Tensor:
    """The codes in int32 words, as int32; dimension `dim` grows by the number of codes in a word."""
    per_word = _WORD_BITS // quantisation.bits
    places = range(per_word)
    order = [_AWQ_COLUMNS.index(i) for i in places] if quantisation.method == "awq" else [*places]
    shifts = torch.tensor(order, dtype=torch.int32, device=words.device) * quantisation.bits
    shifts = shifts.view(-1, *[1] * (words.ndim - 1 - dim))
    codes: Tensor = (words.unsqueeze(dim + 1) >> shifts) & (2**quantisation.bits - 1)
    return codes.flatten(dim, dim + 1)


def _groups_of(parts: Mapping[str, Tensor], inputs: int, quantisation: Quantisation) -> Tensor:
    """int64[K], the group of each input."""
    if "g_idx" in parts:
        return parts["g_idx"].long()
    size = inputs if quantisation.group_size == -1 else quantisation.group_size
    return torch.arange(inputs, device=parts["scales"].device) // size


def _check_groups(name: str, parts: Mapping[str, Tensor], weight: QuantisedWeight) -> None:
    if "g_idx" not in parts:
        return
    low, high = (int(value) for value in parts["g_idx"].aminmax())
    groups = parts["scales"].shape[0]
    if low < 0 or high >= groups:
        raise WeightsError(
            f"tensor {name.removesuffix('weight')}g_idx in {weight.parts['g_idx'].path} names groups {low} to {high}, "
            f"the layer has {groups}",
            hint="the checkpoint is damaged: download it again",
        )


def _place(weight: QuantisedWeight) -> tuple[Path, int]:
    return weight.path, weight.parts["qweight"].start
