# SPDX-License-Identifier: Apache-2.0
"""Attention over packed rows: segments of different lengths side by side, no padded batch, no N x N mask.

`plan_segments` looks at the lengths once per forward; `attend` then runs in every layer without asking the device
anything. Three back ends compute the same thing:

- `sdpa`: segments of equal length are one batch. Rows whose equals are not neighbours are brought together by one
  gather; causal segments may share a batch with slightly longer ones, because what follows a causal row is not seen
  by it. A few calls serve hundreds of windows; the price is that gather where lengths are mixed.
- `varlen`: torch's variable-length flash kernel. CUDA in bfloat16 or float16 only.
- `reference`: one dense mask, any dtype. For tests; its memory is the square of the rows.

Legend: T query rows, U key rows, S segments, H query heads, K key-value heads, E head size, B segments of a batch.
Worked example: lengths [4, 2, 4] give the order [0..3, 6..9, 4, 5] and the batches (2 x 4), (1 x 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from finesight.errors import ConfigError, LayoutError

Backend = Literal["varlen", "sdpa", "reference"]

BACKENDS: tuple[Backend, ...] = ("varlen", "sdpa", "reference")

_MAX_WRITTEN_OUT = 512
"""Longest segments whose attention is written out when a CPU needs gradients; above it memory grows too fast."""

_MIN_ROW_BLOCKS = 512
"""Shortest segments whose attention is computed in blocks of rows on a CPU; below it a call costs too much."""

_ROW_BLOCK = 512
"""Rows of such a block: its scores against 6,000 keys stay in the cache."""

_MAX_CAUSAL_WASTE = 1.25
"""A causal batch may be this much longer than its shortest segment: fewer calls for a little more work."""


@dataclass(frozen=True, slots=True)
class LengthBatch:
    """Segments that stand one after the other, all of the same (padded) length."""

    start: int
    num_segments: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """Who attends to whom, prepared for one back end.

    Attributes:
        backend: the one that `attend` will run.
        cu_seqlens: int32[S+1], rows before each segment.
        max_seqlen: rows of the longest segment.
        causal: whether a row sees only itself and what precedes it in its segment.
        order: int64[R], rows brought together for the batches (R > T where segments are padded); None if in place.
        restore: int64[T], place of each row in that order.
        batches: what `sdpa` computes, over the rows in `order`.
    """

    backend: Backend
    cu_seqlens: Tensor
    max_seqlen: int
    causal: bool
    order: Tensor | None = None
    restore: Tensor | None = None
    batches: tuple[LengthBatch, ...] = ()


def check_backend(backend: str) -> Backend:
    """The back end of that name.

    Raises:
        ConfigError: there is none.
    """
    for known in BACKENDS:
        if backend == known:
            return known
    raise ConfigError(f"attention back end {backend!r}, expected one of {', '.join(BACKENDS)}")


def plan_segments(
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    causal: bool,
    backend: Backend,
    rows: Tensor | None = None,
) -> SegmentPlan:
    """Prepare the attention of one layout; reads the lengths on the host once.

    Args:
        cu_seqlens: int32[S+1], rows before each segment.
        max_seqlen: rows of the longest segment.
        causal: whether rows see only what precedes them.
        backend: who will compute.
        rows: int64[T], the row that stands at each place of the segments, where they are not in place already
            (`sdpa` only).
    """
    plan = SegmentPlan(backend=backend, cu_seqlens=cu_seqlens, max_seqlen=max_seqlen, causal=causal)
    if backend != "sdpa":
        if rows is not None:
            raise LayoutError(f"the {backend} back end needs its segments in place")
        return plan
    return _group_by_length(plan, rows)


def attend(q: Tensor, k: Tensor, v: Tensor, plan: SegmentPlan) -> Tensor:
    """Scaled dot-product attention inside each segment.

    Args:
        q: `[T, H, E]`.
        k: `[T, K, E]`; query head h uses key-value head h // (H / K).
        v: `[T, K, E]`.
        plan: the segments.

    Returns:
        `[T, H, E]`, in the dtype of `q`.
    """
    if plan.backend == "sdpa":
        return _attend_sdpa(q, k, v, plan)
    if plan.backend == "varlen":
        return _attend_varlen(q, k, v, plan)
    return _attend_reference(q, k, v, plan)


def _group_by_length(plan: SegmentPlan, rows: Tensor | None) -> SegmentPlan:
    """Sort the segments by length, longest first, and cut them into batches."""
    device = plan.cu_seqlens.device
    cu_seqlens = plan.cu_seqlens.cpu().long()
    lengths = cu_seqlens.diff()
    by_length = torch.argsort(lengths, descending=True, stable=True)
    padded, batches = _cut_batches(lengths[by_length].tolist(), causal=plan.causal)
    total, padded_total = int(cu_seqlens[-1]), sum(padded)
    in_order = bool((by_length.diff() > 0).all()) and total == padded_total
    if in_order and rows is None:
        return _with_batches(plan, batches, None, None)
    # order[p] = the row at place p. A padding place repeats its segment's last row: finite, and never read back.
    starts, counts = torch.tensor(padded).cumsum(0) - torch.tensor(padded), torch.tensor(padded)
    within = torch.arange(padded_total) - torch.repeat_interleave(starts, counts)
    last = torch.repeat_interleave(lengths[by_length] - 1, counts)
    order = torch.repeat_interleave(cu_seqlens[:-1][by_length], counts) + within.minimum(last)
    restore = torch.empty(total, dtype=torch.int64)
    real = within <= last
    places = torch.arange(padded_total)[real]
    if rows is not None:
        order = rows.cpu()[order]
    restore[order[real]] = places
    return _with_batches(plan, batches, order.to(device), restore.to(device))


def _with_batches(
    plan: SegmentPlan,
    batches: tuple[LengthBatch, ...],
    order: Tensor | None,
    restore: Tensor | None,
) -> SegmentPlan:
    return SegmentPlan(
        backend=plan.backend,
        cu_seqlens=plan.cu_seqlens,
        max_seqlen=plan.max_seqlen,
        causal=plan.causal,
        order=order,
        restore=restore,
        batches=batches,
    )


def _cut_batches(lengths: list[int], *, causal: bool) -> tuple[list[int], tuple[LengthBatch, ...]]:
    """Padded length of each segment (longest first) and the batches they form."""
    padded: list[int] = []
    batches: list[LengthBatch] = []
    start = first = 0
    while first < len(lengths):
        longest, count = lengths[first], 1
        shortest = longest / _MAX_CAUSAL_WASTE if causal else longest
        while first + count < len(lengths) and lengths[first + count] >= shortest:
            count += 1
        padded += [longest] * count
        batches.append(LengthBatch(start, count, longest))
        start, first = start + count * longest, first + count
    return padded, tuple(batches)


class _Gather(torch.autograd.Function):
    """Rows in another order. Its gradient is a gather too, where indexing would scatter and add."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(index, inverse)
        return states.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _, inverse = ctx.saved_tensors
        return grads[0].index_select(0, inverse), None, None


