# SPDX-License-Identifier: Apache-2.0
"""A small recipe from shards to an exported model; a stopped run resumes without a difference."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from finesight.cli.card import evaluation
from finesight.config.load import validate, write_recipe
from finesight.data.record import Glyph, Record, SceneObject, Truth
from finesight.data.shards import write_shard
from finesight.errors import ConfigError, DataError, EvalError
from finesight.model.weights import load_model
from finesight.train import export as exporting
from finesight.train import pretrain
from finesight.train.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from finesight.train.recipe import PretrainRecipe

WORDS = ("ab", "cat", "d1", "Eg", "fog", "hi")


def _text_record(index: int) -> Record:
    word = WORDS[index % len(WORDS)]
    picture = Image.new("RGB", (56, 28), "white")
    ImageDraw.Draw(picture).text((6, 8), word, fill="black")
    glyphs = tuple(Glyph(char, 9.0 + 6 * place, 14.0, place) for place, char in enumerate(word))
    return _record(
        f"text-{index}",
        picture,
        (("Read all the text in the image.", word),),
        Truth(glyphs=glyphs),
        allows=("move", "invert"),
    )


def _scene_record(index: int) -> Record:
    picture = Image.new("RGB", (84, 84), "white")
    x = 4 + 7 * (index % 6)
    ImageDraw.Draw(picture).rectangle((x, 20, x + 30, 50), fill="red")
    thing = SceneObject((x, 20, x + 31, 51), "red square")
    point = f'<points x1="{x + 15}" y1="35" alt="red square">red square</points>'
    turns = (
        ("How many red squares are there in the image?", "1"),
        ("Point to the red square.", point),
    )
    return _record(f"scene-{index}", picture, turns, Truth(objects=(thing,)))


def _record(name, picture, turns, truth, allows=()) -> Record:
    return Record.of_picture(
        id=name,
        image=np.array(picture),
        turns=turns,
        truth=truth,
        allows=allows,
        meta={"split": "train", "generator": "test", "seed": 0},
    )


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "text" / "a.tar", [_text_record(index) for index in range(23)])
    write_shard(folder / "scenes" / "a.tar", [_scene_record(index) for index in range(17)])
    return folder


def _recipe(shards: Path, model_folder: Path, folder: Path, **changes) -> PretrainRecipe:
    values = {
        "kind": "pretrain",
        "model": {"folder": str(model_folder), "seed": 3},
        "data": {
            "source": [
                {"path": str(shards / "text"), "weight": 2.0},
                {"path": str(shards / "scenes")},
            ],
            "pack_tokens": 512,
            "pack_patches": 256,
            "characters": "abcdefghi1E",
            "objects": ["red square"],
        },
        "optim": {
            "group": [
                {"match": "model.*.blocks.*", "ndim": 2, "algorithm": "muon", "lr": 3e-3},
                {"match": "*", "algorithm": "adamw", "lr": 2e-3},
            ]
        },
        "schedule": {"total_steps": 6, "warmup_steps": 2, "decay_steps": 2},
        "loss": {"tokens": 1.0, "characters": 0.3, "objects": 0.3, "boxes": 0.3},
        "run": {"folder": str(folder), "precision": "float32", "log_every": 1},
    }
    for section, table in changes.items():
        values[section] = values[section] | table
    return validate(values, PretrainRecipe, where="test")


def _train(recipe: PretrainRecipe) -> pretrain.Trainer:
    trainer = pretrain.start(recipe)
    trainer.run(report=lambda step, values: None)
    return trainer


@pytest.mark.parametrize("workers", [1, 2])
def test_stopped_and_resumed_is_the_same_as_unbroken(
    shards, tiny_model_folder, tmp_path, workers
) -> None:
    data = {"workers": workers}
    unbroken = _train(_recipe(shards, tiny_model_folder, tmp_path / "a", data=data))
    first = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "b", data=data))
    for group in first.packs():
        first.step(group)
        first._advance(group, 0.0)
        if first.state.step == 3:
            break
    first.save()
    resumed = _train(_recipe(shards, tiny_model_folder, tmp_path / "b", data=data))
    assert resumed.state.step == unbroken.state.step == 6
    assert resumed.state.samples == unbroken.state.samples
    assert resumed.state.cursor == unbroken.state.cursor
    for name, value in unbroken.weights.state_dict().items():
        assert torch.equal(value, resumed.weights.state_dict()[name]), name
    for name, value in unbroken.average.tensors.items():
        assert torch.equal(value, resumed.average.tensors[name]), name


def test_a_stopped_run_keeps_its_last_step(shards, tiny_model_folder, tmp_path) -> None:
    trainer = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "a"))

    def stop_at_two(step: int, values: dict[str, float]) -> None:
        if step == 2:
            trainer.stop()

    trainer.run(report=stop_at_two)
    assert trainer.state.step == 2
    assert pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "a")).state.step == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_keeps_the_last_step(
    shards, tiny_model_folder, tmp_path, number
) -> None:
    """As with Ctrl-C in a terminal, the loader's workers get the signal, too, here before the run."""
    folder = tmp_path / "run"
    schedule = {"total_steps": 100_000, "warmup_steps": 2, "decay_steps": 2}
    data = {"workers": 2}
    recipe = _recipe(shards, tiny_model_folder, folder, schedule=schedule, data=data)
    write_recipe(recipe, tmp_path / "recipe.toml")
    command = [sys.executable, "-m", "finesight.cli.train", str(tmp_path / "recipe.toml")]
    log = folder / "log.jsonl"

    def wait_for_lines(wanted: int) -> int:
        deadline = time.monotonic() + 120
        while (found := log.read_text().count("\n") if log.exists() else 0) < wanted:
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found

    with subprocess.Popen([*command, "--threads", "1"]) as run:
        before = wait_for_lines(3)
        for worker in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split():
            os.kill(int(worker), number)
        wait_for_lines(before + 20)
        run.send_signal(number)
        assert run.wait(timeout=60) == 130
    last = json.loads(log.read_text().splitlines()[-1])["step"]
    assert checkpoints(folder / "checkpoints")[-1].name == f"step_{last:08}"


