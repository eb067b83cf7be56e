# SPDX-License-Identifier: Apache-2.0
"""GPU kernels in Triton: norm, rotary positions, SwiGLU and decode attention over a paged KV cache.

`triton_ops` launches them and is the only module that imports this one, because the import needs Triton. Each computes
what the function of the same name in `twins` computes. Sums and products are in float32; results are rounded once, when
they are stored.

Triton takes names in capitals as constants and compiles a version for each of their values. Blocks have a power of two
as their size, so `..._BLOCK` is the next one and a mask leaves out the rest.

Legend: S rows, H query heads, G key-value heads, E head size, C slots of a block, P parts that share the keys of a row.
Source: FlashAttention-2 (arXiv 2307.08691) and flash-decoding for the parts.
"""

import triton
import triton.language as tl

_LOG2_E = tl.constexpr(1.4426950408889634)
"""`exp2` is the exponential that the hardware has."""


@triton.jit
def rms_norm(
    states, update, weight, out, eps, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ADDS: tl.constexpr
):
    """Normalise a row; with `ADDS`, after `update` was added to it in place. One program per row."""
    row = tl.program_id(0).to(tl.int64) * WIDTH
    columns = tl.arange(0, BLOCK)
    is_real = columns < WIDTH
    x = tl.load(states + row + columns, mask=is_real, other=0.0)
    if ADDS:
        added = tl.load(update + row + columns, mask=is_real, other=0.0)
        x = (x.to(tl.float32) + added.to(tl.float32)).to(states.dtype.element_ty)
        tl.store(states + row + columns, x, mask=is_real)
    wide = x.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, 0) / WIDTH + eps)
    factors = tl.load(weight + columns, mask=is_real, other=0.0).to(tl.float32)
    tl.store(out + row + columns, (wide * scale * factors).to(out.dtype.element_ty), mask=is_real)


