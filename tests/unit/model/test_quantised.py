# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from weakref import ref

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from finesight.config.quantisation import Quantisation, read_quantisation
from finesight.errors import WeightsError
from finesight.model import quantised
from finesight.model.quantised import dequantise, to_blocks
from finesight.model.weights import load_model, save_model, stored_blocks
from tests.support import quantised_checkpoints as made
from tests.support.quantised_checkpoints import AWQ, FILE, GPTQ, LAYER, Scheme, load

SCHEMES = {
    "awq": AWQ,
    "awq 128": Scheme(group_size=128),
    "awq, one group": Scheme(group_size=-1),
    "gptq": GPTQ,
    "gptq 128": Scheme(method="gptq", group_size=128),
    "gptq, one group": Scheme(method="gptq", group_size=-1),
    "gptq, last group smaller": Scheme(method="gptq", group_size=96),
    "gptq, act order": Scheme(method="gptq", desc_act=True),
    "gptq, act order 128": Scheme(method="gptq", desc_act=True, group_size=128),
    "gptq, symmetric": Scheme(method="gptq", is_symmetric=True),
    "gptq version 2": Scheme(method="gptq", version=2),
    "gptq, 8 bits": Scheme(method="gptq", bits=8),
    "gptq, 8 bits, version 2, act order": Scheme(method="gptq", bits=8, version=2, desc_act=True),
}


@pytest.fixture(scope="module")
def model():
    return made.wide_model()


@pytest.fixture
def folder(model, tmp_path):
    made.write(model, tmp_path)
    return tmp_path


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_weights_are_those_of_the_formula_rounded_once(model, tmp_path, scheme):
    expected = made.write(model, tmp_path, scheme)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        state = load(tmp_path, dtype=dtype).state_dict()
        assert state.keys() == expected.keys()
        for name, values in expected.items():
            assert torch.equal(state[name], values.to(dtype)), name
    original = model.state_dict()
    changed = [name for name in expected if not torch.equal(expected[name], original[name])]
    assert len(changed) == 14, "seven linear layers of each decoder layer"


def test_the_weights_differ_from_the_original_by_half_a_step(model, tmp_path):
    made.write(model, tmp_path, Scheme(group_size=128))
    loaded = load(tmp_path).state_dict()[f"{LAYER}.weight"]
    original = model.state_dict()[f"{LAYER}.weight"]
    steps = load_file(tmp_path / FILE)[f"{LAYER}.scales"].float().T.repeat_interleave(128, 1)
    assert ((loaded - original).abs() <= 0.51 * steps).float().mean() > 0.99


def test_a_loaded_model_is_plain_and_is_saved_so(folder, tmp_path):
    loaded = load(folder)
    assert loaded.config.quantisation is None
    save_model(loaded, tmp_path / "plain")
    again = load_model(tmp_path / "plain")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_the_note_says_how_many_layers_and_what_memory(folder):
    with pytest.warns(UserWarning, match="14 layers") as caught:
        load_model(folder, dtype=torch.bfloat16)
    (said,) = [str(one.message) for one in caught]
    assert "dequantised 14 layers (AWQ, 4 bits, groups of 32) to bfloat16" in said
    assert "memory of a bfloat16 model" in said


def test_a_zero_point_of_0_in_both_versions():
    """Version 1 stores it as the largest code."""
    scheme = Scheme(method="gptq", group_size=8)
    weight = torch.arange(64.0).view(8, 8) / 8 + 1
    for version, stored in ((1, -1), (2, 0)):
        parts, values = made.quantise(weight, Scheme(method="gptq", group_size=8, version=version))
        assert parts["qzeros"].tolist() == [[stored]]
        quantisation = Quantisation(
            method="gptq", bits=4, group_size=8, zero_offset=2 - version, desc_act=scheme.desc_act
        )
        assert torch.equal(dequantise(parts, quantisation, torch.float32), values.float())


class Peak(TorchDispatchMode):
    """Largest number of bytes of the tensors that live at once, counted after every operation."""

    def __init__(self):
        super().__init__()
        self.bytes, self._seen = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.device.type == "cpu":
            self._seen.append(ref(result))
            self._seen = [one for one in self._seen if one() is not None]
            living = {
                t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
                for one in self._seen
                if (t := one()) is not None
            }
            self.bytes = max(self.bytes, sum(living.values()))
        return result


