# SPDX-License-Identifier: Apache-2.0
"""Launches the Triton kernels; `ops` registers these functions for tensors on CUDA.

Without Triton the same functions run by torch (`twins`), and a note states the reason once. Triton is imported when a
tensor on CUDA needs it.

Legend: T and S rows, D width, F inner width, H query heads, G key-value heads, E head size, C slots of a block.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, wraps
from types import ModuleType
from typing import ParamSpec

import torch
from torch import Tensor

from finesight.kernels import twins

P = ParamSpec("P")

_COLUMNS = 1024
"""Columns of a row that one program of `swiglu` computes."""

_TILE = 64
"""Keys that a program of the attention reads at a time."""

_MOST_PARTS = 64

_PROGRAMS_PER_PROCESSOR = 2
"""Programs of the attention on each multiprocessor that are aimed at, when the keys of a row are divided."""

_LEAST_GROUP = 16
"""Fewest rows of a product on a tensor core."""


@cache
def kernels() -> ModuleType | None:
    """The module of the kernels, or None, with a warning that states the reason, if there is no Triton."""
    try:
        from finesight.kernels import triton_kernels
    except ImportError as error:
        warnings.warn(
            f"fused GPU operations and CUDA graphs need Triton, and without it decoding is slower: {error} "
            "(install triton)",
            stacklevel=2,
        )
        return None
    return triton_kernels


def _on_its_device(launch: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """The same with the device of the first tensor as the current one, on which Triton starts kernels."""

    @wraps(launch)
    def launched(*args: P.args, **options: P.kwargs) -> Tensor:
        first = args[0]
        assert isinstance(first, Tensor)
        if first.device.type != "cuda":
            return launch(*args, **options)
        with torch.cuda.device(first.device):
            return launch(*args, **options)

    return launched


@_on_its_device
def rms_norm(states: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As `twins.rms_norm`."""
    found = kernels()
    if found is None:
        return twins.rms_norm(states, weight, eps)
    return _normalised(found, states.contiguous(), None, weight, eps)


