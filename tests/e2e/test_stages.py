# SPDX-License-Identifier: Apache-2.0
"""The stages in miniature run to their end, each from the weights of the one before; those of clusters are planned."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from finesight.cli.main import main
from finesight.config.load import read_recipe
from finesight.data.shards import ShardSet
from finesight.doctor.train_plan import pack_shape, plan_training, planned_config
from finesight.errors import ConfigError
from finesight.train.recipe import TrainRecipe
from finesight.train.rejection import SampleRecipe

ROOT = Path(__file__).parents[2]
STAGES = ROOT / "recipes" / "stages"
SAMPLE = "5_sample.toml"
"""The recipe that trains nothing: it names no model, so all sizes share it."""

CLUSTER = sorted(
    path for path in STAGES.rglob("*.toml") if path.parent.name != "tiny" and path.name != SAMPLE
)
ACCELERATOR_BYTES = 80e9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with the pictures of the stages and the embedded model."""
    folder = tmp_path_factory.mktemp("stages")
    data = folder / "runs" / "stages" / "data"
    before, sys.argv = sys.argv, ["stages_data.py", str(data)]
    try:
        runpy.run_path(str(ROOT / "examples" / "stages_data.py"), run_name="__main__")
    finally:
        sys.argv = before
    assets = folder / "src" / "finesight"
    assets.mkdir(parents=True)
    (assets / "assets").symlink_to(ROOT / "src" / "finesight" / "assets")
    return folder


def test_the_stages_run_one_after_the_other(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for path in sorted((STAGES / "tiny").glob("*.toml")):
        if path.name == SAMPLE:
            continue
        words = ["--export", "model"] if path.name == "4_sft.toml" else []
        assert main(["train", str(path), *words]) == 0, path.name
        recipe = read_recipe(path, TrainRecipe)
        lines = (recipe.run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        log = [json.loads(line) for line in lines]
        steps = max(line["step"] for line in log)
        # each preference pair is used once, which ends the run
        is_over = steps == recipe.schedule.total_steps or (
            recipe.kind == "dpo" and log[-1]["samples"] == 60
        )
        assert is_over, (path.name, steps)
        losses = [line["loss"] for line in log if "loss" in line]
        assert losses, path.name
        if recipe.kind != "grpo":  # whose loss is zero at the start
            assert min(losses) > 0, path.name
    words = ["data", "sample", str(STAGES / "tiny" / SAMPLE), "--model", "model"]
    assert main([*words, "--out", "sampled"]) == 0
    assert len(ShardSet(folder / "sampled" / "sft")) > 0


def test_the_stages_of_all_sizes_have_the_same_files():
    names = {path.name for path in STAGES.glob("*.toml")}
    assert len(names) == 8
    assert {path.name for path in (STAGES / "tiny").glob("*.toml")} == names
    for size in ("3b", "72b"):
        assert {path.name for path in (STAGES / size).glob("*.toml")} == names - {SAMPLE}
    assert len(read_recipe(STAGES / SAMPLE, SampleRecipe).source) > 1


@pytest.mark.parametrize("path", CLUSTER, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_of_a_cluster_fits_its_model_and_its_accelerators(path):
    """As `finesight plan --train` does: rules match, heads divide, and each rank has room. No weights are read."""
    recipe = read_recipe(path, TrainRecipe)
    config, source = planned_config(recipe)
    assert "no file of it was read" in source
    plan = plan_training(recipe, config, source, pack_shape(recipe), speed=None)
    memory = plan.peak_bytes if plan.grid is None else plan.grid.peak_bytes
    assert 0 < memory < ACCELERATOR_BYTES
    sys.stdout.write(f"{path.relative_to(STAGES)}: {memory / 1e9:.1f} GB on each\n")


def test_heads_that_ranks_do_not_divide_are_refused():
    recipe = read_recipe(
        STAGES / "3_long_context.toml", TrainRecipe, overrides=["parallel.sequence=8"]
    )
    config, source = planned_config(recipe)
    with pytest.raises(ConfigError, match="= 8, but the model has 28 query heads"):
        plan_training(recipe, config, source, pack_shape(recipe), speed=None)
