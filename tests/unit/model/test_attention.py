# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight import attention_plan
from finesight.attention_plan import AttentionPlan
from finesight.errors import ConfigError, LayoutError
from finesight.model import attention, attention_cpu
from finesight.model.attention import attend, attend_paged, check_backend
from finesight.model.attention_cpu import attend_sequence, causal_mask

LENGTHS = [[5], [4, 2, 4], [1, 1, 1], [9, 3, 3, 7, 8, 3], [64, 48, 64, 36]]


def plan(lengths, *, causal):
    return AttentionPlan.from_lengths(lengths, causal=causal)


def draw_qkv(rows, heads=4, kv_heads=2, size=8, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(count):
        return torch.randn(rows, count, size, generator=generator, dtype=torch.float64).to(dtype)

    return draw(heads), draw(kv_heads), draw(kv_heads)


def by_hand(q, k, v, lengths, causal):
    """One segment after the other, one query after the other."""
    group = q.shape[1] // k.shape[1]
    out, start = torch.zeros_like(q), 0
    for length in lengths:
        for row in range(start, start + length):
            last = row + 1 if causal else start + length
            for head in range(q.shape[1]):
                keys, values = k[start:last, head // group], v[start:last, head // group]
                weights = (keys @ q[row, head] / q.shape[-1] ** 0.5).softmax(0)
                out[row, head] = weights @ values
        start += length
    return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS[:4])
def test_both_cpu_back_ends_do_what_the_definition_says(lengths, causal):
    q, k, v = draw_qkv(sum(lengths))
    expected = by_hand(q, k, v, lengths, causal)
    for backend in ("sdpa", "reference"):
        out = attend(q, k, v, plan(lengths, causal=causal), backend)
        torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradients_of_the_back_ends_agree(lengths, causal):
    grads = []
    for backend in ("sdpa", "reference"):
        inputs = [part.requires_grad_() for part in draw_qkv(sum(lengths))]
        out = attend(*inputs, plan(lengths, causal=causal), backend)
        weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
        (out * weight).sum().backward()
        grads.append([part.grad for part in inputs])
    torch.testing.assert_close(grads[0], grads[1], atol=1e-12, rtol=0)


def test_long_segments_with_gradients_use_the_fused_kernel_and_agree():
    length = attention_cpu._MAX_WRITTEN_OUT + 1
    grads = []
    for backend in ("sdpa", "reference"):
        inputs = [part.requires_grad_() for part in draw_qkv(length)]
        attend(*inputs, plan([length], causal=True), backend).square().sum().backward()
        grads.append([part.grad for part in inputs])
    torch.testing.assert_close(grads[0], grads[1], atol=1e-12, rtol=0)


def test_half_precision_pictures_in_blocks_of_rows():
    """Longer than a block, not a multiple of it; two segments; a gather around it."""
    lengths = [700, 600, 700]
    q, k, v = draw_qkv(sum(lengths), kv_heads=4, dtype=torch.bfloat16)
    ours = attend(q, k, v, plan(lengths, causal=False), "sdpa")
    truth = attend(q.double(), k.double(), v.double(), plan(lengths, causal=False), "reference")
    assert ours.dtype == torch.bfloat16
    error = (ours.double() - truth).square().mean().sqrt() / truth.square().mean().sqrt()
    assert error < 0.01


def test_equal_neighbours_are_one_batch_and_nothing_moves():
    made = plan([4, 4, 4, 2, 2], causal=False)
    assert made.order is None
    assert made.batches == ((3, 4), (2, 2))


def test_the_worked_example_of_the_module():
    made = plan([4, 2, 4], causal=False)
    assert made.order.tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 4, 5]
    assert made.batches == ((2, 4), (1, 2))