@_on_its_device
def add_rms_norm_(states: Tensor, update: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As `twins.add_rms_norm_`; `states` must be contiguous."""
    found = kernels()
    if found is None:
        return twins.add_rms_norm_(states, update, weight, eps)
    return _normalised(found, states, update.contiguous(), weight, eps)


def _normalised(
    found: ModuleType, states: Tensor, update: Tensor | None, weight: Tensor, eps: float
) -> Tensor:
    out, width = torch.empty_like(states), states.shape[-1]
    block = _power_of_two(width)
    if states.numel():
        found.rms_norm[(states.numel() // width,)](
            states,
            states if update is None else update,
            weight,
            out,
            eps,
            WIDTH=width,
            BLOCK=block,
            ADDS=update is not None,
            num_warps=min(max(block // 512, 1), 16),
        )
    return out


@_on_its_device
def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """As `twins.rotary`."""
    found = kernels()
    if found is None:
        return twins.rotary(x, cos, sin)
    x = x if x.stride(-1) == 1 else x.contiguous()
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if x.numel():
        found.rotary[tuple(x.shape[:2])](
            x,
            cos.contiguous(),
            sin.contiguous(),
            out,
            x.stride(0),
            x.stride(1),
            SIZE=x.shape[2],
            BLOCK=_power_of_two(x.shape[2]),
            num_warps=1,
        )
    return out


@_on_its_device
def rotary_store(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Tensor,
    sin: Tensor,
    *,
    keys: Tensor,
    values: Tensor,
    slots: Tensor,
) -> Tensor:
    """As `twins.rotary_store`; `keys` and `values` must be contiguous."""
    found = kernels()
    if found is None:
        return twins.rotary_store(q, k, v, cos, sin, keys=keys, values=values, slots=slots)
    q, k, v = (x if _has_whole_rows(x) else x.contiguous() for x in (q, k, v))
    num_rows, heads, size = q.shape
    kv_heads = k.shape[1]
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    if num_rows:
        found.rotary_store[(num_rows, heads + 2 * kv_heads)](
            q,
            k,
            v,
            cos.contiguous(),
            sin.contiguous(),
            out,
            keys,
            values,
            slots,
            q.stride(0),
            k.stride(0),
            v.stride(0),
            HEADS=heads,
            KV_HEADS=kv_heads,
            SIZE=size,
            BLOCK=_power_of_two(size),
            num_warps=1,
        )
    return out


@_on_its_device
def swiglu(gate: Tensor, up: Tensor | None) -> Tensor:
    """As `twins.swiglu`."""
    found = kernels()
    if found is None:
        return twins.swiglu(gate, up)
    if up is None:
        gate, up = gate.chunk(2, dim=-1)
    gate, up = (x if x.stride(-1) == 1 else x.contiguous() for x in (gate, up))
    num_rows, width = gate.shape
    out = torch.empty(gate.shape, dtype=gate.dtype, device=gate.device)
    if out.numel():
        block = min(_power_of_two(width), _COLUMNS)
        found.swiglu[(num_rows, -(-width // block))](
            gate,
            up,
            out,
            gate.stride(0),
            up.stride(0),
            WIDTH=width,
            BLOCK=block,
            num_warps=4,
        )
    return out


@_on_its_device
def decode_attention(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    block_table: Tensor,
    lengths: Tensor,
    *,
    parts: int | None = None,
    widens: bool | None = None,
) -> Tensor:
    """As `twins.decode_attention`; lengths and blocks are not checked, since reading them would wait for the device.

    Args:
        q: `[S, H, E]`.
        keys: `[num_blocks, C, G, E]`, contiguous.
        values: `[num_blocks, C, G, E]`, contiguous.
        block_table: int32[S, B].
        lengths: int32[S].
        parts: programs that share the keys of a row, a power of two; None chooses by the size of the device.
        widens: whether products are in float32; None does so for a cache in float32.
    """
    found = kernels()
    if found is None:
        return twins.decode_attention(q, keys, values, block_table, lengths)
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    if not q.numel():
        return out
    q = q if _has_whole_rows(q) else q.contiguous()
    (num_rows, heads, size), (_, slots, kv_heads, _) = q.shape, keys.shape
    if parts is None:
        parts = _num_parts(num_rows * kv_heads, block_table.shape[1] * slots, q.device)
    weighted, log_sums = out, out  # a single part does not use them
    if parts > 1:
        weighted = torch.empty((num_rows, heads, parts, size), device=q.device)
        log_sums = torch.empty((num_rows, heads, parts), device=q.device)
    constants = {"HEADS": heads, "KV_HEADS": kv_heads, "SIZE": size, "SLOTS": slots, "TILE": _TILE}
    found.attend_part[(num_rows, kv_heads, parts)](
        *(q, keys, values, block_table, lengths, out, weighted, log_sums),
        *(size**-0.5, q.stride(0), block_table.stride(0)),
        **constants,
        SIZE_BLOCK=max(_power_of_two(size), _LEAST_GROUP),
        GROUP_BLOCK=max(_power_of_two(heads // kv_heads), _LEAST_GROUP),
        PARTS=parts,
        WIDENS=keys.dtype == torch.float32 if widens is None else widens,
        num_warps=4,
        num_stages=2,
    )
    if parts > 1:
        block = _power_of_two(size)
        found.join_parts[(num_rows, heads)](
            weighted, log_sums, out, SIZE=size, SIZE_BLOCK=block, PARTS=parts, num_warps=4
        )
    return out


def _num_parts(num_groups: int, num_keys: int, device: torch.device) -> int:
    """Programs that share the keys of a row, a power of two: enough to fill the device, each with a tile at least."""
    wanted = -(-_PROGRAMS_PER_PROCESSOR * _num_processors(device) // num_groups)
    most = min(_MOST_PARTS, -(-num_keys // _TILE))
    return _power_of_two(max(min(wanted, most), 1))


@cache
def _num_processors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def _has_whole_rows(x: Tensor) -> bool:
    """Whether the heads of a row `[H, E]` are contiguous; the rows may be parts of longer ones."""
    return x.stride(2) == 1 and x.stride(1) == x.shape[2]


def _power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number."""
    return 1 << (number - 1).bit_length()
