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


@pytest.mark.parametrize("scheme", [AWQ, GPTQ])
def test_a_quantised_output_head(model, tmp_path, scheme):
    expected = made.write(model, tmp_path, scheme, also=("lm_head",))
    state = load(tmp_path).state_dict()
    assert torch.equal(state["lm_head.weight"], expected["lm_head.weight"].float())


def test_a_quantised_output_head_of_a_model_that_ties_it(tmp_path):
    model = made.wide_model()
    made.write(model, tmp_path, GPTQ, also=("lm_head",))
    made.change_config(tmp_path, tie_word_embeddings=True)
    with pytest.raises(WeightsError, match=r"quantised layer lm_head, which this model does not"):
        load_model(tmp_path)


def test_quantised_layers_of_the_vision_tower(model, tmp_path):
    """A layer of every block; one block alone would be a mixture."""
    names = tuple(f"visual.blocks.{block}.attn.qkv" for block in range(len(model.visual.blocks)))
    expected = made.write(
        model, tmp_path, Scheme(method="gptq", group_size=16, skipped=()), also=names
    )
    state = load(tmp_path).state_dict()
    for name in names:
        assert torch.equal(state[f"{name}.weight"], expected[f"{name}.weight"].float())
    made.write(model, tmp_path, Scheme(method="gptq", group_size=16, skipped=()), also=names[:1])
    with pytest.raises(WeightsError, match=rf"layer {names[1]} in .* is plain, but {names[0]} in"):
        load_model(tmp_path)
    made.write(model, tmp_path, Scheme(method="gptq", group_size=16), also=names)
    with pytest.raises(WeightsError, match=rf"layer {names[0]} in .* but config.json lists visual"):
        load_model(tmp_path)


@pytest.mark.parametrize(("written", "said", "found"), [(1, "gptq_v2", 7), (2, "gptq", 9)])
@pytest.mark.parametrize("bits", [4, 8])
def test_zero_points_of_the_other_version(model, tmp_path, written, said, found, bits):
    """Symmetric codes have the middle as zero point; the other version's offset makes it one less or more."""
    scheme = Scheme(method="gptq", bits=bits, version=written, is_symmetric=True)
    made.write(model, tmp_path, scheme)
    load(tmp_path)
    made.change_config(tmp_path, quantization_config=scheme.section | {"checkpoint_format": said})
    middle = 2 ** (bits - 1)
    off = found - 8 + middle
    with pytest.raises(
        WeightsError, match=rf"has the zero points {off} to {off}, expected {middle}"
    ) as caught:
        load_model(tmp_path)
    assert f"checkpoint_format in config.json is {said}" in caught.value.hint


def test_act_order_whose_order_is_zero(model, tmp_path):
    """Without act order such files exist; with it, the order is lost."""
    made.write(model, tmp_path, Scheme(method="gptq", desc_act=True))
    made.rewrite(tmp_path, lambda t: t[f"{LAYER}.g_idx"].zero_())
    with pytest.raises(WeightsError, match=rf"{LAYER}\.g_idx in .* puts 256 inputs into group 0"):
        load_model(tmp_path)


def test_a_group_with_too_many_inputs(model, tmp_path):
    made.write(model, tmp_path, Scheme(method="gptq", desc_act=True))

    def change(tensors):
        order = tensors[f"{LAYER}.g_idx"]
        order[order == 3] = 2

    made.rewrite(tmp_path, change)
    with pytest.raises(WeightsError, match=r"puts 64 inputs into group 2, groups have at most 32"):
        load_model(tmp_path)


def test_a_group_size_with_the_same_number_of_groups(model, tmp_path):
    """256 inputs are 4 groups of 64 and of 80, which has a last group of 16; AWQ has whole groups only."""
    made.write(model, tmp_path, Scheme(group_size=64))
    made.change_config(tmp_path, quantization_config=Scheme(group_size=80).section)
    with pytest.raises(ShapeMismatch, match=r"(128|256) inputs are no whole groups of 80"):
        load_model(tmp_path)
    made.write(model, tmp_path, Scheme(method="gptq", group_size=80))
    made.change_config(tmp_path, quantization_config=Scheme(method="gptq", group_size=64).section)
    with pytest.raises(WeightsError, match=r"puts 80 inputs into group 0, groups have at most 64"):
        load_model(tmp_path)


def test_a_truncated_shard_is_named(model, folder):
    tensors = load_file(folder / FILE)
    places = {name: f"{'ab'[i % 2]}.safetensors" for i, name in enumerate(sorted(tensors))}
    for shard in ("a.safetensors", "b.safetensors"):
        save_file({n: tensors[n] for n in tensors if places[n] == shard}, folder / shard)
    (folder / FILE).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    content = (folder / "b.safetensors").read_bytes()
    (folder / "b.safetensors").write_bytes(content[:-100])
    with pytest.raises(WeightsError, match=r"b\.safetensors is truncated: \d+ bytes instead of"):
        load_model(folder)
    (folder / "b.safetensors").write_bytes(content[:4])
    with pytest.raises(WeightsError, match=r"b\.safetensors is truncated or no safetensors"):
        load_model(folder)
