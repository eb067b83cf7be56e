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

`dequantise` computes weights in float32 and rounds them once, a slice of one layer at a time, so that the peak of
memory is that of the plain model and the stored tensors of one layer. `to_blocks` keeps the codes, for kernels that
multiply by blocks of 32 inputs.

Legend: K inputs, N outputs, G groups of inputs, B blocks of 32 inputs, c codes in a word.
Source: AutoAWQ `modules/linear/gemm.py`, `utils/packing_utils.py`; AutoGPTQ `qlinear_cuda_old.py`; transformers
`should_convert_module`. Parity: none, because transformers needs GPU kernels to load these files; tests compute the
formula independently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from finesight.config.quantisation import Quantisation
from finesight.errors import WeightsError
from finesight.model.shards import MappedFiles, StoredTensor, check_finite

if TYPE_CHECKING:
    from pathlib import Path

_WORD_BITS = 32

BLOCK = 32
"""Inputs of a block of `to_blocks`."""

_AWQ_COLUMNS = (0, 2, 4, 6, 1, 3, 5, 7)
"""Column of each code of a word, the lowest bits first."""

_INPUTS_AT_ONCE = 128
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


class Blocks(NamedTuple):
    """Codes of a layer in blocks of 32 inputs, the arguments of a packing of kernels.

    Attributes:
        codes: uint8[N, K].
        scales: float16[N, B].
        minima: float16[N, B], or None.
        format: a weight is `scale * code + minimum` in "int4_min", `scale * (code - 8)` in "int4", and
            `scale * (code - 128)` in "int8".
    """

    codes: Tensor
    scales: Tensor
    minima: Tensor | None
    format: Literal["int8", "int4", "int4_min"]


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
    for name, parts in _stored_parts(weights, device):
        values = dequantise(parts, weights[name].quantisation, dtype)
        check_finite(name, values, weights[name].path)
        yield name, values


def read_blocks(weights: Mapping[str, QuantisedWeight]) -> Iterator[tuple[str, Blocks]]:
    """Codes of weights in file order, see `to_blocks`; weights that are no blocks are left out.

    Raises:
        WeightsError: a group index is out of range, or a scale is not finite.
    """
    for name, parts in _stored_parts(weights, torch.device("cpu")):
        scales = weights[name].parts["scales"]
        check_finite(f"{name.removesuffix('weight')}scales", parts["scales"], scales.path)
        blocks = to_blocks(parts, weights[name].quantisation)
        if blocks is not None:
            yield name, blocks


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
    groups = _groups_of(parts, quantisation)
    weight = torch.empty(scales.shape[1], groups.numel(), dtype=dtype, device=scales.device)
    for inputs, codes in _code_slices(parts["qweight"], quantisation):
        of_input = groups[inputs]
        if bool((of_input == of_input[0]).all()):
            of_input = of_input[:1]  # broadcasts, without copies for each input
        values = (codes - zeros[of_input]) * scales[of_input]
        weight[:, inputs] = values.to(dtype).T.contiguous()  # 4 times as fast as a transposing copy
    return weight


def to_blocks(parts: Mapping[str, Tensor], quantisation: Quantisation) -> Blocks | None:
    """The codes of one layer with a scale and a minimum for each block of 32 inputs.

    The minimum `-zero point * scale` is rounded to half precision; codes and scales are exact. A weight then differs
    from the stored one by at most 2^-11 of its minimum (2^-25 if that is more), less than by rounding it to bfloat16.

    Args:
        parts: as in `dequantise`, with finite scales.
        quantisation: method, bits and groups.

    Returns:
        The blocks; None if they cannot be expressed: groups that are not whole blocks of successive inputs, 8 bits with
        a zero point other than 128, or scales outside half precision.
    """
    zeros, scales = zero_points(parts["qzeros"], quantisation), parts["scales"].half()
    groups = _groups_of(parts, quantisation)
    size = groups.numel() if quantisation.group_size == -1 else quantisation.group_size
    in_order = torch.arange(groups.numel(), device=groups.device) // size
    middle = 2 ** (quantisation.bits - 1)
    is_symmetric = bool((zeros == middle).all())
    minima = (zeros * -scales.float()).half()
    if (
        (size % BLOCK and size < groups.numel())
        or not torch.equal(groups, in_order)
        or not torch.equal(scales.float(), parts["scales"].float())
        or (quantisation.bits == 8 and not is_symmetric)
        or not bool(minima.isfinite().all())
    ):
        return None
    codes = torch.empty(scales.shape[1], groups.numel(), dtype=torch.uint8, device=scales.device)
    for some, values in _code_slices(parts["qweight"], quantisation):
        codes[:, some] = values.to(torch.uint8).T.contiguous()
    of_block = in_order[::BLOCK]
    by_block = scales[of_block].T.contiguous()
    if is_symmetric:
        return Blocks(codes, by_block, None, "int4" if quantisation.bits == 4 else "int8")
    return Blocks(codes, by_block, minima[of_block].T.contiguous(), "int4_min")


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


