# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typer.testing import CliRunner

from finesight.cli.data import app

RECIPE = """
kind = "data"
assets = "{assets}"
[[parts]]
builder = "scenes"
name = "scene"
num_records = 4
"""


def run(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def test_a_recipe_becomes_a_data_set_and_a_page(assets, tmp_path):
    recipe, out = tmp_path / "scenes.toml", tmp_path / "out"
    recipe.write_text(RECIPE.format(assets=assets))
    built = run("build", recipe, "--out", out, "--set", "seed=3")
    assert built.exit_code == 0, built.output
    assert "4 made, 0 kept" in built.output
    assert "0 made, 4 kept" in run("build", recipe, "--out", out, "--set", "seed=3").output
    shown = run("inspect", out, "--samples", 2)
    assert shown.exit_code == 0
    assert (out / "inspect.html").read_text().count("<figure>") == 2


def test_mistakes_end_with_a_message_and_a_code(assets, tmp_path):
    recipe = tmp_path / "scenes.toml"
    missing = run("build", recipe, "--out", tmp_path / "out")
    assert missing.exit_code == 2
    assert "scenes.toml cannot be read" in missing.output
    recipe.write_text(RECIPE.format(assets=assets) + "sprites = 3\n")
    unknown = run("build", recipe, "--out", tmp_path / "out")
    assert unknown.exit_code == 2
    assert "sprites" in unknown.output
    assert not (tmp_path / "out").exists()
    empty = run("inspect", tmp_path)
    assert empty.exit_code == 1
    assert "no shard" in empty.output
    bare = run("sources", tmp_path)
    assert bare.exit_code == 1
    assert "install-training-assets.sh" in bare.output
