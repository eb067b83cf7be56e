# SPDX-License-Identifier: Apache-2.0
"""Adapters over a base in bfloat16, 8 and 4 bits: trained, resumed, exported, and used where they are read."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from finesight.checkpoints.adapters import CONFIG, WEIGHTS, load_adapters, merge_adapter
from finesight.checkpoints.export.plain import unpacked
from finesight.checkpoints.packed import load_packed, write_packed
from finesight.cli.app import run
from finesight.config.load import validate
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, DataError
from finesight.model.lora import lora_layers
from finesight.model.packed_linear import PackedLinear
from finesight.model.weights import load_model, save_model
from finesight.processor.from_hf import read_json, read_trained_pixels
from finesight.train import export as exporting
from finesight.train import pretrain
from finesight.train.checkpoint import checkpoints, load_checkpoint
from finesight.train.recipe import PretrainRecipe
from tests.e2e.test_train_adapters import _said, _seen

LORA = {"match": "model.*.lora_*", "algorithm": "adamw", "lr": 1e-2}
MERGER = {"match": "model.visual.merger.*", "algorithm": "adamw", "lr": 2e-3}
FROZEN = {"match": "*", "algorithm": "frozen"}
BASES = ("bfloat16", "int8", "int4")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """Packed models are kept in a folder of the tests."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setattr("finesight.checkpoints.packed.user_cache_path", lambda name: folder)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantised_base")
    write_shard(folder / "seen" / "a.tar", [_seen(index) for index in range(9)])
    write_shard(folder / "said" / "a.tar", [_said(index) for index in range(9)])
    return folder


@pytest.fixture
def recipe(shards, tiny_model_folder, tmp_path):
    def make(name="run", base="int4", **changes):
        values = {
            "kind": "pretrain",
            "model": {"folder": str(tiny_model_folder), "start_from": str(tiny_model_folder)},
            "data": {
                "source": [{"path": str(shards / "seen")}, {"path": str(shards / "said")}],
                "pack_tokens": 256,
                "pack_patches": 256,
            },
            "optim": {"group": [LORA, MERGER, FROZEN]},
            "schedule": {"total_steps": 3, "warmup_steps": 1, "decay_steps": 1},
            "lora": {"rank": 3, "alpha": 6.0, "targets": ["language", "vision"], "base": base},
            "run": {
                "folder": str(tmp_path / name),
                "precision": "float32",
                "log_every": 1,
                "average_decay": 0.5,
            },
        }
        if base == "bfloat16":
            values["run"]["precision"] = "bfloat16"
        for section, table in changes.items():
            values[section] = values.get(section, {}) | table
        return validate(values, PretrainRecipe, where="test")

    return make


pytestmark = pytest.mark.filterwarnings("ignore:.*packing the weights")


def trained(recipe):
    trainer = pretrain.start(recipe)
    trainer.run(report=lambda step, values: None)
    return trainer


def stored(recipe):
    return load_checkpoint(checkpoints(recipe.run.folder / "checkpoints")[-1])[1]


def gradients(trainer):
    """Loss and gradients of the first step, and how many trained values there are."""
    caught = {}
    step = trainer.optimizers.step

    def keep(scale, allows):
        for name, weight in trainer.model.named_parameters():
            if weight.grad is not None:
                caught[name] = weight.grad.clone()
        return step(scale, allows)

    trainer.optimizers.step = keep
    values = trainer.step(next(iter(trainer.packs())))
    return float(values["loss"].total), caught


@pytest.mark.parametrize("base", ["int8", "int4"])
@pytest.mark.parametrize("options", [{}, {"dora": True, "rslora": True}])
def test_a_step_is_that_over_the_values_of_the_codes(
    recipe, base, options, tiny_model_folder, tmp_path
) -> None:
    """Loss and gradients of QLoRA are those of LoRA on a plain model with the dequantised weights."""
    values = unpacked(load_packed(tiny_model_folder, base))
    save_model(values, tmp_path / "plain")
    ours = pretrain.start(recipe(base=base, lora={"base": base, **options}))
    plain = recipe("other", base="float32", lora={"base": "float32", **options})
    theirs = pretrain.start(
        plain.model_copy(
            update={"model": plain.model.model_copy(update={"start_from": tmp_path / "plain"})}
        )
    )
    assert any(isinstance(one, PackedLinear) for one in ours.model.modules())
    found, wanted = (moved_gradients(one) for one in (ours, theirs))
    assert found[0] == pytest.approx(wanted[0], abs=1e-5)
    assert found[1].keys() == wanted[1].keys()
    for name, value in wanted[1].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-5, rtol=1e-4, msg=name)