def _code_slices(qweight: Tensor, quantisation: Quantisation) -> Iterator[tuple[slice, Tensor]]:
    """Slices of inputs, and their codes int32[k, N]."""
    is_awq = quantisation.method == "awq"
    per_row = 1 if is_awq else _WORD_BITS // quantisation.bits  # inputs of a row of words
    start = 0
    for words in qweight.split(_INPUTS_AT_ONCE // per_row):
        codes = unpacked(words, quantisation, dim=1 if is_awq else 0)
        yield slice(start, start + len(codes)), codes
        start += len(codes)


def _groups_of(parts: Mapping[str, Tensor], quantisation: Quantisation) -> Tensor:
    """int64[K], the group of each input."""
    if "g_idx" in parts and bool(parts["g_idx"].any()):  # some files fill it with zeros instead
        return parts["g_idx"].long()
    is_awq = quantisation.method == "awq"
    inputs = len(parts["qweight"]) * (1 if is_awq else _WORD_BITS // quantisation.bits)
    size = inputs if quantisation.group_size == -1 else quantisation.group_size
    return torch.arange(inputs, device=parts["scales"].device) // size


def _stored_parts(
    weights: Mapping[str, QuantisedWeight], device: torch.device
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Name and stored tensors of each weight; their pages are released before the next weight."""
    files = MappedFiles()
    for name, weight in sorted(weights.items(), key=lambda one: _place(one[1])):
        parts = {part: files.view(entry).to(device) for part, entry in weight.parts.items()}
        _check_groups(name, parts, weight)
        yield name, parts
        for entry in weight.parts.values():
            files.release(entry)


def _check_groups(name: str, parts: Mapping[str, Tensor], weight: QuantisedWeight) -> None:
    """Raise `WeightsError` for group indices that no quantiser writes, or zero points other than those of `sym`."""
    layer, quantisation = name.removesuffix("weight"), weight.quantisation
    if quantisation.is_symmetric:
        _check_zero_points(layer, parts["qzeros"], weight)
    if "g_idx" not in parts or not (quantisation.desc_act or bool(parts["g_idx"].any())):
        return
    path = weight.parts["g_idx"].path
    low, high = (int(value) for value in parts["g_idx"].aminmax())
    groups, inputs = parts["scales"].shape[0], weight.shape[1]
    if low < 0 or high >= groups:
        raise WeightsError(
            f"tensor {layer}g_idx in {path} names groups {low} to {high}, the layer has {groups}",
            hint="the checkpoint is damaged: download it again",
        )
    sizes = torch.bincount(parts["g_idx"])
    most = inputs if quantisation.group_size == -1 else quantisation.group_size
    if int(sizes.max()) > most:
        raise WeightsError(
            f"tensor {layer}g_idx in {path} puts {int(sizes.max())} inputs into group {int(sizes.argmax())}, "
            f"groups have at most {most}",
            hint="the checkpoint is damaged, or group_size or desc_act in config.json is of another one",
        )


def _check_zero_points(layer: str, qzeros: Tensor, weight: QuantisedWeight) -> None:
    quantisation = weight.quantisation
    low, high = (int(value) for value in zero_points(qzeros, quantisation).aminmax())
    middle = 2 ** (quantisation.bits - 1)
    if (low, high) == (middle, middle):
        return
    layout, other = ("gptq", "gptq_v2") if quantisation.zero_offset else ("gptq_v2", "gptq")
    raise WeightsError(
        f"tensor {layer}qzeros in {weight.parts['qzeros'].path} has the zero points {low} to {high}, "
        f"expected {middle}, because config.json says that codes are symmetric (sym)",
        hint=f"checkpoint_format in config.json is {layout}: set it to {other} if the tensors have that layout, "
        "or sym to false",
    )


def _place(weight: QuantisedWeight) -> tuple[Path, int]:
    return weight.path, weight.parts["qweight"].start
