# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize

from finesight.errors import WeightsError
from finesight.kernels.formats import FORMATS, format_of, pack, packed_shape, quantise, unpack

QUANTISED = FORMATS[1:]


def weight(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.05


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("rows", "columns"), [(16, 32), (1, 1), (33, 70), (48, 96), (2100, 32)])
def test_a_packed_weight_has_its_shape_and_its_format(name, rows, columns):
    packed = quantise(weight(rows, columns), name)
    assert tuple(packed.shape) == packed_shape(rows, columns, name)
    assert format_of(packed) == name
    assert unpack(packed, rows, columns).shape == (rows, columns)


@pytest.mark.parametrize(
    ("name", "most"), [("bf16", 0.003), ("int8", 0.007), ("int4", 0.09), ("int4_min", 0.085)]
)
def test_rounding_errors(name, most):
    values = weight(64, 256)
    error = unpack(quantise(values, name), 64, 256) - values
    assert error.norm() / values.norm() < most


@pytest.mark.parametrize("name", QUANTISED)
def test_values_in_the_format_stay_as_they_are(name):
    values = unpack(quantise(weight(48, 96), name), 48, 96)
    again = unpack(quantise(values, name), 48, 96)
    torch.testing.assert_close(again, values, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", QUANTISED)
def test_zero_weights_are_zero(name):
    assert torch.equal(unpack(quantise(torch.zeros(16, 64), name), 16, 64), torch.zeros(16, 64))


def test_the_order_of_a_group_of_8_bits():
    codes = torch.arange(16 * 32).remainder(251).to(torch.uint8).view(16, 32)
    packed = pack(codes, torch.ones(16, 1).half(), None, "int8")[0, 0]
    assert packed[:4].tolist() == codes[0, :4].tolist()  # the first quad of row 0, then of row 1
    assert packed[4:8].tolist() == codes[1, :4].tolist()
    assert packed[64:68].tolist() == codes[0, 4:8].tolist()
    assert packed[512:].view(torch.float16).tolist() == [1.0] * 16


def test_the_order_of_a_group_of_4_bits():
    codes = torch.arange(16 * 32).remainder(16).to(torch.uint8).view(16, 32)
    packed = pack(codes, torch.ones(16, 1).half(), torch.zeros(16, 1).half(), "int4_min")[0, 0]
    pairs = (codes[0, :4] | codes[0, 16:20] << 4).tolist()
    assert packed[:4].tolist() == pairs


@pytest.mark.parametrize(
    ("name", "kind"), [("int8", "Q8_0"), ("int4", "Q4_0"), ("int4_min", "Q4_1")]
)
def test_blocks_of_llama_cpp_keep_their_values(name, kind):
    kind = gguf.GGMLQuantizationType[kind]
    blocks = quantize(weight(32, 128).numpy(), kind)
    expected = torch.from_numpy(np.array(dequantize(blocks, kind)))
    raw = torch.from_numpy(blocks.copy()).view(32, 4, -1)
    halves = raw[:, :, : 4 if name == "int4_min" else 2].contiguous().view(torch.float16)
    if name == "int8":
        codes = (raw[:, :, 2:].view(torch.int8).int() + 128).to(torch.uint8)
    else:
        pairs = raw[:, :, halves.shape[2] * 2 :]
        codes = torch.cat((pairs & 15, pairs >> 4), dim=2)
    minima = halves[..., 1] if name == "int4_min" else None
    packed = pack(codes.flatten(1), halves[..., 0], minima, name)
    torch.testing.assert_close(unpack(packed, 32, 128), expected, rtol=0, atol=0)


def test_another_tensor_is_no_packed_weight():
    with pytest.raises(WeightsError, match=r"not torch.float32 of shape \(4, 4\)"):
        format_of(torch.zeros(4, 4))
    with pytest.raises(WeightsError, match="544"):
        format_of(torch.zeros(1, 1, 543, dtype=torch.uint8))
