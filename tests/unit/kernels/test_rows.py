# SPDX-License-Identifier: Apache-2.0
"""Operations on rows in bfloat16 against the modules of the model that define them, on every instruction set."""

from __future__ import annotations

import random

import pytest
import torch
from torch.nn import functional

from finesight.attention_plan import cumulative
from finesight.errors import LayoutError
from finesight.kernels import rows
from finesight.model.attention import dense_attention
from finesight.model.layers import RMSNorm
from finesight.model.rope import Rotary, apply_rotary
from tests.support.compiled import compiled, on_path


@pytest.fixture(params=("avx512", "avx2"))
def path(request):
    with on_path(request.param) as found, torch.no_grad():
        yield found


def bfloat16(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def within_one_rounding(found, expected):
    """Whether bfloat16 values are float32 ones rounded, up to the next value for a few that lie between two."""
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=1e-6)
    assert (found != expected.bfloat16()).float().mean() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (5, 16), (70, 100), (9, 1280)])
def test_norms(path, shape):
    norm = RMSNorm(shape[1], 1e-6)
    torch.nn.init.normal_(norm.weight)
    states = bfloat16(*shape) * 3
    within_one_rounding(rows.rms_norm(states, norm.weight, 1e-6), norm(states.float()))
    norm.bfloat16()
    assert torch.equal(norm(states), rows.rms_norm(states, norm.weight, 1e-6))


@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (5, 16), (70, 100), (9, 3420)])
def test_gates(path, shape):
    gate, up = bfloat16(*shape) * 4, bfloat16(*shape, seed=1)
    expected = functional.silu(gate.float()) * up.float()
    found = rows.swiglu_(gate, up)
    assert found is gate
    within_one_rounding(found, expected)


@pytest.mark.parametrize(("heads", "size"), [(1, 2), (3, 16), (2, 30), (16, 80), (9, 64), (2, 128)])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_rotations_also_of_parts_of_rows(path, count, heads, size):
    parts = bfloat16(count, 3, heads, size)[:, 1]
    angles = Rotary(torch.randn(count, 1, size), torch.randn(count, 1, size))
    found = rows.rotary(parts, angles.cos, angles.sin)
    assert found.is_contiguous()
    within_one_rounding(found, apply_rotary(parts.float(), angles))
    assert torch.equal(apply_rotary(parts, angles), found)


def drawn_segments(count):
    """Query rows and key rows of each segment, query heads, key-value heads, head size, causal."""
    draw = random.Random(11)
    cases = [
        ([1], [1], 1, 1, 16, False),
        ([64, 3, 200], [64, 3, 200], 16, 16, 80, False),
        ([130, 5], [130, 5], 14, 2, 128, True),
        ([9, 1, 70], [300, 129, 128], 7, 1, 64, True),
        ([2, 0, 3], [5, 0, 3], 2, 2, 256, False),
        ([0, 600], [4, 600], 4, 1, 32, True),
    ]
    for _ in range(count):
        causal, heads = draw.random() < 0.5, draw.choice([(1, 1), (4, 2), (6, 1), (3, 3)])
        new = [draw.randint(1, 90) for _ in range(draw.randint(1, 4))]
        more = draw.choice([0, draw.randint(1, 300)]) if causal else 0
        size = 16 * draw.randint(1, 8)
        cases.append((new, [each + more for each in new], *heads, size, causal))
    return cases


def attended(q, k, v, new, total, causal):
    """The dense attention of every segment in float32."""
    parts = []
    for queries, keys, values in zip(
        q.float().split(new), k.float().split(total), v.float().split(total), strict=True
    ):
        num_new, num_keys = len(queries), len(keys)
        ends = torch.arange(num_keys - num_new, num_keys).unsqueeze(1)
        allowed = torch.arange(num_keys) <= (ends if causal else num_keys)
        if num_new:
            parts.append(dense_attention(queries, keys, values, allowed.expand(num_new, -1)))
    return torch.cat(parts)


def test_attention_is_the_dense_one(path):
    for seed, (new, total, heads, kv_heads, size, causal) in enumerate(drawn_segments(12)):
        q = bfloat16(sum(new), heads, size, seed=seed)
        k, v = bfloat16(sum(total), 2, kv_heads, size, seed=seed + 100).unbind(1)
        starts = cumulative(new), cumulative(total)
        found = rows.attend_segments(q * 2, k, v, *starts, causal=causal).float()
        expected = attended(q * 2, k, v, new, total, causal)
        # The weights are rounded to bfloat16, and so is the result.
        assert (found - expected).norm() < 4e-3 * expected.norm()
        torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)


