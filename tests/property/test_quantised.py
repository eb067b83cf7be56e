# SPDX-License-Identifier: Apache-2.0
"""Any shape, group size and layout of AWQ and GPTQ gives the weights of the formula, rounded once."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.config.quantisation import Quantisation, read_quantisation
from finesight.model.quantised import dequantise, to_blocks
from tests.support.quantised_checkpoints import Scheme, quantise


@st.composite
def schemes(draw):
    method = draw(st.sampled_from(("awq", "gptq")))
    group_size = draw(st.one_of(st.just(-1), st.integers(1, 300)))
    if method == "awq":
        return Scheme(method=method, group_size=group_size)
    return Scheme(
        method=method,
        bits=draw(st.sampled_from((4, 8))),
        group_size=group_size,
        desc_act=draw(st.booleans()),
        version=draw(st.sampled_from((1, 2))),
        is_symmetric=draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None)
@given(
    scheme=schemes(),
    rows=st.integers(1, 4),
    columns=st.integers(1, 36),
    seed=st.integers(0, 999),
    dtype=st.sampled_from((torch.float32, torch.bfloat16, torch.float16)),
)
def test_weights_are_those_of_the_formula(scheme, rows, columns, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    weight = 0.1 * torch.randn(8 * rows, 8 * columns, generator=generator)
    parts, values = quantise(weight, scheme, seed=seed)
    how = Quantisation(**read_quantisation(scheme.section))
    assert torch.equal(dequantise(parts, how, dtype), values.to(dtype))
    blocks = to_blocks(parts, how)
    if blocks is not None and blocks.minima is None:
        scales = blocks.scales.double().repeat_interleave(32, 1)[:, : 8 * columns]
        middle = 2 ** (scheme.bits - 1)
        assert torch.equal((blocks.codes.double() - middle) * scales, values)