def moved_gradients(trainer):
    """As `gradients`, of adapters that change the model."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for layer in lora_layers(trainer.model).values():
            layer.lora_B.weight.copy_(
                0.1 * torch.randn(layer.lora_B.weight.shape, generator=generator)
            )
    return gradients(trainer)


@pytest.mark.parametrize("base", BASES)
def test_only_what_is_trained_is_wide_and_in_the_checkpoint(recipe, base) -> None:
    chosen = recipe(base=base)
    trainer = trained(chosen)
    named = dict(trainer.model.named_parameters())
    for name, value in named.items():
        is_trained = ".lora_" in name or name.startswith("visual.merger.")
        assert value.requires_grad == is_trained, name
        if is_trained:
            assert value.dtype == torch.float32, name
        elif base == "bfloat16":
            assert value.dtype == torch.bfloat16, name
    parts = stored(chosen)
    wanted = {f"model.{name}" for name, value in named.items() if value.requires_grad}
    assert parts["weights"].keys() == parts["average"].keys() == wanted
    lines = (chosen.run.folder / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 3


@pytest.mark.parametrize("base", BASES)
def test_a_stopped_run_resumes_with_the_same_weights(recipe, base) -> None:
    options = {"base": base, "dora": True}
    whole = recipe("whole", base=base, lora=options)
    trained(whole)
    trained(recipe("twice", base=base, lora=options, schedule={"total_steps": 2, "decay_steps": 0}))
    broken = recipe("twice", base=base, lora=options)
    trained(broken)
    one, other = stored(whole), stored(broken)
    for part in ("weights", "average", "optimizer"):
        assert one[part].keys() == other[part].keys()
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), name


@pytest.mark.parametrize("base", BASES)
def test_gradient_checkpointing_is_the_same_step(recipe, base) -> None:
    found = []
    for is_on in (False, True):
        run_section = {"gradient_checkpointing": is_on}
        options = {"dora": True, "dropout": 0.2, "base": base}
        trainer = pretrain.start(recipe(f"on_{is_on}", base=base, run=run_section, lora=options))
        torch.manual_seed(3)
        found.append(moved_gradients(trainer))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    for name, value in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], value, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("base", BASES)
def test_the_run_is_exported_merged_and_as_an_adapter(
    recipe, base, tiny_model_folder, tmp_path, capsys
) -> None:
    """Both are the base with what was trained: the merger, stored whole, and adapters of decoder and tower."""
    chosen = recipe(base=base, lora={"base": base, "dora": True})
    trained(chosen)
    words = ["export", str(chosen.run.folder), str(tmp_path / "adapter"), "--to", "lora"]
    assert run([*words, "--base", str(tiny_model_folder)]) == 0, capsys.readouterr().err
    config = read_json(tmp_path / "adapter" / CONFIG)
    assert config["use_dora"] is True
    assert "model.visual.merger.mlp.0" in config["modules_to_save"]
    assert load_adapters({"a": tmp_path / "adapter"}, tiny_model_folder)
    assert read_trained_pixels(tmp_path / "adapter") == (3136, 12845056)
    assert (tmp_path / "adapter" / "preprocessor_config.json").is_file()
    exporting.export(chosen.run.folder, tiny_model_folder, tmp_path / "merged")
    assert read_trained_pixels(tmp_path / "merged") == (3136, 12845056)
    found = load_model(tmp_path / "merged", dtype=torch.float32).state_dict()
    before = load_model(tiny_model_folder, dtype=torch.float32).state_dict()
    wanted = merge_adapter(before, tmp_path / "adapter")
    changed = [name for name, value in wanted.items() if not torch.equal(value, before[name])]
    assert {name.split(".")[0] for name in changed} == {"model", "visual"}
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=2e-3, rtol=2e-2, msg=name)
    assert load_file(tmp_path / "adapter" / WEIGHTS)


def test_a_folder_of_packed_weights_is_a_base(recipe, tiny_model_folder, tmp_path) -> None:
    write_packed(tiny_model_folder, "int4", tmp_path / "packed")
    start = {"folder": str(tiny_model_folder), "start_from": str(tmp_path / "packed")}
    one, other = recipe(model=start), recipe("other")
    assert gradients(pretrain.start(one))[0] == gradients(pretrain.start(other))[0]
    with pytest.raises(ConfigError, match="packed as int4, not int8"):
        pretrain.start(recipe("wrong", base="int8", model=start))


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        ("int4", {"model": {"start_from": None}}, "model.start_from is not set"),
        ("int4", {"model": {"start_from": "/nowhere"}}, "'/nowhere' is no model folder"),
        ("bfloat16", {"run": {"precision": "float32"}}, "lora.base = 'bfloat16' and run.precision"),
        ("int4", {"lora": {"targets": ["towers"]}}, "lora target 'towers' matches none"),
        (
            "int4",
            {"optim": {"group": [{**LORA, "match": "model.model.layers.0.mlp.up_proj.weight"}, FROZEN]}},
            "matches no parameter",
        ),
    ],
)  # fmt: skip
def test_recipes_that_cannot_work(recipe, base, changes, words, tmp_path) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        pretrain.start(recipe(base=base, **changes))
    assert not (tmp_path / "run").exists()
    assert caught.value.message


def test_a_run_is_no_base(recipe, tmp_path) -> None:
    trained(recipe("first"))
    start = {"folder": "/x", "start_from": str(tmp_path / "first")}
    start["folder"] = str(recipe().model.folder)
    with pytest.raises(ConfigError, match="is no model folder") as caught:
        pretrain.start(recipe("second", model=start))
    assert "finesight export" in caught.value.hint


def test_another_base_of_a_run_is_refused_at_export(recipe, tiny_model_folder) -> None:
    chosen = recipe()
    trained(chosen)
    path = chosen.run.folder / "config.toml"
    kept = path.read_text()
    path.write_text(kept.replace("rank = 3", "rank = 2"))
    with pytest.raises(DataError, match="do not fit"):
        exporting.averaged_model(chosen.run.folder, tiny_model_folder)
    path.write_text(kept.replace(f'start_from = "{tiny_model_folder}"', 'start_from = "gone"'))
    with pytest.raises(ConfigError, match="is no model folder, and the run has only its adapters"):
        exporting.averaged_model(chosen.run.folder, tiny_model_folder)