def test_attention_does_not_depend_on_the_other_rows_nor_on_the_threads(path):
    q, k, v = (bfloat16(150, 4, 48, seed=seed) for seed in range(3))
    starts = cumulative([150])
    whole = rows.attend_segments(q, k, v, starts, starts, causal=True)
    before, parts = torch.get_num_threads(), []
    try:
        for count, (first, last) in enumerate([(0, 7), (7, 8), (8, 100), (100, 150)]):
            torch.set_num_threads(count + 1)
            ends = cumulative([last - first]), cumulative([last])
            parts.append(
                rows.attend_segments(q[first:last], k[:last], v[:last], *ends, causal=True)
            )
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.cat(parts), whole)


def test_values_that_are_not_finite_stay_visible(path):
    q, k, v = (bfloat16(40, 2, 16, seed=seed) for seed in range(3))
    starts = cumulative([20, 20])
    k[25, 1, 3] = float("nan")
    found = rows.attend_segments(q, k, v, starts, starts, causal=False)
    assert found[20:, 1].isnan().all()
    assert found[:20].isfinite().all()
    assert found[:, 0].isfinite().all()
    states = bfloat16(3, 20)
    states[1, 18] = float("inf")
    assert not rows.rms_norm(states, torch.ones(20), 1e-6)[1].isfinite().all()
    assert rows.swiglu_(states, torch.ones_like(states))[1, 18].isinf()


def test_the_kernels_take_bfloat16_on_the_cpu_without_gradients():
    compiled()
    states = bfloat16(4, 2, 16)
    assert not rows.fits(states)  # gradients could be wanted
    with torch.inference_mode():
        assert rows.fits(states, states[1:])
        assert rows.fits(states[:, :1])
        assert not rows.fits(states.float())
        assert not rows.fits(states, states.to("meta"))
        assert not rows.fits(states[:, :, ::2])
        assert not rows.fits(states.transpose(0, 1))
        assert not rows.fits(states[:0])
        assert rows.attention_fits(states, states, states)
        assert not rows.attention_fits(*[bfloat16(4, 2, 24)] * 3)
        assert not rows.attention_fits(*[bfloat16(4, 1, 272)] * 3)


def test_without_the_library_nothing_fits(monkeypatch):
    monkeypatch.setattr(rows, "library", lambda: None)
    with torch.inference_mode():
        assert not rows.fits(bfloat16(4, 16))
    with pytest.raises(LayoutError, match="no compiled kernels"):
        rows.swiglu_(bfloat16(4, 16), bfloat16(4, 16))


def test_other_layouts_are_refused():
    compiled()
    states, heads = bfloat16(4, 32), bfloat16(4, 2, 16)
    with pytest.raises(LayoutError, match=r"rms_norm cannot read torch.float32\[4, 32\]"):
        rows.rms_norm(states.float(), torch.ones(32), 1e-6)
    with pytest.raises(LayoutError, match=r"strides \(1, 4\)"):
        rows.rms_norm(bfloat16(32, 4).T, torch.ones(32), 1e-6)
    with pytest.raises(LayoutError, match="swiglu_ cannot read"):
        rows.swiglu_(states, states[:, ::2])
    with pytest.raises(LayoutError, match="swiglu_ cannot read"):
        rows.swiglu_(states[:, ::2], states[:, ::2])
    with pytest.raises(LayoutError, match="rotary cannot read"):
        rows.rotary(heads.transpose(0, 1), torch.ones(2, 1, 16), torch.ones(2, 1, 16))
    with pytest.raises(LayoutError, match="rotary cannot read"):
        rows.rotary(heads, torch.ones(4, 1, 16), torch.ones(4, 1, 16).bfloat16())
    with pytest.raises(LayoutError, match="attend_segments cannot read"):
        rows.attend_segments(
            heads, heads[..., ::2], heads, cumulative([4]), cumulative([4]), causal=False
        )


@pytest.mark.parametrize(
    ("starts_q", "starts_k", "message"),
    [
        ([0, 3], [0, 4], "segments of query rows start at"),
        ([0, 4], [0, 5], "segments of key rows start at"),
        ([0, 5, 4], [0, 2, 4], "segments of query rows start at"),
        ([0, 2, 4], [0, 4], "2 segments of query rows and 1 of key rows"),
        ([0, 2, 4], [0, 4, 4], "keys in each that has queries"),
        ([0, 3, 4], [0, 2, 4], "some have no key"),
    ],
)
def test_segments_that_do_not_fit_are_refused(starts_q, starts_k, message):
    compiled()
    heads = bfloat16(4, 2, 16)
    starts = (torch.tensor(each, dtype=torch.int32) for each in (starts_q, starts_k))
    with pytest.raises(LayoutError) as caught:
        rows.attend_segments(heads, heads, heads, *starts, causal=True)
    assert message in f"{caught.value.message} {caught.value.hint}"
