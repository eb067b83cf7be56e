# SPDX-License-Identifier: Apache-2.0
"""The kernels' results by torch's own operations.

Tests compare every kernel with them, and they run where the kernels cannot. They are written for clarity, not speed.

Legend: R rows, N outputs, K inputs, S query rows, H query heads, G key-value heads, E head size, C slots of a
block, B blocks.
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