def test_one_slice_of_one_layer_is_dequantised_at_a_time(folder, monkeypatch):
    size = sum(value.nbytes for value in load(folder, dtype=torch.float16).state_dict().values())
    num_weights = 128 * 256  # of the largest layer
    monkeypatch.setattr(quantised, "_INPUTS_AT_ONCE", 32)
    with Peak() as peak:
        load(folder, dtype=torch.float16)
    assert size < peak.bytes < size + 3 * num_weights


def drawn(scheme, *, dtype=torch.float16):
    """Stored tensors of a random layer, its exact weight, and how it is quantised."""
    weight = 0.05 * torch.randn(64, 256, generator=torch.Generator().manual_seed(3)) + 0.01
    parts, values = made.quantise(weight, scheme)
    parts["scales"] = parts["scales"].to(dtype)
    return parts, values, Quantisation(**read_quantisation(scheme.section))


def values_of(blocks):
    scales = blocks.scales.double().repeat_interleave(32, 1)
    if blocks.minima is not None:
        return blocks.codes * scales + blocks.minima.double().repeat_interleave(32, 1)
    return (blocks.codes.double() - {"int4": 8, "int8": 128}[blocks.format]) * scales


@pytest.mark.parametrize("scheme", [AWQ, GPTQ, Scheme(group_size=128), Scheme(group_size=-1)])
def test_blocks_are_closer_to_the_stored_weights_than_bfloat16(scheme):
    parts, values, how = drawn(scheme)
    blocks = to_blocks(parts, how)
    assert (blocks.format, blocks.codes.dtype, blocks.scales.shape) == (
        "int4_min",
        torch.uint8,
        (64, 8),
    )
    errors = (values_of(blocks) - values).abs()
    largest = blocks.minima.double().abs().repeat_interleave(32, 1)
    assert bool((errors <= 2**-11 * largest).all())
    rounding = (dequantise(parts, how, torch.bfloat16).double() - values).square().mean().sqrt()
    assert 0 < errors.square().mean().sqrt() < 0.3 * rounding


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("size", [32, 128, -1])
def test_blocks_of_symmetric_weights_are_exact(bits, size):
    scheme = Scheme(method="gptq", bits=bits, group_size=size, is_symmetric=True)
    parts, values, how = drawn(scheme)
    blocks = to_blocks(parts, how)
    assert (blocks.format, blocks.minima) == (f"int{bits}", None)
    assert torch.equal(values_of(blocks), values)


@pytest.mark.parametrize(
    ("scheme", "dtype"),
    [
        (Scheme(method="gptq", desc_act=True), torch.float16),
        (Scheme(method="gptq", bits=8), torch.float16),
        (Scheme(method="gptq", group_size=16), torch.float16),
        (Scheme(method="gptq", group_size=48), torch.float16),
        (AWQ, torch.float32),
    ],
)
def test_what_is_no_block_format(scheme, dtype):
    parts, _, how = drawn(scheme, dtype=dtype)
    if dtype == torch.float32:
        parts["scales"] *= 1.0001  # more digits than half precision has
    assert to_blocks(parts, how) is None


def test_a_minimum_beyond_half_precision():
    parts, _, how = drawn(AWQ)
    parts["scales"].fill_(60_000)
    assert to_blocks(parts, how) is None


@pytest.mark.parametrize(
    ("scheme", "count"), [(AWQ, 14), (GPTQ, 14), (Scheme(method="gptq", desc_act=True), 0)]
)
def test_the_blocks_of_a_folder(model, tmp_path, scheme, count):
    expected = made.write(model, tmp_path, scheme)
    found = dict(stored_blocks(tmp_path))
    assert len(found) == count
    for name, blocks in found.items():
        assert torch.allclose(
            values_of(blocks), expected[name], atol=1e-3 * expected[name].abs().max()
        )


def test_blocks_with_a_scale_that_is_not_finite(folder):
    made.rewrite(folder, lambda t: t[f"{LAYER}.scales"][0].fill_(torch.nan))
    with pytest.raises(WeightsError, match=rf"{LAYER}\.scales in .* has 128 of 1024 numbers"):
        dict(stored_blocks(folder))


def test_a_plain_folder_has_no_blocks(model, tmp_path):
    save_model(model, tmp_path)
    assert dict(stored_blocks(tmp_path)) == {}