@pytest.fixture
def heldout(tmp_path) -> Path:
    meta = {"split": "heldout", "generator": "test", "seed": 0, "language": "en"}
    write_shard(tmp_path / "heldout" / "a.tar", [replace(_text_record(0), meta=meta)])
    return tmp_path / "heldout"


def test_the_command_scores_while_it_trains(
    finesight, shards, tiny_model_folder, heldout, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # those of this process stay
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    recipe = _recipe(shards, tiny_model_folder, tmp_path / "a", schedule={"total_steps": 4})
    write_recipe(recipe, tmp_path / "recipe.toml")
    done = finesight("train", "recipe.toml", "--evaluate", heldout, "--evaluate-limit", 1)
    assert done.code == 0, done.err
    assert "card/text_text " in done.err
    wrong = finesight("train", "recipe.toml", "--evaluate", shards / "text")
    assert wrong.code != 0
    assert "split 'train', not heldout" in wrong.err


def test_averaged_weights_are_scored_on_held_out_data(
    shards, tiny_model_folder, heldout, tmp_path
) -> None:
    score = evaluation([heldout], tiny_model_folder, limit=1)
    run = {"folder": str(tmp_path / "a"), "evaluate_every": 2}
    scored = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "a", run=run))
    scored.run(report=lambda step, values: None, evaluate=score)
    log = (tmp_path / "a" / "log.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, log) if "card/text_text" in row]
    assert [row["step"] for row in rows] == [2, 4, 6, 6]
    assert all(0 <= row["card/text_text"] <= 1 >= row["card/text_text/blank"] for row in rows)
    plain = _train(_recipe(shards, tiny_model_folder, tmp_path / "b"))
    for name, value in plain.weights.state_dict().items():  # looking changes nothing
        assert torch.equal(value, scored.weights.state_dict()[name]), name


def test_averaged_weights_are_scored_on_real_data(shards, tiny_model_folder, tmp_path) -> None:
    (tmp_path / "real" / "skimage").mkdir(parents=True)
    for name, size in (("coins", (384, 303)), ("page", (384, 191))):
        Image.new("L", size, 90).save(tmp_path / "real" / "skimage" / f"{name}.png")
    score = evaluation([], tiny_model_folder, limit=1, real=[tmp_path / "real"])
    trainer = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "a"))
    found = score(trainer.model)
    assert set(found) == {
        *("card/coins", "card/coins/blank", "card/page_scan", "card/page_scan/blank")
    }
    with pytest.raises(EvalError, match="there is nothing to score in"):
        evaluation([], tiny_model_folder, limit=1, real=[tmp_path / "a"])


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("data", {"pack_tokens": 1500}, r"data\.pack_tokens = \d+, the recipe has 1500"),
        ("loss", {"tokens": 0.5}, r"loss\.tokens = 1\.0, the recipe has 0\.5"),
        ("model", {"seed": 7}, r"model\.seed = 3, the recipe has 7"),
    ],
)
def test_a_run_resumes_only_with_its_own_settings(
    shards, tiny_model_folder, tmp_path, section, value, said
) -> None:
    schedule = {"total_steps": 2, "warmup_steps": 1, "decay_steps": 1}
    recipe = _recipe(shards, tiny_model_folder, tmp_path / "a", schedule=schedule)
    _train(recipe)
    kept = (tmp_path / "a" / "config.toml").read_text()
    changed = getattr(recipe, section).model_copy(update=value)
    with pytest.raises(ConfigError, match=said) as raised:
        pretrain.start(recipe.model_copy(update={section: changed}))
    assert "model.start_from" in raised.value.hint
    assert (tmp_path / "a" / "config.toml").read_text() == kept
    longer = recipe.schedule.model_copy(update={"total_steps": 3})
    assert _train(recipe.model_copy(update={"schedule": longer})).state.step == 3


