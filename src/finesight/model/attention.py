# SPDX-License-Identifier: Apache-2.0
"""Attention over packed rows and over a paged KV cache, under one plan and with three back ends.

Segments of different lengths are packed: there is no padded batch and no N x N mask. The plan is made on the host, so
no layer synchronises with the device. The back end is chosen when the model is built:

- `varlen`: torch's variable-length flash kernel. CUDA in bfloat16 or float16 only.
- `sdpa`: segments of equal length as one batch, see `attention_cpu`. Any device.
- `reference`: one dense mask, any dtype. For tests; its memory is the square of the rows.

Legend: T query rows, U key rows, H query heads, K key-value heads, E head size, C slots of a block.
"""

from __future__ import annotations

from functools import cache
from inspect import signature
from typing import Any, Literal

import torch
from torch import Tensor

from finesight.attention_plan import AttentionPlan
from finesight.errors import ConfigError, LayoutError
from finesight.model.attention_cpu import attend_by_length, attend_sequence, causal_mask
from finesight.model.cache import Int8Blocks

Backend = Literal["varlen", "sdpa", "reference"]

BACKENDS: tuple[Backend, ...] = ("varlen", "sdpa", "reference")

VARLEN_BLOCK_MULTIPLE = 256
"""The flash kernel needs a block size of paged keys that is a multiple of this."""


def check_backend(backend: str) -> Backend:
    """The attention back end of a name.

    Raises:
        ConfigError: there is none of this name.
    """
    for known in BACKENDS:
        if backend == known:
            return known
    raise ConfigError(f"attention back end {backend!r}, expected one of {', '.join(BACKENDS)}")


def attend(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, backend: Backend) -> Tensor:
    """Scaled dot-product attention inside each segment.

    Args:
        q: `[T, H, E]`.
        k: `[T, K, E]`; query head h uses key-value head h // (H / K).
        v: `[T, K, E]`.
        plan: the segments.
        backend: the implementation.

    Returns:
        `[T, H, E]`, in the dtype of `q`.
    """
    if plan.spread is not None:
        assert plan.kept is not None
        q, k, v = (states.index_select(0, plan.spread) for states in (q, k, v))
        return _attend_segments(q, k, v, plan, backend).index_select(0, plan.kept)
    return _attend_segments(q, k, v, plan, backend)


def _attend_segments(
    q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, backend: Backend
) -> Tensor:
    """Attention of segments without common rows."""
    if backend == "varlen":
        return _attend_varlen(q, k, v, plan)
    if backend == "sdpa":
        return attend_by_length(q, k, v, plan)
    return _attend_reference(q, k, v, plan)


def attend_paged(
    q: Tensor,
    keys: Tensor | Int8Blocks,
    values: Tensor | Int8Blocks,
    plan: AttentionPlan,
    backend: Backend,
) -> Tensor:
    """Attention of new tokens over all tokens of their sequences in a paged KV cache.

    Args:
        q: `[T, H, E]`, new tokens; their keys and values are already in the cache.
        keys: `[num_blocks, C, K, E]`.
        values: `[num_blocks, C, K, E]`.
        plan: the sequences and their blocks.
        backend: the implementation; `varlen` takes no int8.

    Returns:
        `[T, H, E]`; a token attends to itself and the earlier tokens of its sequence. Other slots, including the free
        ones of its last block, have no influence.
    """
    if backend == "varlen":
        if isinstance(keys, Int8Blocks) or isinstance(values, Int8Blocks):
            raise LayoutError(
                "the varlen back end takes no KV cache in int8", hint='use attention="sdpa"'
            )
        return _attend_varlen_paged(q, keys, values, plan)
    parts = []
    for index, rows in enumerate(q.split(plan.query_lengths)):
        k, v = (_known_rows(blocks, plan, index, q.dtype) for blocks in (keys, values))
        if backend == "sdpa":
            parts.append(attend_sequence(rows, k, v))
        else:
            allowed = causal_mask(rows.shape[0], k.shape[0], q.device)
            parts.append(dense_attention(rows, k.to(q.dtype), v.to(q.dtype), allowed))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _known_rows(
    blocks: Tensor | Int8Blocks, plan: AttentionPlan, index: int, dtype: torch.dtype
) -> Tensor:
    """`[U, K, E]` of one sequence; rows in int8 become `dtype`."""
    if isinstance(blocks, Tensor):
        return _rows_of_sequence(blocks, plan, index)
    values, scales = (
        _rows_of_sequence(each, plan, index) for each in (blocks.values, blocks.scales)
    )
    return (values * scales.unsqueeze(-1)).to(dtype)


