# SPDX-License-Identifier: Apache-2.0
"""A run stops when the held-back loss no longer falls, and is exported with its best weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from finesight.config.load import validate
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, DataError
from finesight.model.weights import load_model
from finesight.train import export, pretrain
from finesight.train.checkpoint import BEST_FILE, checkpoints, final_weights
from finesight.train.early_stop import LOSS, EarlyStop, read_best, read_history
from finesight.train.recipe import SftRecipe

META = {"split": "train", "generator": "test"}


def records(words):
    pictures = np.random.default_rng(0).integers(0, 255, (len(words), 28, 56, 3), dtype=np.uint8)
    for number, (word, picture) in enumerate(zip(words, pictures, strict=True)):
        yield Record.of_picture(
            id=f"r-{number}", image=picture, turns=(("What is it?", word),), meta=META
        )


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "train" / "a.tar", records(["cat", "dog", "cow"] * 4))
    write_shard(folder / "same" / "a.tar", records(["cat", "dog", "cow"] * 2))
    write_shard(folder / "other" / "a.tar", records(["QX 17", "ZK 99", "7777"]))
    return folder


def recipe(shards, tiny_model_folder, folder, *, held_back="same", patience=2, steps=8):
    values = {
        "kind": "sft",
        "model": {"folder": str(tiny_model_folder), "seed": 1},
        "data": {"source": [{"path": str(shards / "train")}], "pack_tokens": 256, "jitter": 0},
        "optim": {"group": [{"match": "*", "algorithm": "adamw", "lr": 3e-3}]},
        "schedule": {"total_steps": steps, "warmup_steps": 1},
        "held_back": {"path": str(shards / held_back), "patience": patience},
        "run": {
            "folder": str(folder),
            "precision": "float32",
            "log_every": 1,
            "evaluate_every": 2,
            "average_decay": 0.5,
        },
    }
    return validate(values, SftRecipe, where="test")


def trained(made):
    trainer = pretrain.start(made)
    stop = EarlyStop.of(trainer, made)
    if not trainer.state.step:
        trainer.evaluated(stop)
    trainer.run(report=lambda *_: None, evaluate=stop)
    return trainer, stop


def test_the_loss_falls_and_the_best_weights_are_kept(shards, tiny_model_folder, tmp_path):
    trainer, stop = trained(recipe(shards, tiny_model_folder, tmp_path))
    assert [each.step for each in stop.history] == [0, 2, 4, 6, 8]
    assert stop.history[-1].loss < stop.history[0].loss
    assert stop.best == min(stop.history, key=lambda each: each.loss) == read_best(tmp_path)
    assert read_history(tmp_path) == stop.history
    if stop.best.step == 8:
        kept = final_weights(tmp_path)
        for name, value in trainer.average.tensors.items():
            assert torch.equal(kept[name], value), name


def test_the_run_ends_after_the_patience_with_the_weights_of_the_lowest_loss(
    shards, tiny_model_folder, tmp_path
):
    made = recipe(shards, tiny_model_folder, tmp_path, held_back="other", patience=1, steps=400)
    trainer, stop = trained(made)
    assert stop.is_over
    assert trainer.was_stopped
    assert trainer.state.step < 400
    assert stop.history[-1].step == trainer.state.step > stop.best.step
    assert stop.best.loss < stop.history[-1].loss
    # The exported model is that of the best step: its loss is the recorded one.
    kept = final_weights(tmp_path)
    for name, value in trainer.average.tensors.items():
        value.copy_(kept[name])
    stop.history.clear()
    assert trainer.evaluated(stop)[LOSS] == pytest.approx(stop.best.loss, rel=1e-5)


def test_a_finished_run_is_over_when_it_is_started_again(shards, tiny_model_folder, tmp_path):
    made = recipe(shards, tiny_model_folder, tmp_path, held_back="other", patience=1, steps=400)
    trained(made)
    again = pretrain.start(made)
    assert EarlyStop.of(again, made).is_over


def test_losses_of_steps_that_are_repeated_are_dropped(shards, tiny_model_folder, tmp_path):
    made = recipe(shards, tiny_model_folder, tmp_path)
    _, whole = trained(made)
    other = recipe(shards, tiny_model_folder, tmp_path / "again")
    first = pretrain.start(other)
    first.run(report=lambda step, values: first.stop() if step == 3 else None)
    for name in ("held_back.json", BEST_FILE):
        (tmp_path / "again" / name).write_bytes((tmp_path / name).read_bytes())
    trainer = pretrain.start(other)  # killed after step 8, with a checkpoint of step 3
    stop = EarlyStop.of(trainer, other)
    assert [each.step for each in stop.history] == [0, 2]
    assert not stop.is_over
    trainer.run(report=lambda *_: None, evaluate=stop)
    assert stop.history == whole.history


def test_a_run_without_a_checkpoint_ignores_the_best_weights_of_an_earlier_start(
    shards, tiny_model_folder, tmp_path
):
    """They may be of another recipe, and would be exported instead of those of this run."""
    (tmp_path / "held_back.json").write_text("[[0, 0.25], [2, 0.01]]")
    header = {"step": "2", "loss": "0.01"}
    save_file({"model.of_another_recipe": torch.zeros(2)}, tmp_path / BEST_FILE, metadata=header)
    made = recipe(shards, tiny_model_folder, tmp_path)
    trainer = pretrain.start(made)
    stop = EarlyStop.of(trainer, made)
    assert (stop.best, stop.history) == (None, [])
    assert not (tmp_path / BEST_FILE).exists()
    loss = trainer.evaluated(stop)[LOSS]
    assert read_best(tmp_path) == (0, loss)
    assert loss > 0.25


def test_the_export_of_a_checkpoint_has_its_own_weights(shards, tiny_model_folder, tmp_path):
    made = recipe(shards, tiny_model_folder, tmp_path, steps=2)
    trainer, stop = trained(made)
    for value in trainer.average.tensors.values():
        value.zero_()
    stop.history.clear()
    stop._best = None  # zeros become the best weights
    trainer.evaluated(stop)
    (checkpoint,) = checkpoints(tmp_path / "checkpoints")
    export.exporter(made.run, tiny_model_folder)(checkpoint)
    export.export(tmp_path, tiny_model_folder, tmp_path / "final")
    name = "model.embed_tokens.weight"
    for folder, is_zero in (
        (tmp_path / "exports" / checkpoint.name, False),
        (tmp_path / "final", True),
    ):
        assert bool(load_model(folder).state_dict()[name].any()) != is_zero


def test_a_resumed_run_keeps_its_held_back_records(shards, tiny_model_folder, tmp_path):
    made = recipe(shards, tiny_model_folder, tmp_path, steps=2)
    trained(made)
    pretrain.start(recipe(shards, tiny_model_folder, tmp_path, patience=5, steps=4))
    with pytest.raises(
        ConfigError, match=r"has held_back\.path = .*same', the recipe has .*other'"
    ):
        pretrain.start(recipe(shards, tiny_model_folder, tmp_path, held_back="other", steps=4))


def test_a_recipe_without_held_back_records_has_no_early_stop(shards, tiny_model_folder, tmp_path):
    made = recipe(shards, tiny_model_folder, tmp_path).model_copy(update={"held_back": None})
    assert EarlyStop.of(pretrain.start(made), made) is None


@pytest.mark.parametrize(("name", "content"), [("held_back.json", b"{"), (BEST_FILE, b"x")])
def test_broken_files_are_named(shards, tiny_model_folder, tmp_path, name, content):
    made = recipe(shards, tiny_model_folder, tmp_path, steps=1)
    pretrain.start(made).run(report=lambda *_: None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        EarlyStop.of(pretrain.start(made), made)


def test_a_full_disk_stops_the_run_with_a_hint(shards, tiny_model_folder, tmp_path, monkeypatch):
    made = recipe(shards, tiny_model_folder, tmp_path)
    trainer = pretrain.start(made)
    stop = EarlyStop.of(trainer, made)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finesight.train.early_stop.save_file", full)
    with pytest.raises(DataError, match="No space left") as refused:
        trainer.evaluated(stop)
    assert "free disk space" in refused.value.hint
    assert read_best(tmp_path) is None
