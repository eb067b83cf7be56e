# SPDX-License-Identifier: Apache-2.0
"""The kernels' results by torch's own operations.

Tests compare every kernel with them, and they run where the kernels cannot. They are written for clarity, not speed.

Legend: R rows, N outputs, K inputs, D width, F inner width, S query rows, H query heads, G key-value heads, E head
size, C slots of a block, B blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from finesight.kernels.formats import GROUP, format_of, unpack


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    """`x @ weight.T + bias`, `[R, N]`, with activations rounded as the kernel rounds them.

    Args:
        x: `[R, K]`.
        weight: packed, in any format.
        bias: float32[N].
        rows: N.
    """
    values = unpack(weight, rows, x.shape[1])
    rounded = x.to(torch.bfloat16).float() if format_of(weight) == "bf16" else _quantised(x.float())
    out: Tensor = functional.linear(rounded, values, bias)
    return out.to(x.dtype)


def _quantised(x: Tensor) -> Tensor:
    """Float32 activations rounded to 8 bits in groups of 32 columns."""
    groups = functional.pad(x, (0, -x.shape[1] % GROUP)).unflatten(1, (-1, GROUP))
    scales = groups.abs().amax(-1, keepdim=True) / 127
    codes = torch.where(scales == 0, 0.0, groups / scales).round()
    rounded: Tensor = (codes * scales).flatten(1)
    return rounded[:, : x.shape[1]]


def decode_attention(
    q: Tensor, keys: Tensor, values: Tensor, block_table: Tensor, lengths: Tensor
) -> Tensor:
    """Attention of query rows over a paged KV cache, in float32.

    Args:
        q: `[S, H, E]`.
        keys: `[num_blocks, C, G, E]`.
        values: `[num_blocks, C, G, E]`.
        block_table: int32[S, B], blocks of each row's sequence.
        lengths: int32[S], keys that each row attends to; a row with none is zero.

    Returns:
        `[S, H, E]`, in the dtype of `q`.
    """
    size, out = keys.shape[1], torch.zeros_like(q)
    for row, length in enumerate(lengths.tolist()):
        if length == 0:
            continue
        used = block_table[row, : -(-length // size)].long()
        k, v = (blocks[used].flatten(0, 1)[:length].float() for blocks in (keys, values))
        queries = q[row].float().unflatten(0, (k.shape[1], -1))  # [G, H / G, E]
        scores = torch.einsum("kge,uke->kgu", queries, k) * q.shape[-1] ** -0.5
        out[row] = torch.einsum("kgu,uke->kge", scores.softmax(-1), v).flatten(0, 1).to(q.dtype)
    return out


def rms_norm(states: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Each row divided by its root mean square, `[R, D]`, in the dtype of `states`; computed in float32.

    Args:
        states: `[R, D]`.
        weight: `[D]`, factors of the columns.
        eps: added to the mean square.
    """
    wide = states.float()
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (wide * scale * weight).to(states.dtype)


def add_rms_norm_(states: Tensor, update: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Add `update` to `states` in place and return `rms_norm` of the sum; all are `[R, D]`."""
    return rms_norm(states.add_(update), weight, eps)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Heads rotated by the angles of their rows, `[R, H, E]`, in the dtype of `x`; computed in float32.

    Args:
        x: `[R, H, E]`.
        cos: float32[R, 1, E].
        sin: float32[R, 1, E], the first half negated.
    """
    wide = x.float()
    swapped = wide.roll(wide.shape[-1] // 2, dims=-1)
    return torch.addcmul(wide * cos, swapped, sin).to(x.dtype)


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
    """Rotated queries, `[R, H, E]`; rotated keys, and values, go to their slots of a paged KV cache.

    Args:
        q: `[R, H, E]`.
        k: `[R, G, E]`.
        v: `[R, G, E]`.
        cos: float32[R, 1, E].
        sin: float32[R, 1, E], the first half negated.
        keys: `[num_blocks, C, G, E]`, written.
        values: `[num_blocks, C, G, E]`, written.
        slots: int[R], block * C + offset.
    """
    for cached, rows in ((keys, rotary(k, cos, sin)), (values, v)):
        cached.flatten(0, 1).index_copy_(0, slots.long(), rows.to(cached.dtype))
    return rotary(q, cos, sin)


def swiglu(gate: Tensor, up: Tensor | None) -> Tensor:
    """`silu(gate) * up`, `[R, F]`, in the dtype of `gate`; computed in float32.

    Args:
        gate: `[R, F]`; without `up` `[R, 2 F]`, both side by side.
        up: `[R, F]`.
    """
    if up is None:
        gate, up = gate.chunk(2, dim=-1)
    product: Tensor = functional.silu(gate.float()) * up.float()
    return product.to(gate.dtype)
