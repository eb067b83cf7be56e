# SPDX-License-Identifier: Apache-2.0
"""Adapter files in the format of peft: what is not complete or not plain LoRA is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from finesight.checkpoints.adapters import (
    CONFIG,
    WEIGHTS,
    load_adapters,
    merge_adapter,
    save_adapter,
)
from finesight.errors import WeightsError
from finesight.model.lora import add_lora, lora_layers, merge_lora
from finesight.model.weights import load_model


@pytest.fixture(scope="module")
def adapted(tiny_model_folder):
    model = load_model(tiny_model_folder, dtype=torch.float32)
    add_lora(model, ["model.layers.*.q_proj", "model.layers.*.up_proj"], rank=2, alpha=4, seed=0)
    torch.manual_seed(1)
    for layer in lora_layers(model).values():
        for part in (layer.lora_A, layer.lora_B):
            part.weight.data = torch.randn_like(part.weight).to(torch.bfloat16).float()
    return model


@pytest.fixture(scope="module")
def base(tiny_model_folder):
    """Weights of the decoder alone."""
    weights = load_model(tiny_model_folder, dtype=torch.float32).state_dict()
    return {name: value for name, value in weights.items() if name.startswith("model.")}


@pytest.fixture
def folder(adapted, tmp_path):
    save_adapter(adapted, tmp_path, base="base")
    return tmp_path


def change_config(folder, **changes) -> None:
    config = json.loads((folder / CONFIG).read_text()) | changes
    (folder / CONFIG).write_text(json.dumps(config))


def test_a_saved_adapter_merges_as_the_layers_do(adapted, base, folder) -> None:
    import copy

    merged = merge_adapter(base, folder)
    whole = copy.deepcopy(adapted)
    merge_lora(whole)
    assert not torch.equal(
        merged["model.layers.0.mlp.up_proj.weight"], base["model.layers.0.mlp.up_proj.weight"]
    )
    wanted = whole.state_dict()
    for name, value in merged.items():
        torch.testing.assert_close(value, wanted[name])
    # peft writes alpha as an integer, and targets as ends of names
    change_config(folder, lora_alpha=4, target_modules=["q_proj", "up_proj"])
    again = merge_adapter(base, folder)
    assert all(torch.equal(again[name], value) for name, value in merged.items())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r": 0}, "kind LORA with r and alpha"),
        ({"r": 3}, "has rank 2, adapter_config.json says 3"),
        ({"r": "2"}, "no configuration of a LoRA adapter"),
        ({"lora_alpha": float("inf")}, "with r and alpha"),
        ({"lora_alpha": "4"}, "no configuration of a LoRA adapter"),
        ({"peft_type": "LOHA"}, "kind LOHA"),
        ({"use_dora": True}, r"magnitudes and matrices of .* do not fit use_dora = True"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"lora_bias": True}, "lora_bias"),
        ({"target_parameters": ["x"]}, "target_parameters"),
        ({"bias": "all"}, "bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"alpha_pattern": {"q_proj": 0}}, "no configuration of a LoRA adapter"),
        ({"alpha_pattern": {"(": 1}}, "no configuration of a LoRA adapter"),
        ({"rank_pattern": {"q_proj": 4}}, "has rank 2, adapter_config.json says 4"),
        ({"rank_pattern": ["q_proj"]}, "no configuration of a LoRA adapter"),
        ({"target_modules": "("}, "no configuration of a LoRA adapter"),
        ({"target_modules": ["q_proj", "up_proj", "o_proj"]}, r"has no adapter of .*o_proj"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(changes, words, base, folder) -> None:
    change_config(folder, **changes)
    with pytest.raises(WeightsError, match=words) as raised:
        merge_adapter(base, folder)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: {}, "has no adapter of"),
        (lambda tensors: dict(list(tensors.items())[2:]), "has no adapter of"),
        (
            lambda tensors: dict(sorted(tensors.items())[1:]),
            "is not one of a pair of LoRA matrices",
        ),
        (
            lambda tensors: dict(sorted(tensors.items())[:-1]),
            "is not one of a pair of LoRA matrices",
        ),
        (lambda tensors: {n: v.T.contiguous() for n, v in tensors.items()}, r"has rank \d+, "),
        (
            lambda tensors: {n: v.flatten() for n, v in tensors.items()},
            "is not one of a pair of LoRA matrices",
        ),
        (lambda tensors: {n: v * torch.nan for n, v in tensors.items()}, "NaN"),
        (
            lambda tensors: {**tensors, "x.weight": torch.zeros(1)},
            "is not one of a pair of LoRA matrices",
        ),
        (
            lambda tensors: {**tensors, next(iter(tensors)).replace("lora_A", "b"): torch.zeros(1)},
            "is not one of a pair of LoRA matrices",
        ),
    ],
)
def test_an_incomplete_adapter_is_refused(change, words, base, folder) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    with pytest.raises(WeightsError, match=words):
        merge_adapter(base, folder)


@pytest.mark.parametrize("name", ["adapter_model_old.safetensors", "model.safetensors"])
def test_other_weights_beside_an_adapter_are_not_read(name, base, folder) -> None:
    """A copy of its tensors was an error, and beside a whole model the adapter was not found."""
    wanted = merge_adapter(base, folder)
    shutil.copyfile(folder / WEIGHTS, folder / name)
    found = merge_adapter(base, folder)
    assert all(torch.equal(value, wanted[key]) for key, value in found.items())


def test_an_adapter_without_weights_is_refused(base, folder) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(WeightsError, match=r"has no adapter_model\.safetensors"):
        merge_adapter(base, folder)


def test_an_adapter_of_another_model_is_refused(base, folder) -> None:
    name = next(name for name in base if name.endswith("q_proj.weight"))
    with pytest.raises(
        WeightsError, match=r"q_proj has matrices of shapes .*; the model has \(1, 1\)"
    ):
        merge_adapter({**base, name: torch.zeros(1, 1)}, folder)


def test_rank_stabilised_adapters_have_another_scale(base, folder) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    change = merge_adapter(base, folder)[name] - base[name]
    change_config(folder, use_rslora=True)
    stabilised = merge_adapter(base, folder)[name] - base[name]
    torch.testing.assert_close(stabilised, change * 2**0.5, atol=1e-6, rtol=1e-4)


def test_a_pickle_is_not_opened(tiny_model_folder, folder) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(b"PK\x03\x04")
    for read in (
        lambda: merge_adapter({}, folder),
        lambda: load_adapters({"a": folder}, tiny_model_folder),
    ):
        with pytest.raises(WeightsError, match=r"only adapter_model\.bin, a pickle") as caught:
            read()
        assert "safetensors" in caught.value.hint


def test_names_of_every_version_of_peft_are_read(tiny_model_folder, folder) -> None:
    """Layers were named `model.layers` before transformers 4.52, and `model.language_model.layers` since."""
    new = load_adapters({"a": folder}, tiny_model_folder)[0]
    tensors = {
        name.replace("language_model.", ""): value
        for name, value in load_file(folder / WEIGHTS).items()
    }
    save_file(tensors, folder / WEIGHTS)
    old = load_adapters({"a": folder}, tiny_model_folder)[0]
    assert new.matrices.keys() == old.matrices.keys()
    assert new.digest == old.digest
    assert not new.changes_tower


def test_keys_that_match_no_layer(tiny_model_folder, folder) -> None:
    tensors = {
        name.replace("up_proj", "fc1"): value for name, value in load_file(folder / WEIGHTS).items()
    }
    save_file(tensors, folder / WEIGHTS)
    change_config(folder, target_modules=["q_proj"])
    with pytest.raises(
        WeightsError, match=r"adapter of model\.layers\.0\.mlp\.fc1 .* no such layer"
    ):
        load_adapters({"a": folder}, tiny_model_folder)


def test_an_adapter_that_lacks_layers(tiny_model_folder, folder) -> None:
    change_config(folder, target_modules="all-linear|.*_proj")
    with pytest.raises(WeightsError, match="has no adapter of"):
        load_adapters({"a": folder}, tiny_model_folder)
    change_config(folder, layers_to_transform=[0, 1])
    assert load_adapters({"a": folder}, tiny_model_folder)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_an_adapter_of_peft_itself(tiny_model_folder, tmp_path) -> None:
    """Written by peft on transformers' model: the engine's change of a layer is that of peft."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    theirs = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tiny_model_folder, dtype=torch.float32
    )
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "qkv"], use_rslora=True)
    adapted = peft.get_peft_model(theirs, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(len(name)))
    adapted.save_pretrained(tmp_path)
    found = load_adapters({"a": tmp_path}, tiny_model_folder)[0]
    assert found.changes_tower
    before = load_model(tiny_model_folder, dtype=torch.float32).state_dict()
    merged = adapted.merge_and_unload().state_dict()
    for layer, name in (
        ("model.layers.1.self_attn.q_proj", "model.language_model.layers.1.self_attn.q_proj"),
        ("visual.blocks.2.attn.qkv", "model.visual.blocks.2.attn.qkv"),
    ):
        first, second = found.matrices[layer]
        wanted = merged[f"{name}.weight"]
        torch.testing.assert_close(before[f"{layer}.weight"] + second @ first, wanted)
