# SPDX-License-Identifier: Apache-2.0
"""Formats of packed weights, their packing, and how floats become codes.

`bf16` weights stay rows of columns, as a checkpoint stores them. The others store a code per weight and, for each group
of 32 columns, a half-precision scale: a weight is `scale * (code - offset) + minimum`. They are the block formats of
llama.cpp in another order: `int8` is Q8_0, `int4` is Q4_0 and `int4_min` is Q4_1, so their values stay exact.

The order suits vector registers: a tile has 16 rows; a group of a tile holds, for each quad of 4 columns, 4 codes of
each of its 16 rows, then the scales of the 16 rows, then their minima. Codes of 4 bits share bytes: the low half is
quad j, the high half quad j + 4. So a product reads one stream of memory and needs no sum across a register.

Legend: N rows (outputs), K columns (inputs), G groups of 32 columns, T tiles of 16 rows.
Source: the block formats as the `gguf` package defines them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from finesight.errors import WeightsError

Format = Literal["bf16", "int8", "int4", "int4_min"]

TILE_ROWS, GROUP, _QUAD = 16, 32, 4

FORMATS: tuple[Format, ...] = ("bf16", "int8", "int4", "int4_min")
"""In the order of their numbers in the C++ sources."""

_OFFSETS = {"int8": 128, "int4": 8, "int4_min": 0}

_GROUP_BYTES = {"int8": 544, "int4": 288, "int4_min": 320}
"""Bytes of a group of a tile: 512 or 256 of codes, 32 of scales, 32 of minima."""

ROWS_AT_ONCE = 2048
"""Rows that are quantised together; their float32 copies are the largest temporaries."""

VALUES_AT_ONCE = 2**20
"""Values that are unpacked at a time for a product: a few temporaries of 4 MiB, which fit a cache."""

_SHRINKS = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8)
"""Scales tried for 4 bits, relative to the one that reaches the largest weight; the C++ sources have the same."""


def format_of(weight: Tensor) -> Format:
    """The format of a packed weight, from its dtype and shape.

    Raises:
        WeightsError: it is none.
    """
    if weight.dtype == torch.bfloat16 and weight.ndim == 2:
        return "bf16"
    if weight.dtype == torch.uint8 and weight.ndim == 3:
        for name in FORMATS[1:]:
            if weight.shape[2] == _GROUP_BYTES[name]:
                return name
    raise WeightsError(
        f"a packed weight is bfloat16[N, K] or uint8[T, G, {' | '.join(map(str, _GROUP_BYTES.values()))}], "
        f"not {weight.dtype} of shape {tuple(weight.shape)}"
    )


def packed_shape(rows: int, columns: int, name: Format) -> tuple[int, ...]:
    """Shape of a packed weight of `rows` outputs and `columns` inputs."""
    if name == "bf16":
        return rows, columns
    return -(-rows // TILE_ROWS), -(-columns // GROUP), _GROUP_BYTES[name]


def quantise(weight: Tensor, name: Format) -> Tensor:
    """Pack a weight, rounded to a format.

    `ops.quantise` does the same in the compiled library.

    Args:
        weight: float[N, K].
        name: the format; `int4` chooses of several scales the one with the least squared error.

    Returns:
        `bfloat16[N, K]` or `uint8[T, G, bytes]`.
    """
    if name == "bf16":
        return weight.to(torch.bfloat16).contiguous()
    parts = []
    for rows in weight.split(ROWS_AT_ONCE):  # a multiple of the rows of a tile
        padded = functional.pad(rows.float(), (0, -rows.shape[1] % GROUP))
        codes, scales, minima = _ROUNDING[name](padded.unflatten(1, (-1, GROUP)))
        parts.append(pack(codes.flatten(1), scales, minima, name))
    return torch.cat(parts)


def pack(codes: Tensor, scales: Tensor, minima: Tensor | None, name: Format) -> Tensor:
    """Bring codes into the order of the kernels.

    Args:
        codes: uint8[N, K], unsigned: 0 to 255 or 0 to 15.
        scales: float16[N, G].
        minima: float16[N, G] for `int4_min`, else None.
        name: the format.

    Returns:
        `uint8[T, G, bytes]`; rows and columns of a partial tile or group are zero.
    """
    rows, columns = codes.shape
    missing_rows = -rows % TILE_ROWS
    codes = functional.pad(codes, (0, -columns % GROUP, 0, missing_rows))
    tiled = codes.view(-1, TILE_ROWS, codes.shape[1] // GROUP, GROUP // _QUAD, _QUAD)
    quads = tiled.permute(0, 2, 3, 1, 4)  # [T, G, quads, rows, 4]
    if name != "int8":
        half = quads.shape[2] // 2
        quads = quads[:, :, :half] | quads[:, :, half:] << 4
    parts = [quads.flatten(2)]
    for factors in (scales,) if minima is None else (scales, minima):
        padded = functional.pad(factors, (0, 0, 0, missing_rows))
        by_group = padded.view(-1, TILE_ROWS, padded.shape[1]).transpose(1, 2).contiguous()
        parts.append(by_group.view(torch.uint8))
    return torch.cat(parts, dim=2)


def unpack(weight: Tensor, rows: int, columns: int) -> Tensor:
    """float32[N, K], the values of a packed weight."""
    name = format_of(weight)
    if name == "bf16":
        return weight.float()
    num_tiles, num_groups, _ = weight.shape
    num_codes = TILE_ROWS * GROUP // (1 if name == "int8" else 2)
    factors = weight[:, :, num_codes:].contiguous().view(torch.float16).float()
    raw = weight[:, :, :num_codes].unflatten(2, (-1, TILE_ROWS, _QUAD))
    quads = raw if name == "int8" else torch.cat((raw & 15, raw >> 4), dim=2)
    codes = quads.permute(0, 3, 1, 2, 4).reshape(num_tiles, TILE_ROWS, num_groups, GROUP)
    by_row = factors.transpose(1, 2).unsqueeze(-1)  # [T, 16 or 32, G, 1]
    values = (codes.float() - _OFFSETS[name]) * by_row[:, :TILE_ROWS]
    if name == "int4_min":
        values += by_row[:, TILE_ROWS:]
    return values.reshape(num_tiles * TILE_ROWS, -1)[:rows, :columns]


def unpacked_rows(weight: Tensor, rows: int, columns: int) -> Iterator[Tensor]:
    """Some rows at a time of the values of a packed weight, float32[n, K]."""
    step = max(VALUES_AT_ONCE // columns // TILE_ROWS, 1) * TILE_ROWS
    unit = 1 if weight.ndim == 2 else TILE_ROWS
    for first in range(0, rows, step):
        count = min(step, rows - first)
        yield unpack(weight[first // unit : -(-(first + count) // unit)], count, columns)


def unpacked_columns(weight: Tensor, rows: int, columns: int) -> Iterator[tuple[slice, Tensor]]:
    """Slices of columns, and the values of a packed weight in them, float32[N, k]."""
    step = max(VALUES_AT_ONCE // rows // GROUP, 1) * GROUP
    unit = 1 if weight.ndim == 2 else GROUP
    for first in range(0, columns, step):
        count = min(step, columns - first)
        part = weight[:, first // unit : -(-(first + count) // unit)]
        yield slice(first, first + count), unpack(part, rows, count)


def _round_int8(groups: Tensor) -> tuple[Tensor, Tensor, None]:
    """Codes, scales and no minima of `[N, G, 32]`."""
    scales = (groups.abs().amax(-1) / 127).half()
    codes = _divided(groups, scales).round().clamp(-127, 127) + 128
    return codes.to(torch.uint8), scales, None


def _round_int4(groups: Tensor) -> tuple[Tensor, Tensor, None]:
    # The code -8 has no counterpart, so the weight of largest magnitude gets it, with the sign in the scale.
    largest = groups.gather(-1, groups.abs().argmax(-1, keepdim=True)).squeeze(-1)
    best_codes, best_scales = torch.zeros_like(groups), torch.zeros_like(largest).half()
    best_error = torch.full_like(largest, torch.inf)
    for shrink in _SHRINKS:
        scales = (largest * (shrink / -8)).half()
        codes = _divided(groups, scales).round().clamp(-8, 7)
        error = (codes * scales.unsqueeze(-1).float() - groups).square().sum(-1)
        is_better = error < best_error
        best_error = torch.where(is_better, error, best_error)
        best_codes = torch.where(is_better.unsqueeze(-1), codes, best_codes)
        best_scales = torch.where(is_better, scales, best_scales)
    return (best_codes + 8).to(torch.uint8), best_scales, None


def _round_int4_min(groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low = groups.amin(-1)
    scales, minima = ((groups.amax(-1) - low) / 15).half(), low.half()
    codes = _divided(groups - minima.unsqueeze(-1).float(), scales).round().clamp(0, 15)
    return codes.to(torch.uint8), scales, minima


def _divided(groups: Tensor, scales: Tensor) -> Tensor:
    """Values in units of their scale; 0 where the scale is 0."""
    wide = scales.float().unsqueeze(-1)
    return torch.where(wide == 0, 0.0, groups / wide)


_ROUNDING = {"int8": _round_int8, "int4": _round_int4, "int4_min": _round_int4_min}
