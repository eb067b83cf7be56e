# SPDX-License-Identifier: Apache-2.0
"""Preference training and policy optimisation from shards to better answers, and the continuation of stopped runs."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from finesight.cli.policy import rollout_functions
from finesight.config.load import validate
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.data.record import Record
from finesight.data.shards import ShardSet, write_shard
from finesight.errors import ConfigError, DataError
from finesight.train import export as exporting
from finesight.train import pretrain
from finesight.train.recipe import TrainRecipe

ROOT = Path(__file__).parents[2]

COLOURS = {"4": (255, 0, 0), "8": (0, 0, 255)}
"""The right answer for each colour of a square."""

FROZEN_TOWER = {"match": "model.visual.*", "algorithm": "frozen"}

ALL = [FROZEN_TOWER, {"match": "*", "algorithm": "adamw", "lr": 2e-3}]

ADAPTERS = [
    FROZEN_TOWER,
    {"match": "*.lora_*", "algorithm": "adamw", "lr": 5e-3},
    {"match": "*", "algorithm": "frozen"},
]


def record(index: int, answer: str | None = None, *, rejected: str | None = None) -> Record:
    """A question about the colour of a square; of every fourth pair, the text tells it."""
    right = tuple(COLOURS)[index % 2]
    pixels = np.full((56, 56, 3), 255, np.uint8)
    pixels[8:48, 8:48] = COLOURS[right]
    picture = () if rejected and index % 4 == 3 else (ImagePart(source=pixels),)
    asked = Message("user", (*picture, TextPart("Which?" if picture else f"Say {right}.")))
    worse = () if rejected is None else (Message("assistant", (TextPart(rejected),)),)
    return Record(
        id=f"r-{index}",
        conversation=Conversation((asked, Message("assistant", (TextPart(answer or right),)))),
        rejected=worse,
        meta={"split": "train", "generator": "test"},
    )


def recipe(kind: str, folder: Path, base: Path, source: dict, **sections) -> TrainRecipe:
    values = {
        "kind": kind,
        "model": {"folder": str(base), "start_from": str(base)},
        "data": {"source": [source], "pack_tokens": 512},
        "optim": {"group": ALL},
        "schedule": {"total_steps": 6, "warmup_steps": 2},
        "run": {
            "folder": str(folder),
            "precision": "float32",
            "log_every": 1,
            "average_decay": 0.5,
        },
    }
    for name, table in sections.items():
        values[name] = {**values.get(name, {}), **table}
    return validate(values, TrainRecipe, where="test")


def run(recipe: TrainRecipe):
    """A run to its end; the trainer and the values of each step."""
    trainer = pretrain.start(recipe, rollout_functions(recipe))
    trainer.run(report=lambda step, values: None)
    return trainer, log_of(recipe)


def log_of(recipe: TrainRecipe) -> list[dict]:
    lines = (recipe.run.folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("post")
    random = np.random.default_rng(0)
    guesses = [tuple(COLOURS)[int(random.integers(2))] for _ in range(48)]
    write_shard(folder / "guesses" / "a.tar", [record(i, one) for i, one in enumerate(guesses)])
    write_shard(folder / "truth" / "a.tar", [record(i) for i in range(16)])
    pairs = [record(i, rejected=f"{tuple(COLOURS)[(i + 1) % 2]} label") for i in range(24)]
    write_shard(folder / "pairs" / "a.tar", pairs)
    return folder


@pytest.fixture(scope="module")
def guessing(data, tiny_model_folder) -> Path:
    """A model that answers 4 or 8, whatever the picture shows."""
    given = recipe(
        "pretrain",
        data / "sft",
        tiny_model_folder,
        {"path": str(data / "guesses")},
        data={"jitter": 0.0, "pack_tokens": 256},
        schedule={"total_steps": 30, "warmup_steps": 3},
    )
    run(given)
    exporting.export(data / "sft", tiny_model_folder, data / "guessing")
    return data / "guessing"


def grpo(folder: Path, base: Path, data: Path, **sections) -> TrainRecipe:
    settings = {"prompts": 4, "answers": 8, "max_new_tokens": 2, "passes": 2, "kl": 0.0}
    given = {"grpo": settings} | sections
    given["grpo"] = settings | sections.get("grpo", {})
    source = {"path": str(data / "truth"), "rewards": {"exact": 1.0}}
    return recipe("grpo", folder, base, source, **given)


def test_the_reward_rises_from_chance(guessing, data, tmp_path) -> None:
    """The rewards alone tell the model which answer belongs to which colour."""
    given = grpo(tmp_path / "run", guessing, data, schedule={"total_steps": 40, "warmup_steps": 2})
    _, log = run(given)
    rewards = [line["reward"] for line in log if "reward" in line]
    assert len(rewards) == 20
    assert np.mean(rewards[:3]) < 0.65
    assert np.mean(rewards[-3:]) > 0.9
    assert {"reward_exact", "answer_tokens", "truncated", "undecided", "clipped"} <= log[0].keys()
    page = (tmp_path / "run" / "rollouts" / "latest.html").read_text()
    assert "Round 19" in page
    assert page.count("<img") == 4


def test_a_stopped_run_of_rounds_repeats_an_unbroken_one(guessing, data, tmp_path) -> None:
    """A round of two passes in two steps each, stopped inside the second round; its answers are stored."""
    sections = {
        "grpo": {"steps": 2, "kl": 0.02, "reference": "copy", "max_sequences": 1},
        "schedule": {"total_steps": 7},
    }
    whole, _ = run(grpo(tmp_path / "whole", guessing, data, **sections))
    stopped = pretrain.start(
        given := grpo(tmp_path / "run", guessing, data, **sections), rollout_functions(given)
    )
    stopped.run(report=lambda step, values: stopped.stop() if step == 5 else None)
    assert stopped.state.cursor["done"] == 1
    resumed, _ = run(given)
    assert resumed.state.step == whole.state.step == 7
    for name, value in whole.weights.state_dict().items():
        assert torch.equal(value, resumed.weights.state_dict()[name]), name
    for path in (tmp_path / "whole" / "rollouts").glob("*.jsonl"):
        assert path.read_bytes() == (tmp_path / "run" / "rollouts" / path.name).read_bytes()


def test_answers_of_a_round_must_be_there_and_fit(guessing, data, tmp_path) -> None:
    given = grpo(tmp_path / "run", guessing, data, schedule={"total_steps": 3})
    stopped = pretrain.start(given, rollout_functions(given))
    stopped.run(report=lambda step, values: stopped.stop() if step == 1 else None)
    path = tmp_path / "run" / "rollouts" / "00000000.jsonl"
    content = path.read_text()
    path.write_text(content.replace('"record": "r-', '"record": "other-'))
    with pytest.raises(DataError, match="has answers to 'other-"):
        run(given)
    path.write_text(content[:50])
    with pytest.raises(DataError, match="cannot be read"):
        run(given)
    path.unlink()
    with pytest.raises(DataError, match="a step of round 0 is done, but its answers are not in"):
        run(given)
    path.write_text(content)
    run(given)


def test_a_new_run_forgets_answers_of_one_without_a_checkpoint(guessing, data, tmp_path) -> None:
    given = grpo(tmp_path / "run", guessing, data, schedule={"total_steps": 2})
    run(given)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    path = tmp_path / "run" / "rollouts" / "00000000.jsonl"
    path.write_text("from another recipe")
    _, log = run(given)
    assert log[0]["reward"] == log[-2]["reward"]


def test_truncated_answers_may_be_left_out(guessing, data, tmp_path) -> None:
    settings = {"grpo": {"skip_truncated": True, "max_new_tokens": 1}}
    with pytest.raises(DataError, match=r"all reached grpo\.max_new_tokens = 1"):
        run(grpo(tmp_path / "run", guessing, data, **settings))


@pytest.mark.parametrize("reference", ["adapters", "copy"])
def test_preferences_are_learned(guessing, data, tmp_path, reference) -> None:
    sections = {"dpo": {"reference": reference}, "schedule": {"total_steps": 12}}
    if reference == "adapters":
        lora = {"rank": 8, "alpha": 16, "targets": ["model.layers.*"]}
        sections |= {"optim": {"group": ADAPTERS}, "lora": lora}
    source = {"path": str(data / "pairs")}
    trainer, log = run(recipe("dpo", tmp_path / "run", guessing, source, **sections))
    assert abs(log[0]["reward_margin"]) < 1e-6
    assert abs(log[0]["kl"]) < 1e-6
    assert log[0]["loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert log[-1]["reward_acc"] == 1.0
    assert log[-1]["reward_margin"] > 1.0
    assert log[-1]["kl"] > 0
    assert trainer.state.samples > 24


def test_the_reference_of_a_resumed_run_is_that_of_its_start(guessing, data, tmp_path) -> None:
    source = {"path": str(data / "pairs")}
    sections = {"dpo": {"reference": "copy", "tokens": 0.1}}
    whole, _ = run(recipe("dpo", tmp_path / "whole", guessing, source, **sections))
    given = recipe("dpo", tmp_path / "run", guessing, source, **sections)
    stopped = pretrain.start(given)
    stopped.run(report=lambda step, values: stopped.stop() if step == 3 else None)
    resumed, log = run(given)
    assert "tokens" in log[-1]
    for name, value in whole.weights.state_dict().items():
        assert torch.equal(value, resumed.weights.state_dict()[name]), name


def test_wrong_recipes_are_refused(guessing, data, tmp_path) -> None:
    source = {"path": str(data / "pairs")}

    def start(kind="dpo", source=source, **sections):
        given = recipe(kind, tmp_path / "run", guessing, source, **sections)
        return pretrain.start(given, rollout_functions(given))

    with pytest.raises(ConfigError, match=r'dpo\.reference is "adapters".*there is no \[lora\]'):
        start()
    lora = {"targets": ["model.layers.*"]}
    with pytest.raises(ConfigError, match=r"without its adapters, but .* are trained"):
        start(lora=lora)
    with pytest.raises(ConfigError, match=r"shares the vision tower, but .* are trained"):
        start(dpo={"reference": "copy"}, optim={"group": ALL[1:]})
    with pytest.raises(ConfigError, match=r"label_smoothing is 0\.1, but dpo\.loss = 'sigmoid'"):
        start(dpo={"reference": "copy", "label_smoothing": 0.1})
    with pytest.raises(ConfigError, match="pairs"):
        start(dpo={"reference": "copy"}, data={"pairs": False})
    plain = {"path": str(data / "truth")}
    with pytest.raises(DataError, match="there is no worse answer"):
        run(recipe("dpo", tmp_path / "run", guessing, plain, dpo={"reference": "copy"}))
    with pytest.raises(ConfigError, match="rewards"):
        start("grpo", plain)
    with pytest.raises(ConfigError, match="expected weights above 0"):
        start("grpo", {**plain, "rewards": {}}, grpo={"kl": 0.0})
    with pytest.raises(ConfigError, match="learn = false, but sampled answers are learned from"):
        start("grpo", {**plain, "rewards": {"exact": 1.0}, "learn": False}, grpo={"kl": 0.0})


def test_grids_and_schedules_that_do_not_fit_are_refused(data, tmp_path) -> None:
    def dpo(**sections):
        source = {"path": str(data / "pairs")}
        return recipe("dpo", tmp_path, tmp_path, source, dpo={"reference": "copy"}, **sections)

    assert dpo(parallel={"data": 2, "shard": 2}).parallel.num_ranks == 4
    with pytest.raises(ConfigError, match=r"tensor = 2 with a recipe of kind dpo"):
        dpo(parallel={"tensor": 2})
    with pytest.raises(ConfigError, match=r"parallel\.sequence = 2 and"):
        dpo(parallel={"sequence": 2})
    with pytest.raises(ConfigError, match=r"over_epochs is true, but data\.epochs is not given"):
        dpo(schedule={"over_epochs": True})
    with pytest.raises(ConfigError, match=r"has 2 ranks, but .* grpo trains in one process"):
        grpo(tmp_path, tmp_path, data, parallel={"shard": 2})
    with pytest.raises(ConfigError, match=r"prompts of a recipe of kind grpo are drawn without"):
        grpo(tmp_path, tmp_path, data, schedule={"over_epochs": True})


@pytest.fixture
def working_folder(tmp_path, monkeypatch) -> Path:
    """The folder in which `finesight` runs, with the pictures of the recipes and the embedded model."""
    monkeypatch.setattr(sys, "argv", ["stages_data.py", str(tmp_path / "runs/stages/data")])
    runpy.run_path(str(ROOT / "examples" / "stages_data.py"), run_name="__main__")
    (tmp_path / "src" / "finesight").mkdir(parents=True)
    (tmp_path / "src/finesight/assets").symlink_to(ROOT / "src/finesight/assets")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "values"),
    [("4_dpo", {"reward_margin", "reward_acc", "kl"}), ("5_grpo", {"reward", "reward_cer", "kl"})],
)
def test_the_recipes_in_miniature_run_to_their_end(working_folder, finesight, name, values) -> None:
    done = finesight("train", ROOT / "recipes" / "tiny" / f"{name}.toml", "--export", "model")
    assert done.code == 0, done.err
    lines = (working_folder / "runs" / "tiny" / name / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert log[-1]["samples"] == (60 if name == "4_dpo" else 64)  # each pair once; each answer once
    assert values <= set().union(*log)
    assert (working_folder / "model" / "config.json").is_file()


def test_a_round_of_sampling_makes_data_to_train_on(working_folder, finesight) -> None:
    recipe = ROOT / "recipes" / "tiny" / "sample.toml"
    source = '{path="runs/stages/data/questions", rewards={cer=1.0}}'
    words = ["data", "sample", recipe, "--out", "round"]
    for change in ("most=16", "answers=2", "keep=0.2", 'picture="none"', f"source=[{source}]"):
        words += ["--set", change]
    done = finesight(*words)
    assert done.code == 0, done.err
    counts = json.loads((working_folder / "round/counts/00000000.json").read_text())
    assert counts["answers"] == 32
    kept = ShardSet(working_folder / "round" / "sft")
    assert len(kept) == counts["kept"] > 0
    again = finesight(*words)
    assert again.code == 0
    assert len(ShardSet(working_folder / "round" / "sft")) == counts["kept"]
    other = finesight(*words, "--set", "answers=3")
    assert other.code != 0
    assert "a round with another answers" in other.err