def test_one_process_trains_in_a_folder(shards, tiny_model_folder, tmp_path) -> None:
    schedule = {"total_steps": 2, "warmup_steps": 1, "decay_steps": 1}
    trainer = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "a", schedule=schedule))
    with (tmp_path / "a" / "train.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process writes to"):
            trainer.run(report=lambda step, values: None)
    trainer.run(report=lambda step, values: None)
    assert trainer.state.step == 2


def test_another_number_of_workers_resumes_the_same(shards, tiny_model_folder, tmp_path) -> None:
    unbroken = _train(_recipe(shards, tiny_model_folder, tmp_path / "a"))
    first = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "b"))
    first.run(report=lambda step, values: first.stop() if step == 3 else None)
    changed = _recipe(shards, tiny_model_folder, tmp_path / "b", data={"workers": 2})
    resumed = _train(changed)
    assert resumed.state.step == unbroken.state.step == 6
    for name, value in unbroken.weights.state_dict().items():
        assert torch.equal(value, resumed.weights.state_dict()[name]), name


def test_a_run_of_version_0_2_resumes(shards, tiny_model_folder, tmp_path) -> None:
    """Its recipe has fewer keys, and its position is one of a worker."""
    recipe = _recipe(shards, tiny_model_folder, tmp_path / "a")
    trainer = pretrain.start(recipe)
    trainer.run(report=lambda step, values: trainer.stop() if step == 2 else None)
    (newest,) = checkpoints(tmp_path / "a" / "checkpoints")
    state = json.loads((newest / "state.json").read_text())
    state["cursor"] = {"workers": [{"drawn": 12, "taken": [7, 5]}], "next": 0}
    (newest / "state.json").write_text(json.dumps(state))
    config = (tmp_path / "a" / "config.toml").read_text().splitlines()
    new_keys = ("weigh_by", "window", "executor", "skip_share")
    kept = [line for line in config if line.partition(" ")[0] not in new_keys]
    assert len(kept) == len(config) - len(new_keys)
    (tmp_path / "a" / "config.toml").write_text("\n".join(kept))
    assert _train(recipe).state.step == 6


def test_a_run_ends_with_its_epochs(shards, tiny_model_folder, tmp_path) -> None:
    """Every record is used once in each epoch, also those of the last, partial group of packs."""
    data = {"epochs": 2}
    run = {"folder": str(tmp_path / "a"), "accumulate": 3}
    recipe = _recipe(shards, tiny_model_folder, tmp_path / "a", data=data, run=run)
    schedule = recipe.schedule.model_copy(update={"total_steps": 1000})
    trainer = _train(recipe.model_copy(update={"schedule": schedule}))
    assert trainer.state.samples == 2 * (2 * 23 + 17)  # the weight 2 is two passes
    assert not any(trainer.state.cursor["held"])


def test_loss_falls_and_the_export_answers(shards, tiny_model_folder, tmp_path) -> None:
    recipe = _recipe(shards, tiny_model_folder, tmp_path / "run", schedule={"total_steps": 40})
    _train(recipe)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["tokens"] < 0.5 * rows[0]["tokens"]
    assert rows[-1]["characters"] < rows[0]["characters"]
    exporting.export(tmp_path / "run", tiny_model_folder, tmp_path / "model")
    loaded = load_model(tmp_path / "model", dtype=torch.float32)
    average = pretrain.start(recipe).average.tensors["model.model.norm.weight"]
    assert torch.equal(loaded.model.norm.weight, average.to(torch.bfloat16).float())
    assert (tmp_path / "model" / "tokenizer.json").exists()


def test_next_stage_starts_from_averaged_weights(shards, tiny_model_folder, tmp_path) -> None:
    first = _train(_recipe(shards, tiny_model_folder, tmp_path / "first"))
    model = {"start_from": str(tmp_path / "first")}
    second = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "second", model=model))
    assert second.state.step == 0
    assert second.notes == []
    for name, value in second.weights.named_parameters():
        assert torch.equal(value, first.average.tensors[name]), name