def _rows_of_sequence(blocks: Tensor, plan: AttentionPlan, index: int) -> Tensor:
    """`[U, ...]` of one sequence: a view if its blocks are contiguous, otherwise gathered."""
    total, first = plan.key_lengths[index], plan.first_slots[index]
    if first >= 0:
        return blocks.flatten(0, 1)[first : first + total]
    assert plan.block_table is not None
    num_blocks = -(-total // blocks.shape[1])
    return blocks.index_select(0, plan.block_table[index, :num_blocks]).flatten(0, 1)[:total]


def _attend_varlen(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, **paged: Any) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # CUDA only; keeps the CPU start fast

    if "enable_gqa" in _varlen_options():
        paged["enable_gqa"] = q.shape[-2] != k.shape[-2]
    out = varlen_attn(
        q,
        k,
        v,
        plan.cu_seqlens_q,
        plan.cu_seqlens_k,
        plan.max_seqlen_q,
        plan.max_seqlen_k,
        window_size=(-1, 0) if plan.causal else (-1, -1),
        **paged,
    )
    return out if isinstance(out, Tensor) else out[0]


@cache
def _varlen_options() -> frozenset[str]:
    """Names of the kernel's arguments: torch 2.11 may lack those for grouped heads and block tables."""
    from torch.nn.attention import varlen

    return frozenset(signature(varlen.varlen_attn).parameters)


def _attend_varlen_paged(q: Tensor, keys: Tensor, values: Tensor, plan: AttentionPlan) -> Tensor:
    if len(plan.key_lengths) == 1 and plan.first_slots[0] >= 0:
        k, v = (_rows_of_sequence(blocks, plan, 0) for blocks in (keys, values))
        return _attend_varlen(q, k, v, plan)
    if "block_table" not in _varlen_options():
        k, v = (
            torch.cat([_rows_of_sequence(blocks, plan, i) for i in range(len(plan.key_lengths))])
            for blocks in (keys, values)
        )
        return _attend_varlen(q, k, v, plan)
    if keys.shape[1] % VARLEN_BLOCK_MULTIPLE:
        raise LayoutError(
            f"the KV cache has blocks of {keys.shape[1]} slots, the varlen back end takes multiples of "
            f"{VARLEN_BLOCK_MULTIPLE}",
            hint=f"make the cache with a block_size of {VARLEN_BLOCK_MULTIPLE}",
        )
    return _attend_varlen(
        q, keys, values, plan, seqused_k=plan.seqused_k, block_table=plan.block_table
    )


def _attend_reference(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan) -> Tensor:
    places = torch.arange(q.shape[0], device=q.device)
    segment = torch.searchsorted(plan.cu_seqlens_q.long(), places, right=True)
    allowed = segment.unsqueeze(1) == segment.unsqueeze(0)  # [T, T]
    if plan.causal:
        allowed &= places.unsqueeze(1) >= places.unsqueeze(0)
    return dense_attention(q, k, v, allowed)


def dense_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Attention with an explicit score matrix, for tests and uncommon dtypes.

    Args:
        q: `[T, H, E]`.
        k: `[U, K, E]`.
        v: `[U, K, E]`.
        allowed: bool[T, U], whether a query row attends to a key row; each row needs at least one.

    Returns:
        `[T, H, E]`; the softmax is taken in float32 or wider.
    """
    group = q.shape[1] // k.shape[1]
    k, v = (states.repeat_interleave(group, dim=1) for states in (k, v))
    scores = torch.einsum("the,uhe->htu", q, k) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(~allowed, float("-inf"))
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return torch.einsum("htu,uhe->the", weights.to(v.dtype), v)