def test_causal_segments_of_similar_length_share_a_batch():
    made = plan([10, 9, 8, 7], causal=True)
    assert made.batches == ((3, 10), (1, 7))
    assert len(made.order) == 37
    assert made.order[made.restore].tolist() == list(range(34))


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    causal=st.booleans(),
)
def test_every_plan_covers_every_row_once(lengths, causal):
    made = plan(lengths, causal=causal)
    places = sum(count * length for count, length in made.batches)
    if made.order is None:
        assert places == sum(lengths)
        return
    assert len(made.order) == places
    assert made.order[made.restore].tolist() == list(range(sum(lengths)))
    assert places <= attention_plan._MAX_CAUSAL_WASTE * sum(lengths)


def store_of(keys, values, blocks, block_size):
    """A KV cache full of NaN but for the keys and values of each sequence in its blocks."""
    num_blocks = 1 + max(max(owned) for owned in blocks)
    stores = []
    for parts in (keys, values):
        store = torch.full((num_blocks, block_size, *parts[0].shape[1:]), float("nan"))
        store = store.to(parts[0])
        for rows, owned in zip(parts, blocks, strict=True):
            for token, row in enumerate(rows):
                store[owned[token // block_size], token % block_size] = row
        stores.append(store)
    return stores


BLOCKS = {
    "one block each": (16, [[2], [0], [1]]),
    "blocks that follow each other": (4, [[4, 5, 6], [0, 1], [7, 8, 9, 10]]),
    "scattered blocks": (3, [[9, 2, 7, 0], [4, 1], [3, 8, 12, 5, 6]]),
}


@pytest.mark.parametrize("backend", ["sdpa", "reference"])
@pytest.mark.parametrize("where", BLOCKS)
def test_new_tokens_over_paged_keys_are_the_last_rows_of_the_whole_sequence(where, backend):
    """A decode step, a whole prompt and a later piece of a prompt in one call."""
    block_size, blocks = BLOCKS[where]
    totals, new = [11, 5, 13], [1, 5, 4]
    whole = [draw_qkv(total, seed=seed) for seed, total in enumerate(totals)]
    keys, values = store_of([k for _, k, _ in whole], [v for _, _, v in whole], blocks, block_size)
    made = AttentionPlan.paged(new, totals, blocks, block_size)
    q = torch.cat([rows[-count:] for (rows, _, _), count in zip(whole, new, strict=True)])
    out = attend_paged(q, keys, values, made, backend)
    expected = [by_hand(*parts, [total], True) for parts, total in zip(whole, totals, strict=True)]
    expected = torch.cat([rows[-count:] for rows, count in zip(expected, new, strict=True)])
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)


def test_a_single_sequence_in_one_block_is_read_in_place(monkeypatch):
    q, k, v = draw_qkv(9)
    keys, values = store_of([k], [v], [[1]], 16)
    seen = []
    monkeypatch.setattr(
        "finesight.model.attention.attend_sequence", lambda *parts: seen.append(parts) or parts[0]
    )
    attend_paged(q[-1:], keys, values, AttentionPlan.paged([1], [9], [[1]], 16), "sdpa")
    assert seen[0][1].data_ptr() == keys[1].data_ptr()
    assert seen[0][2].data_ptr() == values[1].data_ptr()


@pytest.mark.parametrize("new", [1, 3, 4, 10, 37])
def test_the_mask_of_a_long_sequence_is_made_for_some_rows_at_a_time(monkeypatch, new):
    q, k, v = draw_qkv(37)
    expected = attend_sequence(q[-new:], k, v)
    monkeypatch.setattr("finesight.model.attention_cpu._MASK_VALUES", 3 * 37 + 5)
    shapes = []
    mask = causal_mask
    monkeypatch.setattr(
        "finesight.model.attention_cpu.causal_mask",
        lambda *sides: (shapes.append(sides[:2]), mask(*sides))[1],
    )
    found = attend_sequence(q[-new:], k, v)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert all(rows * total <= 3 * 37 + 5 for rows, total in shapes)
    assert sum(rows for rows, _ in shapes) in (0, new, new - 1)  # a lone row needs no mask


def test_blocks_that_the_varlen_kernel_does_not_take_are_named():
    made = AttentionPlan.paged([1, 1], [3, 4], [[0], [1]], 16)
    store = torch.zeros(2, 16, 2, 8)
    with pytest.raises(LayoutError, match=r"blocks of 16 slots.*multiples of 256"):
        attend_paged(torch.zeros(2, 4, 8), store, store, made, "varlen")


def test_an_unknown_back_end_is_named():
    with pytest.raises(ConfigError, match=r"'flash'.*varlen, sdpa, reference"):
        check_backend("flash")


def test_an_older_varlen_kernel_gets_packed_keys(monkeypatch):
    """It knows neither grouped heads nor block tables."""
    from torch.nn.attention import varlen

    def older(q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, *, window_size=(-1, -1)):
        assert window_size == (-1, 0)
        parts = []
        for index in range(len(cu_seq_q) - 1):
            rows = q[cu_seq_q[index] : cu_seq_q[index + 1]]
            own = slice(cu_seq_k[index], cu_seq_k[index + 1])
            allowed = attention_cpu.causal_mask(len(rows), len(k[own]), q.device)
            parts.append(attention.dense_attention(rows, k[own], v[own], allowed))
        return torch.cat(parts)

    monkeypatch.setattr(varlen, "varlen_attn", older)
    attention._varlen_options.cache_clear()
    try:
        whole = [draw_qkv(total, seed=total) for total in (9, 4, 7)]
        blocks = [[2, 0, 5], [4], [1, 3]]
        keys, values = store_of([k for _, k, _ in whole], [v for _, _, v in whole], blocks, 4)
        made = AttentionPlan.paged([1, 4, 3], [9, 4, 7], blocks, 4)
        q = torch.cat([rows[-n:] for (rows, _, _), n in zip(whole, (1, 4, 3), strict=True)])
        found, expected = (
            attend_paged(q, keys, values, made, backend) for backend in ("varlen", "reference")
        )
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
        packed = draw_qkv(8)
        found, expected = (
            attend(*packed, plan([3, 5], causal=True), backend) for backend in ("varlen", "sdpa")
        )
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    finally:
        attention._varlen_options.cache_clear()


@pytest.mark.gpu
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_varlen_agrees_with_the_reference(lengths, causal):
    parts = [part.cuda() for part in draw_qkv(sum(lengths), size=64, dtype=torch.bfloat16)]
    made = plan(lengths, causal=causal).to("cuda")
    grads = []
    for backend in ("varlen", "reference"):
        inputs = [part.clone().requires_grad_() for part in parts]
        out = attend(*inputs, made, backend)
        out.float().square().sum().backward()
        grads.append([out, *(part.grad for part in inputs)])
    torch.testing.assert_close(grads[0], grads[1], atol=3e-2, rtol=3e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("blocks", [[[3]], [[2, 0], [4], [1, 3]]])
def test_varlen_over_paged_keys_agrees_with_the_reference(blocks):
    """One sequence read in place, and several in scattered blocks: a decode step, a prompt, a piece of a prompt."""
    totals, new = [400, 200, 300][: len(blocks)], [1, 200, 40][: len(blocks)]
    whole = [
        draw_qkv(total, size=64, dtype=torch.bfloat16, seed=seed)
        for seed, total in enumerate(totals)
    ]
    block_size = 512 if len(blocks) == 1 else 256
    keys, values = store_of([k for _, k, _ in whole], [v for _, _, v in whole], blocks, block_size)
    made = AttentionPlan.paged(new, totals, blocks, block_size).to("cuda")
    q = torch.cat([rows[-count:] for (rows, _, _), count in zip(whole, new, strict=True)])
    found, expected = (
        attend_paged(q.cuda(), keys.cuda(), values.cuda(), made, backend)
        for backend in ("varlen", "reference")
    )
    torch.testing.assert_close(found, expected, atol=3e-2, rtol=3e-2)
