# SPDX-License-Identifier: Apache-2.0
"""The `sdpa` back end: torch's scaled dot-product attention, tuned for CPUs.

Packed segments of equal length are computed as one batch, so a few calls serve hundreds of windows. Segments of equal
length that are not neighbours are gathered first. Causal segments may share a batch with slightly longer ones, because
a causal row does not attend to the padding after it.

Legend: T query rows, U key rows, H query heads, K key-value heads, E head size, B segments of a batch, L their length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from finesight.attention_plan import AttentionPlan
from finesight.kernels.rows import attend_segments, attention_fits

_MAX_WRITTEN_OUT = 512
"""Longest segments for the explicit score matrix in CPU training; beyond, its memory grows too fast."""

_MIN_ROW_BLOCKS = 512
"""Shortest segments that are computed in blocks of rows on a CPU; for shorter ones the calls cost too much."""

_ROW_BLOCK = 512
"""Rows of such a block: its scores against 6,000 keys fit the CPU cache."""

_MASK_VALUES = 2**26
"""Most values of a mask over a sequence: 2,048 new tokens of 32,768, or 512 of 131,072; torch copies it to floats."""


def attend_by_length(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan) -> Tensor:
    """Attention inside each segment, batch by batch of equal lengths; shapes as in `attention.attend`."""
    if attention_fits(q, k, v):
        return attend_segments(q, k, v, plan.cu_seqlens_q, plan.cu_seqlens_k, causal=plan.causal)
    if plan.order is not None:
        q, k, v = (_Gather.apply(states, plan.order, plan.restore) for states in (q, k, v))  # type: ignore[no-untyped-call]  # torch leaves Function.apply untyped
    sizes = [count * length for count, length in plan.batches]
    rows = zip(q.split(sizes), k.split(sizes), v.split(sizes), strict=True)
    parts = [
        _attend_batch(queries, keys, values, length, plan.causal)
        for (queries, keys, values), (_, length) in zip(rows, plan.batches, strict=True)
    ]
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    if plan.order is None:
        return out
    return _Ungather.apply(out, plan.order, plan.restore)  # type: ignore[no-untyped-call, no-any-return]  # as above


def attend_sequence(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The new tokens of one sequence over all its keys; `q` is aligned with the end of `k`.

    Args:
        q: `[T, H, E]`.
        k: `[U, K, E]`, of any float dtype.
        v: `[U, K, E]`.

    Returns:
        `[T, H, E]`.
    """
    num_new, total = q.shape[0], k.shape[0]
    if num_new > 1 and attention_fits(q, k, v):
        starts = (torch.tensor([0, rows], dtype=torch.int32) for rows in (num_new, total))
        return attend_segments(q, k, v, *starts, causal=True)
    queries, keys, values = (states.transpose(0, 1).unsqueeze(0) for states in (q, k, v))
    if num_new == 1:  # fold the query heads of a group into the rows, so that keys are read once
        queries = q.unflatten(1, (k.shape[1], -1))  # [1, K, H / K, E]
        out = functional.scaled_dot_product_attention(queries.to(k.dtype), keys, values)
        return out.flatten(1, 2).to(q.dtype)
    most_rows = max(_MASK_VALUES // total, 1)
    if num_new < total and num_new > most_rows:
        ends = range(total - num_new + most_rows, total + most_rows, most_rows)
        parts = zip(q.split(most_rows), ends, strict=True)
        return torch.cat([attend_sequence(rows, k[:end], v[:end]) for rows, end in parts])
    allowed = causal_mask(num_new, total, q.device) if num_new < total else None
    out = functional.scaled_dot_product_attention(
        queries.to(k.dtype),
        keys,
        values,
        attn_mask=allowed,
        is_causal=allowed is None,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return out.squeeze(0).transpose(0, 1).to(q.dtype)


def causal_mask(num_new: int, total: int, device: torch.device) -> Tensor:
    """bool[T, U], True where one of the last `num_new` of `total` tokens attends to itself or an earlier token."""
    ends = torch.arange(total - num_new, total, device=device)
    return torch.arange(total, device=device) <= ends.unsqueeze(1)


class _Gather(torch.autograd.Function):
    """Gather of rows whose gradient is a gather too, where indexing would use a slower scatter-add."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(index, inverse)
        return states.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _, inverse = ctx.saved_tensors
        return grads[0].index_select(0, inverse), None, None


class _Ungather(torch.autograd.Function):
    """Inverse of `_Gather`; padding rows get a zero gradient."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.num_places = states.shape[0]
        return states.index_select(0, inverse)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        grad = grads[0].new_zeros((ctx.num_places, *grads[0].shape[1:]))
        return grad.index_copy_(0, inverse, grads[0]), None, None


def _attend_batch(q: Tensor, k: Tensor, v: Tensor, length: int, causal: bool) -> Tensor:
    """Attention of segments of equal length: `[B * L, H, E]`."""
    # [B * L, heads, E] -> [B, heads, L, E], no copy
    q, k, v = (states.unflatten(0, (-1, length)).transpose(1, 2) for states in (q, k, v))
    if q.device.type == "cpu" and q.requires_grad and length <= _MAX_WRITTEN_OUT:
        out = _attend_written_out(q, k, v, causal)
    elif _is_long_picture(q, length, causal):
        out = _attend_row_blocks(q, k, v)
    else:
        out = functional.scaled_dot_product_attention(
            q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
        )
    return out.transpose(1, 2).flatten(0, 1)


def _is_long_picture(q: Tensor, length: int, causal: bool) -> bool:
    """Whether this is a large frame pair, encoded in half precision on a CPU."""
    half = q.dtype in (torch.bfloat16, torch.float16)
    return (
        half
        and not causal
        and q.device.type == "cpu"
        and length >= _MIN_ROW_BLOCKS
        and not q.requires_grad
    )


def _attend_row_blocks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention head by head and block by block, `[B, H, L, E]` each, into `[B, H, L, E]` of memory order B, L, H, E.

    The fused CPU kernel multiplies at a third of what oneDNN's half-precision product does; this is 1.6 times as
    fast. Scores are rounded to half precision; in a tower of 8 blocks with sharpened attention that moved the error
    of the visual tokens against float32 from 6.66 % to 6.69 % (transformers, with float32 scores: 7.85 %).
    """
    count, num_heads, length, size = q.shape
    out = q.new_empty((count, length, num_heads, size)).transpose(1, 2)
    scores = q.new_empty((_ROW_BLOCK, length))
    weights = torch.empty_like(scores)
    for segment in range(count):
        for head in range(num_heads):
            rows = (q[segment, head] * size**-0.5).split(_ROW_BLOCK)
            keys, values = k[segment, head].contiguous().t(), v[segment, head].contiguous()
            for block, result in zip(rows, out[segment, head].split(_ROW_BLOCK), strict=True):
                filled, shares = scores[: len(block)], weights[: len(block)]
                torch.mm(block, keys, out=filled)
                torch.softmax(filled, -1, out=shares)
                torch.mm(shares, values, out=result)
    return out


def _attend_written_out(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Attention as two batched products, `[B, H, L, E]`.

    For training on a CPU: the fused kernel's backward pass is 3 to 15 times slower than this in bfloat16 at the
    lengths of windows and short samples (25 batches of 64 rows, one thread: 20.6 ms against 2.7 ms).
    """
    group = q.shape[1] // k.shape[1]
    if group > 1:
        k, v = (states.repeat_interleave(group, dim=1) for states in (k, v))
    # Autocast would take the softmax to float32 and back; its sums are kept in float32 inside the kernel anyway.
    with torch.autocast(q.device.type, enabled=False):
        scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
        if causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu_(1)
            scores = scores.masked_fill(future, float("-inf"))
        return torch.matmul(scores.softmax(-1), v)
