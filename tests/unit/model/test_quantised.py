# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from weakref import ref

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from finesight.config.quantisation import Quantisation, read_quantisation
from finesight.errors import MissingWeights, ShapeMismatch, WeightsError
from finesight.model import quantised
from finesight.model.quantised import dequantise, to_blocks
from finesight.model.weights import INDEX, load_model, save_model, stored_blocks
from tests.support import quantised_checkpoints as made
from tests.support.quantised_checkpoints import AWQ, FILE, GPTQ, Scheme

LAYER = "model.layers.1.mlp.down_proj"

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


def load(folder, **options):
    with pytest.warns(UserWarning, match="dequantised"):
        return load_model(folder, **options)


def parts_of(layer):
    return [f"{layer}.{part}" for part in ("qweight", "qzeros", "scales")]


def make_plain(tensors, weight):
    for name in parts_of(LAYER):
        del tensors[name]
    tensors[f"{LAYER}.weight"] = weight


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


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
@pytest.mark.parametrize("listed", ["visual", "model.visual"])
def test_names_of_other_transformers_versions(model, tmp_path, prefix, listed):
    expected = made.write(model, tmp_path, Scheme(skipped=(listed,)))
    tensors = {
        name.replace("model.", prefix, 1) if name.startswith("model.") else f"model.{name}": value
        for name, value in load_file(tmp_path / FILE).items()
        if name != "lm_head.weight"
    }
    head = load_file(tmp_path / FILE)["lm_head.weight"]
    save_file({**tensors, "lm_head.weight": head}, tmp_path / FILE)
    state = load(tmp_path).state_dict()
    assert all(torch.equal(state[name], value.float()) for name, value in expected.items())


def test_parts_may_be_in_several_files(model, folder):
    tensors = load_file(folder / FILE)
    shards = ["a.safetensors", "b.safetensors"]
    places = {name: shards[i % 2] for i, name in enumerate(sorted(tensors))}
    for shard in shards:
        part = {name: tensors[name] for name in tensors if places[name] == shard}
        save_file(part, folder / shard)
    whole = load(folder).state_dict()
    (folder / FILE).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    split = load(folder).state_dict()
    assert all(torch.equal(split[name], value) for name, value in whole.items())


def test_a_layer_that_is_listed_may_be_plain(model, tmp_path):
    expected = made.write(model, tmp_path, Scheme(skipped=("visual", LAYER)))
    plain = model.state_dict()[f"{LAYER}.weight"]
    made.rewrite(tmp_path, lambda t: make_plain(t, plain))
    state = load(tmp_path).state_dict()
    assert torch.equal(state[f"{LAYER}.weight"], plain)
    other = LAYER.replace("1", "0", 1) + ".weight"
    assert torch.equal(state[other], expected[other].float())


def test_biases_of_zero_in_layers_without_bias(model, tmp_path):
    expected = made.write(model, tmp_path, GPTQ)
    bias = f"{LAYER}.bias"
    made.rewrite(tmp_path, lambda t: t.update({bias: torch.zeros(128)}))
    assert load(tmp_path).state_dict().keys() == expected.keys()
    made.rewrite(tmp_path, lambda t: t.update({bias: torch.full((128,), 0.5)}))
    with pytest.raises(WeightsError, match=rf"{bias}, which this model does not have"):
        load_model(tmp_path)


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


ODD = {
    "no scales": (lambda t: t.pop(f"{LAYER}.scales"), MissingWeights, rf"lacks {LAYER}\.scales"),
    "no zero points": (lambda t: t.pop(f"{LAYER}.qzeros"), MissingWeights, rf"lacks {LAYER}\.qzeros"),
    "no codes": (lambda t: t.pop(f"{LAYER}.qweight"), MissingWeights, rf"lacks {LAYER}\.qweight"),
    "no layer": (
        lambda t: [t.pop(name) for name in parts_of(LAYER)],
        MissingWeights,
        rf"lacks {LAYER}\.weight, out of",
    ),
    "odd codes": (
        lambda t: t.update({f"{LAYER}.qweight": t[f"{LAYER}.qweight"][:, :-1].contiguous()}),
        ShapeMismatch,
        rf"{LAYER}\.qweight.*\(256, 15\), a weight of shape \(120, 256\).*asks for \(128, 256\)",
    ),
    "codes of one dimension": (
        lambda t: t.update({f"{LAYER}.qweight": torch.zeros(8, dtype=torch.int32)}),
        ShapeMismatch,
        rf"{LAYER}\.qweight in .* has shape \(8,\) .*asks for \(128, 256\)",
    ),
    "odd zero points": (
        lambda t: t.update({f"{LAYER}.qzeros": torch.zeros(8, 15, dtype=torch.int32)}),
        ShapeMismatch,
        rf"{LAYER}\.qzeros.*\(8, 15\), .*groups of 32 needs \(8, 16\)",
    ),
    "codes that are floats": (
        lambda t: t.update({f"{LAYER}.qweight": torch.zeros(256, 16)}),
        WeightsError,
        rf"{LAYER}\.qweight.*stored as torch\.float32, expected torch\.int32",
    ),
    "scales that are integers": (
        lambda t: t.update({f"{LAYER}.scales": torch.zeros(8, 128, dtype=torch.int32)}),
        WeightsError,
        rf"{LAYER}\.scales.*stored as torch\.int32, expected a float",
    ),
    "a norm of integers": (
        lambda t: t.update({"model.norm.weight": torch.ones(128, dtype=torch.int32)}),
        WeightsError,
        r"model\.norm\.weight.*stored as torch\.int32, expected a float",
    ),
    "scales that are not finite": (
        lambda t: t[f"{LAYER}.scales"].fill_(torch.inf),
        WeightsError,
        rf"{LAYER}\.weight.*32768 of 32768 numbers that are NaN or infinite",
    ),
    "plain and quantised": (
        lambda t: t.update({f"{LAYER}.weight": torch.ones(128, 256)}),
        WeightsError,
        rf"layer {LAYER} is stored quantised in .* and plain in",
    ),
    "unknown layer": (
        lambda t: t.update((name, torch.ones(8, 8, dtype=torch.int32)) for name in parts_of("model.layers.7")),
        WeightsError,
        r"quantised layer model\.layers\.7, which this model does not have",
    ),
    "a plain layer among quantised ones": (
        lambda t: make_plain(t, torch.ones(128, 256)),
        WeightsError,
        rf"layer {LAYER} in .* is plain, but model\.layers\.0\.mlp\.down_proj in .* is quantised",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "said"), ODD.values(), ids=ODD)