class _Ungather(torch.autograd.Function):
    """Undo `_Gather`; places that only filled a batch get a zero gradient."""

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


def _attend_sdpa(q: Tensor, k: Tensor, v: Tensor, plan: SegmentPlan) -> Tensor:
    if plan.order is not None:
        q, k, v = (_Gather.apply(states, plan.order, plan.restore) for states in (q, k, v))  # type: ignore[no-untyped-call]  # torch leaves Function.apply untyped
    parts = [_attend_batch(q, k, v, batch, plan.causal) for batch in plan.batches]
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    if plan.order is None:
        return out
    return _Ungather.apply(out, plan.order, plan.restore)  # type: ignore[no-untyped-call, no-any-return]  # as above


def _attend_batch(q: Tensor, k: Tensor, v: Tensor, batch: LengthBatch, causal: bool) -> Tensor:
    """Attention of equal segments: `[B * length, H, E]`."""
    count, length = batch.num_segments, batch.length

    def heads(states: Tensor) -> Tensor:  # [B * length, heads, E] -> [B, heads, length, E], no copy
        rows = states.narrow(0, batch.start, count * length)
        return rows.view(count, length, *rows.shape[1:]).transpose(1, 2)

    parts = heads(q), heads(k), heads(v)
    if q.device.type == "cpu" and q.requires_grad and length <= _MAX_WRITTEN_OUT:
        out = _attend_written_out(*parts, causal)
    elif _is_long_picture(q, length, causal):
        out = _attend_row_blocks(*parts)
    else:
        out = functional.scaled_dot_product_attention(
            *parts, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
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
            rows = q[segment, head] * size**-0.5
            keys, values = k[segment, head].contiguous().t(), v[segment, head].contiguous()
            for start in range(0, length, _ROW_BLOCK):
                block = slice(start, min(start + _ROW_BLOCK, length))
                filled = block.stop - start
                torch.mm(rows[block], keys, out=scores[:filled])
                torch.softmax(scores[:filled], -1, out=weights[:filled])
                torch.mm(weights[:filled], values, out=out[segment, head, block])
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


def _attend_varlen(q: Tensor, k: Tensor, v: Tensor, plan: SegmentPlan) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # CUDA only; keeps the CPU start fast

    out = varlen_attn(
        q,
        k,
        v,
        plan.cu_seqlens,
        plan.cu_seqlens,
        plan.max_seqlen,
        plan.max_seqlen,
        window_size=(-1, 0) if plan.causal else (-1, -1),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return out if isinstance(out, Tensor) else out[0]


def _attend_reference(q: Tensor, k: Tensor, v: Tensor, plan: SegmentPlan) -> Tensor:
    places = torch.arange(q.shape[0], device=q.device)
    segment = torch.searchsorted(plan.cu_seqlens.long(), places, right=True)
    allowed = segment.unsqueeze(1) == segment.unsqueeze(0)  # [T, T]
    if plan.causal:
        allowed &= places.unsqueeze(1) >= places.unsqueeze(0)
    return dense_attention(q, k, v, allowed)


def dense_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """Attention written out, for tests and odd dtypes.

    Args:
        q: `[T, H, E]`.
        k: `[U, K, E]`.
        v: `[U, K, E]`.
        allowed: bool[T, U], whether a query row sees a key row; each row must see at least one.

    Returns:
        `[T, H, E]`; the softmax is taken in float32 or wider.
    """
    group = q.shape[1] // k.shape[1]
    k, v = (states.repeat_interleave(group, dim=1) for states in (k, v))
    scores = torch.einsum("the,uhe->htu", q, k) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(~allowed, float("-inf"))
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return torch.einsum("htu,uhe->the", weights.to(v.dtype), v)
