# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.batch import cumulative
from finesight.errors import ConfigError, LayoutError
from finesight.model import attention
from finesight.model.attention import attend, check_backend, plan_segments

LENGTHS = [[5], [4, 2, 4], [1, 1, 1], [9, 3, 3, 7, 8, 3], [64, 48, 64, 36]]


def plan(lengths, *, causal, backend="sdpa", rows=None):
    cu_seqlens = cumulative(torch.tensor(lengths))
    return plan_segments(cu_seqlens, max(lengths), causal=causal, backend=backend, rows=rows)


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
        out = attend(q, k, v, plan(lengths, causal=causal, backend=backend))
        torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradients_of_the_back_ends_agree(lengths, causal):
    grads = []
    for backend in ("sdpa", "reference"):
        inputs = [part.requires_grad_() for part in draw_qkv(sum(lengths))]
        out = attend(*inputs, plan(lengths, causal=causal, backend=backend))
        weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
        (out * weight).sum().backward()
        grads.append([part.grad for part in inputs])
    torch.testing.assert_close(grads[0], grads[1], atol=1e-12, rtol=0)


def test_long_segments_with_gradients_use_the_fused_kernel_and_agree():
    length = attention._MAX_WRITTEN_OUT + 1
    grads = []
    for backend in ("sdpa", "reference"):
        inputs = [part.requires_grad_() for part in draw_qkv(length)]
        attend(*inputs, plan([length], causal=True, backend=backend)).square().sum().backward()
        grads.append([part.grad for part in inputs])
    torch.testing.assert_close(grads[0], grads[1], atol=1e-12, rtol=0)


def test_half_precision_pictures_in_blocks_of_rows():
    """Longer than a block, not a multiple of it; two segments; a gather around it."""
    lengths = [700, 600, 700]
    q, k, v = draw_qkv(sum(lengths), kv_heads=4, dtype=torch.bfloat16)
    ours = attend(q, k, v, plan(lengths, causal=False))
    truth = attend(
        q.double(), k.double(), v.double(), plan(lengths, causal=False, backend="reference")
    )
    assert ours.dtype == torch.bfloat16
    error = (ours.double() - truth).square().mean().sqrt() / truth.square().mean().sqrt()
    assert error < 0.01


def test_equal_neighbours_are_one_batch_and_nothing_moves():
    made = plan([4, 4, 4, 2, 2], causal=False)
    assert made.order is None
    assert [(b.start, b.num_segments, b.length) for b in made.batches] == [(0, 3, 4), (12, 2, 2)]


def test_the_worked_example_of_the_module():
    made = plan([4, 2, 4], causal=False)
    assert made.order.tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 4, 5]
    assert [(b.num_segments, b.length) for b in made.batches] == [(2, 4), (1, 2)]


def test_causal_segments_of_similar_length_share_a_batch():
    made = plan([10, 9, 8, 7], causal=True)
    assert [(b.num_segments, b.length) for b in made.batches] == [(3, 10), (1, 7)]
    assert len(made.order) == 37
    assert made.order[made.restore].tolist() == list(range(34))


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    causal=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_plan_covers_every_row_once(lengths, causal, seed):
    rows = torch.randperm(sum(lengths), generator=torch.Generator().manual_seed(seed))
    for given_rows in (None, rows):
        made = plan(lengths, causal=causal, rows=given_rows)
        places = sum(batch.num_segments * batch.length for batch in made.batches)
        if made.order is None:
            assert places == sum(lengths)
            continue
        assert len(made.order) == places
        assert made.order[made.restore].tolist() == list(range(sum(lengths)))
        assert places <= attention._MAX_CAUSAL_WASTE * sum(lengths)


def test_segments_out_of_place_are_computed_where_they_are():
    lengths, rows = [3, 5, 3], torch.randperm(11, generator=torch.Generator().manual_seed(0))
    q, k, v = draw_qkv(11)
    moved = attend(q, k, v, plan(lengths, causal=False, rows=rows))
    in_place = attend(q[rows], k[rows], v[rows], plan(lengths, causal=False))
    torch.testing.assert_close(moved[rows], in_place)


def test_other_back_ends_refuse_segments_out_of_place():
    with pytest.raises(LayoutError, match="in place"):
        plan([2], causal=False, backend="reference", rows=torch.arange(2))


def test_an_unknown_back_end_is_named():
    with pytest.raises(ConfigError, match=r"'flash'.*varlen, sdpa, reference"):
        check_backend("flash")


@pytest.mark.gpu
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_varlen_agrees_with_the_reference(lengths, causal):
    parts = [part.cuda() for part in draw_qkv(sum(lengths), size=64, dtype=torch.bfloat16)]
    cu_seqlens = cumulative(torch.tensor(lengths)).cuda()
    grads = []
    for backend in ("varlen", "reference"):
        made = plan_segments(cu_seqlens, max(lengths), causal=causal, backend=backend)
        inputs = [part.clone().requires_grad_() for part in parts]
        out = attend(*inputs, made)
        out.float().square().sum().backward()
        grads.append([out, *(part.grad for part in inputs)])
    torch.testing.assert_close(grads[0], grads[1], atol=3e-2, rtol=3e-2)