@triton.jit
def _rotated(x, cos, sin, dims, is_real, SIZE: tl.constexpr):
    """float32[E], a head after its rotation; `sin` has its first half negated."""
    swapped = (dims + SIZE // 2) % SIZE
    wide = tl.load(x + dims, mask=is_real, other=0.0).to(tl.float32)
    other = tl.load(x + swapped, mask=is_real, other=0.0).to(tl.float32)
    factor = tl.load(cos + dims, mask=is_real, other=0.0)
    return wide * factor + other * tl.load(sin + dims, mask=is_real, other=0.0)


@triton.jit
def rotary(x, cos, sin, out, row_stride, head_stride, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    """Rotate one head of a row. Programs: rows, heads."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    dims = tl.arange(0, BLOCK)
    is_real = dims < SIZE
    source = x + row * row_stride + head * head_stride
    turned = _rotated(source, cos + row * SIZE, sin + row * SIZE, dims, is_real, SIZE)
    target = out + (row * tl.num_programs(1) + head) * SIZE
    tl.store(target + dims, turned.to(out.dtype.element_ty), mask=is_real)


@triton.jit
def rotary_store(
    q,
    k,
    v,
    cos,
    sin,
    out,
    keys,
    values,
    slots,
    q_stride,
    k_stride,
    v_stride,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Rotate a query head, rotate a key head into its slot, or copy a value head there. Programs: rows, H + 2 G."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    dims = tl.arange(0, BLOCK)
    is_real = dims < SIZE
    cos += row * SIZE
    sin += row * SIZE
    slot = tl.load(slots + row).to(tl.int64) * KV_HEADS
    if head < HEADS:
        turned = _rotated(q + row * q_stride + head * SIZE, cos, sin, dims, is_real, SIZE)
        places = (row * HEADS + head) * SIZE + dims
        tl.store(out + places, turned.to(out.dtype.element_ty), mask=is_real)
    elif head < HEADS + KV_HEADS:
        own = head - HEADS
        turned = _rotated(k + row * k_stride + own * SIZE, cos, sin, dims, is_real, SIZE)
        places = (slot + own) * SIZE + dims
        tl.store(keys + places, turned.to(keys.dtype.element_ty), mask=is_real)
    else:
        own = head - HEADS - KV_HEADS
        copied = tl.load(v + row * v_stride + own * SIZE + dims, mask=is_real, other=0.0)
        places = (slot + own) * SIZE + dims
        tl.store(values + places, copied.to(tl.float32).to(values.dtype.element_ty), mask=is_real)


@triton.jit
def swiglu(gate, up, out, gate_stride, up_stride, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """`silu(gate) * up`. Programs: rows, blocks of columns."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_real = columns < WIDTH
    wide = tl.load(gate + row * gate_stride + columns, mask=is_real, other=0.0).to(tl.float32)
    factor = tl.load(up + row * up_stride + columns, mask=is_real, other=0.0).to(tl.float32)
    product = wide / (1.0 + tl.exp(-wide)) * factor
    tl.store(out + row * WIDTH + columns, product.to(out.dtype.element_ty), mask=is_real)


@triton.jit
def _attend_tile(queries, k, v, is_key, running, scale):
    """Take the keys and values of a tile into the softmax `running`: largest score, sum, weighted values."""
    largest, total, found = running
    k, v = k.to(queries.dtype), v.to(queries.dtype)
    scores = tl.dot(queries, tl.trans(k), input_precision="ieee") * (scale * _LOG2_E)
    scores = tl.where(is_key[None, :], scores, float("-inf"))
    new_largest = tl.maximum(largest, tl.max(scores, 1))
    weights = tl.exp2(scores - new_largest[:, None])
    shrink = tl.exp2(largest - new_largest)
    total = total * shrink + tl.sum(weights, 1)
    found = found * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
    return new_largest, total, found


@triton.jit
def attend_part(
    q,
    keys,
    values,
    block_table,
    lengths,
    out,
    weighted,
    log_sums,
    scale,
    q_stride,
    table_stride,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    SIZE_BLOCK: tl.constexpr,
    GROUP_BLOCK: tl.constexpr,
    SLOTS: tl.constexpr,
    TILE: tl.constexpr,
    PARTS: tl.constexpr,
    WIDENS: tl.constexpr,
):
    """Attention of a row's query heads that share a key-value head, over one part of the keys. Programs: rows, G, P.

    A single part writes `out`; several write `weighted`, float32[S, H, P, E], and `log_sums`, float32[S, H, P], for
    `join_parts`. `WIDENS` multiplies in float32: for such a cache, and in Triton's interpreter, which has no products
    in bfloat16.
    """
    GROUP: tl.constexpr = HEADS // KV_HEADS
    row, kv_head, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    start, stop = _part_of(tl.load(lengths + row), part, TILE, PARTS)
    members, dims = tl.arange(0, GROUP_BLOCK), tl.arange(0, SIZE_BLOCK)
    is_query = (members < GROUP)[:, None] & (dims < SIZE)[None, :]
    heads = row * HEADS + kv_head * GROUP + members
    own = row * q_stride + (kv_head * GROUP + members[:, None]) * SIZE + dims[None, :]
    queries = tl.load(q + own, mask=is_query, other=0.0)
    queries = queries.to(tl.float32) if WIDENS else queries.to(keys.dtype.element_ty)
    largest = tl.full([GROUP_BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([GROUP_BLOCK], tl.float32)
    found = tl.zeros([GROUP_BLOCK, SIZE_BLOCK], tl.float32)
    for first in range(start, stop, TILE):
        tokens = first + tl.arange(0, TILE)
        is_key = tokens < stop
        slots = _slots_of(block_table + row * table_stride, tokens, is_key, SLOTS)
        places = (slots[:, None] * KV_HEADS + kv_head) * SIZE + dims[None, :]
        is_known = is_key[:, None] & (dims < SIZE)[None, :]
        k = tl.load(keys + places, mask=is_known, other=0.0)
        v = tl.load(values + places, mask=is_known, other=0.0)
        running = (largest, total, found)
        largest, total, found = _attend_tile(queries, k, v, is_key, running, scale)
    divisor = tl.where(total > 0, total, 1.0)
    if PARTS == 1:
        target = out + heads[:, None] * SIZE + dims[None, :]
        tl.store(target, (found / divisor[:, None]).to(out.dtype.element_ty), mask=is_query)
    else:
        target = weighted + (heads[:, None] * PARTS + part) * SIZE + dims[None, :]
        tl.store(target, found / divisor[:, None], mask=is_query)
        log_sum = tl.where(total > 0, largest + tl.log2(divisor), float("-inf"))
        tl.store(log_sums + heads * PARTS + part, log_sum, mask=members < GROUP)


@triton.jit
def _slots_of(blocks, tokens, is_key, SLOTS: tl.constexpr):
    """int64, the slots of tokens of a sequence."""
    block = tl.load(blocks + tokens // SLOTS, mask=is_key, other=0)
    return block.to(tl.int64) * SLOTS + tokens % SLOTS


@triton.jit
def _part_of(length, part, TILE: tl.constexpr, PARTS: tl.constexpr):
    """The first key of a part and the one after its last; parts are whole tiles, so the last ones may be empty."""
    part_length = tl.cdiv(tl.cdiv(length, PARTS), TILE) * TILE
    start = part * part_length
    return start, tl.minimum(start + part_length, length)


@triton.jit
def join_parts(
    weighted, log_sums, out, SIZE: tl.constexpr, SIZE_BLOCK: tl.constexpr, PARTS: tl.constexpr
):
    """Sum of the parts of a head, weighted by their sums of exponentials; `PARTS` is a power of two. Programs: S, H."""
    row = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    parts, dims = tl.arange(0, PARTS), tl.arange(0, SIZE_BLOCK)
    is_dim = dims < SIZE
    sums = tl.load(log_sums + row * PARTS + parts)
    largest = tl.max(sums, 0)
    shares = tl.exp2(sums - tl.where(largest == float("-inf"), 0.0, largest))
    total = tl.sum(shares, 0)
    places = (row * PARTS + parts[:, None]) * SIZE + dims[None, :]
    values = tl.load(weighted + places, mask=is_dim[None, :], other=0.0)
    found = tl.sum(values * shares[:, None], 0) / tl.where(total > 0, total, 1.0)
    tl.store(out + row * SIZE + dims, found.to(out.dtype.element_ty), mask=is_dim)