def test_heads_that_do_not_fit_the_next_stage_are_named(
    finesight, shards, tiny_model_folder, tmp_path, monkeypatch
) -> None:
    """Heads for another alphabet start from random weights; a stage without dense supervision ignores them."""
    _train(_recipe(shards, tiny_model_folder, tmp_path / "first"))
    model = {"start_from": str(tmp_path / "first")}
    data = {"characters": "abc"}
    second = pretrain.start(
        _recipe(shards, tiny_model_folder, tmp_path / "second", model=model, data=data)
    )
    assert [note.partition(": ")[2] for note in second.notes] == [
        "ignored 2 tensors of dense, which this run does not have",
        "no weights for 2 tensors of dense, which start from random weights",
    ]
    monkeypatch.setattr("signal.signal", lambda *_: None)  # those of this process stay
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    alone = {"characters": 0.0, "objects": 0.0, "boxes": 0.0}
    recipe = _recipe(shards, tiny_model_folder, tmp_path / "third", model=model, loss=alone)
    write_recipe(recipe, tmp_path / "recipe.toml")
    done = finesight("train", "recipe.toml", "--set", "schedule.total_steps=4")
    assert done.code == 0, done.err
    assert "ignored 7 tensors of dense" in done.err


def test_a_run_of_a_version_with_other_heads_is_not_resumed_but_started_from(
    shards, tiny_model_folder, tmp_path
) -> None:
    trainer = _train(_recipe(shards, tiny_model_folder, tmp_path / "old"))
    (newest,) = checkpoints(tmp_path / "old" / "checkpoints")
    state, parts = load_checkpoint(newest)
    gone = {"name_head.norm.weight": torch.ones(4), "place_head.norm.weight": torch.ones(4)}
    old = {
        "learner": parts["weights"] | gone,
        "average": parts["average"] | {name: value.clone() for name, value in gone.items()},
        "optimizer": parts["optimizer"],
    }
    save_checkpoint(newest.parent, state, old, keep=1)
    with pytest.raises(
        DataError, match="has average, learner, optimizer but not weights"
    ) as caught:
        pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "old"))
    assert "model.start_from" in caught.value.hint
    model = {"start_from": str(tmp_path / "old")}
    new = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "new", model=model))
    assert [note.partition(": ")[2] for note in new.notes] == [
        "ignored 1 tensors of name_head, 1 tensors of place_head, which this run does not have"
    ]
    for name, value in new.model.named_parameters():
        wanted = trainer.average.tensors[f"model.{name}"]
        assert torch.equal(value, wanted), name


def test_start_from_exported_weights_alone(shards, tiny_model_folder, tmp_path) -> None:
    model = {"start_from": str(tiny_model_folder)}
    trainer = pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "run", model=model))
    loaded = load_model(tiny_model_folder, dtype=torch.float32)
    for name, value in loaded.named_parameters():
        assert torch.equal(value, trainer.model.get_parameter(name)), name


def test_broken_checkpoint_is_named_and_deleting_it_resumes(
    shards, tiny_model_folder, tmp_path
) -> None:
    recipe = _recipe(shards, tiny_model_folder, tmp_path / "run", run={"checkpoint_minutes": 1e-9})
    _train(recipe)
    newest = checkpoints(tmp_path / "run" / "checkpoints")[-1]
    tensors = newest / "train.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:1000])
    with pytest.raises(DataError, match=newest.name):
        pretrain.start(recipe)
    tensors.unlink()
    (newest / "state.json").unlink()
    newest.rmdir()
    assert pretrain.start(recipe).state.step == 5


def test_nothing_to_start_from(shards, tiny_model_folder, tmp_path) -> None:
    with pytest.raises(DataError, match="no finished checkpoint"):
        exporting.export(tmp_path / "none", tiny_model_folder, tmp_path / "model")


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    shards, tiny_model_folder, tmp_path
) -> None:
    run = {"folder": str(tmp_path / "a"), "device": "abacus"}
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        pretrain.start(_recipe(shards, tiny_model_folder, tmp_path / "a", run=run))
    assert not (tmp_path / "a").exists()


@pytest.mark.gpu
def test_a_run_on_a_gpu_learns_and_resumes(shards, tiny_model_folder, tmp_path) -> None:
    run = {"folder": str(tmp_path / "a"), "device": "cuda", "precision": "bfloat16", "log_every": 1}
    recipe = _recipe(
        shards,
        tiny_model_folder,
        tmp_path / "a",
        run=run,
        schedule={"total_steps": 40},
    )
    first = pretrain.start(recipe)
    first.run(report=lambda step, values: first.stop() if step == 20 else None)
    assert first.state.step == 20
    resumed = _train(recipe)
    assert resumed.state.step == 40
    rows = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["tokens"] < 0.5 * rows[0]["tokens"]
    exporting.export(tmp_path / "a", tiny_model_folder, tmp_path / "model")
    assert load_model(tmp_path / "model").device.type == "cpu"