def test_damaged_and_mixed_files(folder, change, kind, said):
    made.rewrite(folder, change)
    with pytest.raises(kind, match=said) as caught:
        load_model(folder)
    assert caught.value.hint


CONFIGS = {
    "wrong group size": (
        {"group_size": 128},
        ShapeMismatch,
        r"(qzeros|scales).* has shape \(\d+, \d+\), a weight of shape .*groups of 128 needs \(\d+, \d+\)",
    ),
    "a quantised layer is listed": (
        {"modules_to_not_convert": ["visual", "model.layers.1.mlp"]},
        WeightsError,
        r"layer model\.layers\.1\.mlp\.\w+ in .* is quantised, but config\.json lists model\.layers\.1\.mlp",
    ),
    "the other method": (
        {"quant_method": "gptq", "version": None},
        ShapeMismatch,
        r"qweight in .* a weight of shape \(\d+, \d+\) \(GPTQ, 4 bits, groups of 32\), config\.json asks",
    ),
}


@pytest.mark.parametrize(("change", "kind", "said"), CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_that_does_not_suit_the_weights(folder, change, kind, said):
    made.change_config(folder, quantization_config=AWQ.section | change)
    with pytest.raises(kind, match=said) as caught:
        load_model(folder)
    assert "config.json" in caught.value.hint


def test_wrong_bits(model, tmp_path):
    made.write(model, tmp_path, Scheme(method="gptq", bits=8))
    made.change_config(tmp_path, quantization_config=GPTQ.section)
    with pytest.raises(ShapeMismatch, match=r"a weight of shape \(128, 512\)|\(256, 256\)"):
        load_model(tmp_path)


def test_quantised_weights_without_a_word_in_the_configuration(folder):
    made.change_config(folder, quantization_config=None)
    with pytest.raises(
        WeightsError, match=r"holds the quantised layers .* has no quantization_config"
    ):
        load_model(folder)


def test_plain_weights_that_the_configuration_calls_quantised(model, tmp_path):
    save_model(model, tmp_path)
    made.change_config(tmp_path, quantization_config=AWQ.section)
    with pytest.raises(WeightsError, match=r"weights are quantised .*, but no layer is"):
        load_model(tmp_path)


def test_act_order_without_the_order(model, tmp_path):
    made.write(model, tmp_path, Scheme(method="gptq", desc_act=True))
    made.rewrite(tmp_path, lambda t: t.pop(f"{LAYER}.g_idx"))
    with pytest.raises(MissingWeights, match=rf"lacks {LAYER}\.g_idx"):
        load_model(tmp_path)


def test_groups_out_of_range(model, tmp_path):
    made.write(model, tmp_path, GPTQ)
    made.rewrite(tmp_path, lambda t: t[f"{LAYER}.g_idx"].add_(1))
    with pytest.raises(WeightsError, match=r"g_idx in .* names groups 1 to 8, the layer has 8"):
        load_model(tmp_path)


def test_without_act_order_the_order_may_be_left_out(model, tmp_path):
    expected = made.write(model, tmp_path, GPTQ)
    made.rewrite(tmp_path, lambda t: [t.pop(name) for name in list(t) if name.endswith("g_idx")])
    state = load(tmp_path).state_dict()
    assert all(torch.equal(state[name], value.float()) for name, value in expected.items())


def test_a_truncated_file(folder):
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[:-1000])
    with pytest.raises(WeightsError, match="is truncated"):
        load_model(folder)


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
