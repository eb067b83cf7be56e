# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from finesight.errors import MissingWeights, ShapeMismatch, WeightsError
from finesight.model.weights import INDEX, load_model, save_model
from tests.support import quantised_checkpoints as made
from tests.support.quantised_checkpoints import AWQ, FILE, GPTQ, LAYER, Scheme, load


@pytest.fixture(scope="module")
def model():
    return made.wide_model()


@pytest.fixture
def folder(model, tmp_path):
    made.write(model, tmp_path)
    return tmp_path


def parts_of(layer):
    return [f"{layer}.{part}" for part in ("qweight", "qzeros", "scales")]


def make_plain(tensors, weight):
    for name in parts_of(LAYER):
        del tensors[name]
    tensors[f"{LAYER}.weight"] = weight


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


@pytest.mark.parametrize("is_zero", [False, True])
def test_without_act_order_the_order_may_be_left_out_or_zero(model, tmp_path, is_zero):
    expected = made.write(model, tmp_path, GPTQ)

    def change(tensors):
        for name in [name for name in tensors if name.endswith("g_idx")]:
            order = tensors.pop(name)
            if is_zero:
                tensors[name] = torch.zeros_like(order)

    made.rewrite(tmp_path, change)
    state = load(tmp_path).state_dict()
    assert all(torch.equal(state[name], value.float()) for name, value in expected.items())


def test_a_truncated_file(folder):
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[:-1000])
    with pytest.raises(WeightsError, match="is truncated"):
        load_model(folder)
