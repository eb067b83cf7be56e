# SPDX-License-Identifier: Apache-2.0
"""A training that cannot start reports what is missing and writes no file, so that the next command works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from finesight.config.load import validate, write_recipe
from finesight.data.loader import PackStream, read_packs
from finesight.data.record import Glyph, Record, Truth
from finesight.data.shards import write_shard
from finesight.errors import DataError, ShardCorrupt
from finesight.train import export as exporting
from finesight.train import pretrain
from finesight.train.checkpoint import checkpoints
from finesight.train.recipe import PretrainRecipe


def record(index):
    return Record.of_picture(
        id=f"text-{index}",
        image=np.full((28, 56, 3), 200, np.uint8),
        turns=(("Read all the text in the image.", "ab"),),
        truth=Truth(glyphs=(Glyph("a", 9.0, 14.0, 0), Glyph("b", 15.0, 14.0, 1))),
        meta={"split": "train", "generator": "test", "seed": index, "tasks": []},
    )


@pytest.fixture
def recipe(tmp_path, tiny_model_folder):
    """A recipe of two steps whose run goes to `run`."""
    write_shard(tmp_path / "data" / "a.tar", [record(index) for index in range(8)])
    values = {
        "kind": "pretrain",
        "model": {"folder": str(tiny_model_folder)},
        "data": {
            "source": [{"path": str(tmp_path / "data")}],
            "pack_tokens": 256,
            "pack_patches": 256,
        },
        "optim": {"group": [{"match": "*", "algorithm": "adamw", "lr": 1e-3}]},
        "schedule": {"total_steps": 2, "warmup_steps": 1, "decay_steps": 1},
        "run": {"folder": "run", "precision": "float32", "log_every": 1},
    }
    found = validate(values, PretrainRecipe, where="test")
    write_recipe(found, tmp_path / "recipe.toml")
    return found


@pytest.fixture
def train(finesight, recipe, monkeypatch):
    """`train(*words)`: the command with that recipe, in this process."""
    monkeypatch.setattr("signal.signal", lambda *_: None)  # those of this process stay
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    return lambda *words: finesight("train", "recipe.toml", *words)


CANNOT_BEGIN = {
    "no model": (2, "model.folder=nowhere", "model.folder = 'nowhere': there is no such folder"),
    "no weights": (2, "model.start_from=no", "model.start_from = 'no': there is no such folder"),
    "a folder without weights": (2, "model.start_from=data", "data/config.json"),
    "no data": (1, 'data.source=[{path="empty"}]', "there is no folder empty"),
    "no shards": (1, 'data.source=[{path="."}]', "holds no shard"),
    "the run is a file": (2, "run.folder=recipe.toml", "recipe.toml is a file"),
    "the run lies below a file": (2, "run.folder=recipe.toml/run", "recipe.toml is a file"),
    "the run cannot be made": (2, "run.folder=/proc/nope", "/proc/nope cannot be written"),
    "a name that is too long": (2, f"run.folder={'x' * 300}", "File name too long"),
}


@pytest.mark.parametrize("fault", CANNOT_BEGIN)
def test_what_cannot_begin_is_named_and_leaves_nothing(train, tmp_path, fault):
    code, setting, said = CANNOT_BEGIN[fault]
    before = sorted(tmp_path.rglob("*"))
    failed = train("--set", setting)
    assert failed.code == code, failed.err
    assert said in failed.err
    assert "Traceback" not in failed.err
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_of_a_recipe_start_where_the_command_does(train, tmp_path):
    assert f"are relative to {tmp_path}" in train("--set", "model.folder=src/assets").err


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_of_threads_is_at_least_one(train, number):
    failed = train("--threads", number)
    assert failed.code == 2
    assert "threads" in failed.err


def test_an_export_that_cannot_be_written_is_refused_before_the_training(train, tmp_path):
    failed = train("--export", "recipe.toml")
    assert failed.code == 2
    assert not (tmp_path / "run").exists()


def test_the_right_command_after_wrong_ones_trains(train, recipe, tmp_path):
    assert train("--set", "model.start_from=nowhere").code == 2
    done = train("--export", "model")
    assert done.code == 0, done.err
    assert (tmp_path / "model" / "config.json").exists()
    # a run goes on with its own model only; what it holds stays
    kept = (tmp_path / "run" / "config.toml").read_text()
    other = tmp_path / "other"
    shutil.copytree(recipe.model.folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"intermediate_size": 128}))
    failed = train("--set", "model.folder=other")
    assert failed.code == 1
    assert "do not fit the model of this recipe" in failed.err
    assert (tmp_path / "run" / "config.toml").read_text() == kept


def test_another_mixture_is_another_run(train, tmp_path):
    assert train().code == 0
    kept = (tmp_path / "run" / "config.toml").read_text()
    failed = train("--set", 'data.source=[{path="data"},{path="./data"}]')
    assert failed.code == 2
    assert "made with 1 data sources, the recipe has 2" in failed.err
    assert (tmp_path / "run" / "config.toml").read_text() == kept


def test_an_export_that_fails_leaves_no_folder(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pretrain.start(recipe).save()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(DataError, match=r"model folder new/m cannot be written: .*No space"):
            exporting.export(recipe.run.folder, recipe.model.folder, Path("new/m"))
    assert list(Path("new").iterdir()) == []
    exporting.export(recipe.run.folder, recipe.model.folder, Path("new/m"))
    assert (tmp_path / "new" / "m" / "tokenizer.json").exists()


def test_a_recipe_of_another_kind_is_called_so(finesight, tmp_path):
    (tmp_path / "k.toml").write_text('kind = "data"\nseed = 1\n')
    failed = finesight("train", "k.toml")
    assert failed.code == 2
    kinds = "kind 'pretrain' or 'sft' or 'dpo' or 'grpo' is needed"
    assert f"k.toml is a recipe of kind 'data', {kinds}" in failed.err
    assert "finesight data build" in failed.err
    (tmp_path / "k.toml").write_text("[model]\nfolder = 'x'\n")
    assert "k.toml: kind is missing" in finesight("train", "k.toml").err


def test_what_a_worker_meets_is_no_traceback(recipe, tmp_path):
    shard = tmp_path / "data" / "a.tar"
    content = shard.read_bytes()
    shard.write_bytes(content.replace(b'"messages"', b'"massages"'))
    with pytest.raises(ShardCorrupt) as error:
        list(read_packs(PackStream(recipe.data, recipe.model.folder)))
    assert error.value.message.startswith(f"shard {shard}, record ")
    assert "Traceback" not in str(error.value)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = pretrain.start(recipe)
    whole = trainer.save()
    (whole.parent / ".step_00000009.part").mkdir()  # of a run that was killed

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("finesight.train.checkpoint.save_file", full)
    with pytest.raises(DataError, match=r"cannot be written: .*No space left"):
        trainer.save()
    assert list(whole.parent.iterdir()) == [whole] == checkpoints(whole.parent)
