# SPDX-License-Identifier: Apache-2.0
"""The stages in miniature run to their end, each from the weights of the one before."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from finesight.config.load import read_recipe
from finesight.train import pretrain
from finesight.train.recipe import TrainRecipe

ROOT = Path(__file__).parents[2]
STAGES = ROOT / "recipes" / "stages"


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
    for path in sorted((STAGES / "tiny").glob("[0-3]_*.toml")):
        recipe = read_recipe(path, TrainRecipe)
        trainer = pretrain.start(recipe)
        trainer.run(report=lambda *_: None)
        assert trainer.state.step == recipe.schedule.total_steps, path.name
        lines = (recipe.run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        values = json.loads(lines[-1])
        assert values["loss"] > 0, path.name


def test_the_stages_of_all_sizes_have_the_same_files():
    names = {path.name for path in STAGES.glob("*.toml")}
    assert names
    for size in ("3b", "72b", "tiny"):
        assert {path.name for path in (STAGES / size).glob("*.toml")} == names
