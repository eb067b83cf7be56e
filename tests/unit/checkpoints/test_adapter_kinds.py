# SPDX-License-Identifier: Apache-2.0
"""Every kind of adapter that is written here gives one network: in peft, merged, and beside others in the engine."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from finesight.batch import pack
from finesight.checkpoints.adapters import (
    CONFIG,
    WEIGHTS,
    load_adapters,
    merge_adapter,
    read_adapter,
    save_adapter,
)
from finesight.checkpoints.export.plain import unpacked
from finesight.config.model import ModelConfig
from finesight.errors import ConfigError, WeightsError
from finesight.model.adapters import Adapters
from finesight.model.lora import add_lora, lora_layers, merge_lora
from finesight.model.packed import pack_weights
from finesight.model.weights import load_model, save_model
from finesight.processor.from_hf import RECORD
from tests.support.model_cases import Grid, sample_from

KINDS = {
    "lora": {},
    "dora": {"dora": True},
    "rslora": {"rslora": True, "dropout": 0.1},
    "ranks": {"groups": [("vision", 2, 3.0), ("merger", 3, 1.0)]},
    "all": {"dora": True, "rslora": True, "groups": [("merger", 3, 1.0)]},
    "whole": {"trained": ["visual.merger.ln_q.weight", "model.norm.weight"]},
    "whole linear": {"trained": ["visual.merger.mlp.0.weight", "visual.merger.mlp.0.bias"]},
    "embedding": {"trained": ["model.embed_tokens.weight"]},
}


def adapted(folder, *, groups=(), trained=(), dora=False, rslora=False, dropout=0.0):
    """A model with adapters as after some training, rounded as they are stored."""
    model = load_model(folder, dtype=torch.float32)
    options = {"dora": dora, "rslora": rslora, "dropout": dropout}
    for target, rank, alpha in groups:
        add_lora(model, [target], rank=rank, alpha=alpha, seed=1, **options)
    targets = ["model.layers.*.q_proj", "model.layers.*.down_proj", "visual.blocks.*.attn.qkv"]
    add_lora(model, targets, rank=4, alpha=8.0, seed=2, **options)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            for part in (layer.lora_A, layer.lora_B):
                part.weight.copy_(_random(part.weight, generator, 0.2))
            if layer.lora_magnitude_vector is not None:
                layer.lora_magnitude_vector.mul_(1 + 0.2 * torch.rand(layer.out_features))
        for name in trained:
            value = model.get_parameter(name)
            value.copy_((value + _random(value, generator, 0.05)).bfloat16())
    return model.eval()


def _random(like, generator, size):
    return (size * torch.randn(like.shape, generator=generator)).bfloat16()


@pytest.fixture(params=KINDS, scope="module")
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def sample(tiny_model_folder):
    return sample_from([5, Grid((1, 4, 8)), 7], config=ModelConfig.from_folder(tiny_model_folder))


def logits(model, sample):
    with torch.no_grad():
        return model.logits(model(pack([sample])))


def test_merged_and_applied_networks_are_the_trained_one(
    tiny_model_folder, kind, sample, tmp_path
) -> None:
    trained = adapted(tiny_model_folder, **kind)
    wanted = logits(trained, sample)
    save_adapter(trained, tmp_path, base="base", trained=kind.get("trained", ()))
    plain = load_model(tiny_model_folder, dtype=torch.float32)
    assert not torch.allclose(logits(plain, sample), wanted, atol=1e-3)
    merged = load_model(tiny_model_folder, dtype=torch.float32)
    merged.load_state_dict(merge_adapter(merged.state_dict(), tmp_path))
    torch.testing.assert_close(logits(merged, sample), wanted, atol=1e-4, rtol=1e-4)
    # Beside the base, in the engine's way.
    adapters = Adapters(plain, load_adapters({"a": tmp_path}, tiny_model_folder))
    rows = len(sample.input_ids)
    with torch.no_grad(), adapters.applied([("a", rows)]):
        found = plain.logits(plain(pack([sample])))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    # The base and the adapter in one pass, each on one of two equal samples of text.
    both = pack([words := sample_from([9], config=plain.config), words])
    alone = logits(plain, words), logits(merged, words)
    count = len(words.input_ids)
    with torch.no_grad(), adapters.applied([(None, count), ("a", count)]):
        mixed = plain.logits(plain(both))
    torch.testing.assert_close(mixed, torch.cat(alone), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_an_adapter_on_packed_weights(tiny_model_folder, kind, sample, weights, tmp_path) -> None:
    """The gains of DoRA follow from the packed values, so its rows have the stored lengths."""
    save_adapter(
        adapted(tiny_model_folder, **kind), tmp_path, base="b", trained=kind.get("trained", ())
    )
    model = load_model(tiny_model_folder, dtype=torch.float32)
    pack_weights(model, weights)
    adapters = Adapters(model, load_adapters({"a": tmp_path}, tiny_model_folder))
    with torch.no_grad(), adapters.applied([("a", len(sample.input_ids))]):
        found = model.logits(model(pack([sample])))
    merged = unpacked(model)  # the values of the codes, to which the adapter is added
    merged.load_state_dict(merge_adapter(merged.state_dict(), tmp_path))
    wanted = logits(merged, sample)
    assert (found - wanted).norm() < 0.05 * wanted.norm()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_reads_it(tiny_model_folder, kind, tmp_path) -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    trained = adapted(tiny_model_folder, **kind)
    save_adapter(trained, tmp_path, base="base", trained=kind.get("trained", ()))
    theirs = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tiny_model_folder, dtype=torch.float32
    )
    loaded = peft.PeftModel.from_pretrained(theirs, tmp_path)
    merged = loaded.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    found = load_model(tmp_path / "merged", dtype=torch.float32).state_dict()
    merge_lora(trained)
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_ranks_and_scales_by_pattern(tiny_model_folder, tmp_path) -> None:
    save_adapter(adapted(tiny_model_folder, **KINDS["ranks"]), tmp_path, base="base")
    config = json.loads((tmp_path / CONFIG).read_text())
    assert (config["r"], config["lora_alpha"]) == (2, 3.0)  # of most layers
    assert sorted(config["rank_pattern"].values()) == [3, 4]
    assert sorted(config["alpha_pattern"].values()) == [1.0, 8.0]
    read = read_adapter(tmp_path).config
    assert read.scale_of("visual.merger.mlp.0") == pytest.approx(1 / 3)
    assert read.scale_of("visual.blocks.0.attn.proj") == 1.5
    assert read.scale_of("model.layers.0.self_attn.q_proj") == 2


def test_layers_that_are_trained_twice_are_refused(tiny_model_folder, tmp_path) -> None:
    model = adapted(tiny_model_folder)
    with pytest.raises(WeightsError, match=r"layers\.0\.self_attn\.q_proj have adapters and were"):
        save_adapter(model, tmp_path, base="b", trained=["model.layers.0.self_attn.q_proj.weight"])
    add_lora(model, ["visual.merger.mlp.0"], rank=2, alpha=2.0, seed=0, dora=True)
    with pytest.raises(WeightsError, match="adapters of 2 kinds"):
        save_adapter(model, tmp_path, base="b")


def test_a_patch_embedding_is_merged_only(tiny_model_folder, tmp_path) -> None:
    names = ["visual.patch_embed.proj.weight"]
    save_adapter(adapted(tiny_model_folder, trained=names), tmp_path, base="b", trained=names)
    model = load_model(tiny_model_folder, dtype=torch.float32)
    assert merge_adapter(model.state_dict(), tmp_path)
    with pytest.raises(ConfigError, match=r"stores visual\.patch_embed\.proj whole") as caught:
        Adapters(model, load_adapters({"a": tmp_path}, tiny_model_folder))
    assert "--adapter" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lora_magnitude_vector": None}, "do not fit use_dora = True"),
        (
            {"model.norm.weight": torch.ones(3)},
            r"model\.norm\.weight of shape \(3,\); the model has",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tiny_model_folder, change, words, tmp_path) -> None:
    names = ["model.norm.weight"]
    save_adapter(
        adapted(tiny_model_folder, dora=True, trained=names), tmp_path, base="b", trained=names
    )
    tensors = load_file(tmp_path / WEIGHTS)
    for part, value in change.items():
        for name in [name for name in tensors if name.endswith(part.removeprefix("model."))]:
            del tensors[name]
            if value is not None:
                tensors[name] = value
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(WeightsError, match=words):
        load_adapters({"a": tmp_path}, tiny_model_folder)


def test_an_embedding_without_its_tied_head_is_not_merged(tiny_model_folder, tmp_path) -> None:
    names = KINDS["embedding"]["trained"]
    save_adapter(adapted(tiny_model_folder, trained=names), tmp_path, base="b", trained=names)
    assert json.loads((tmp_path / CONFIG).read_text())["ensure_weight_tying"] is True
    tensors = load_file(tmp_path / WEIGHTS)
    del tensors["base_model.model.lm_head.weight"]
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(WeightsError, match="changes only one of token embedding and output head"):
        merge_adapter(load_model(tiny_model_folder).state_dict(), tmp_path)
    load_adapters({"a": tmp_path}, tiny_model_folder)


def test_the_weights_of_another_model_are_refused(tiny_model_folder, tmp_path, recwarn) -> None:
    """All shapes fit. Weights that were rounded or trained a little are accepted with a warning."""
    (tmp_path / "a").mkdir()
    save_adapter(adapted(tiny_model_folder), tmp_path / "a", base="mine")
    load_adapters({"a": tmp_path / "a"}, tiny_model_folder)
    assert not recwarn.list
    for size, name in ((0.05, "near"), (3.0, "far")):
        model = load_model(tiny_model_folder, dtype=torch.float32)
        torch.manual_seed(0)
        with torch.no_grad():
            for value in model.parameters():
                value += size * value.std() * torch.randn_like(value)
        save_model(model, tmp_path / name)
    with pytest.warns(UserWarning, match=r"trained on mine, whose weights differ .* by \d+% in "):
        load_adapters({"a": tmp_path / "a"}, tmp_path / "near")
    with pytest.raises(WeightsError, match="was trained on mine, whose weights differ") as caught:
        load_adapters({"a": tmp_path / "a"}, tmp_path / "far")
    assert "use it with mine" in caught.value.hint
    (tmp_path / "a" / RECORD).write_text("{")
    with pytest.raises(WeightsError, match=r"finesight\.json is broken"):
        load_adapters({"a": tmp_path / "a"}, tmp_path / "far")
    (tmp_path / "a" / RECORD).unlink()
    load_adapters({"a": tmp_path / "a"}, tmp_path / "far")
