# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil

import pytest
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


def test_a_build_that_cannot_begin_leaves_nothing_and_stops_no_other(assets, tmp_path):
    recipe, out = tmp_path / "scenes.toml", tmp_path / "out"
    recipe.write_text(RECIPE.format(assets=tmp_path / "nowhere"))
    lacks = run("build", recipe, "--out", out)
    assert lacks.exit_code == 1
    assert "install-training-assets.sh" in lacks.output
    assert not out.exists()
    out.mkdir()
    (out / "recipe.json").write_text("{}")  # as a build that was killed before its first shard
    recipe.write_text(RECIPE.format(assets=assets))
    assert run("build", recipe, "--out", out).exit_code == 0
    other = run("build", recipe, "--out", out, "--set", "seed=9")
    assert other.exit_code == 2
    assert "has shards of another recipe" in other.output


@pytest.mark.parametrize("command", ["build", "bundle", "unbundle", "inspect"])
@pytest.mark.parametrize("place", ["file", "file/out", "/proc/nope", "x" * 300])
def test_places_that_cannot_be_written_to_are_refused(assets, tmp_path, command, place):
    recipe, out = tmp_path / "scenes.toml", tmp_path / place
    recipe.write_text(RECIPE.format(assets=assets))
    (tmp_path / "file").write_text("mine")
    if command != "build" and place == "file":
        out = tmp_path  # these three want a file where it is a folder, or write into one
    words = {
        "build": ("build", recipe, "--out", out),
        "bundle": ("bundle", out, "--assets", assets),
        "unbundle": ("unbundle", recipe, out if place != "file" else tmp_path / "file"),
        "inspect": ("inspect", assets, "--out", out),
    }
    refused = run(*words[command])
    assert refused.exit_code == 2
    assert str(out if place != "file" else tmp_path)[:120] in refused.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "scenes.toml"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_wrong_recipe_says_what_it_is(assets, tmp_path):
    (tmp_path / "scenes.toml").write_text('kind = "pretrain"\nseed = 1\n')
    (tmp_path / "red.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    out = tmp_path / "out"
    said = {
        "scenes.toml": "is a recipe of kind 'pretrain', kind 'data' is needed",
        "scene.toml": f"did you mean {tmp_path / 'scenes.toml'}?",
        "red.png": "is not TOML but a PNG picture",
        ".": "it is a folder\n  hint: it contains scenes.toml",
    }
    for name, words in said.items():
        refused = run("build", tmp_path / name, "--out", out)
        assert refused.exit_code == 2
        assert words in refused.output
    assert not out.exists()


BROKEN = {
    "fonts.json": "is not a font catalogue",
    "icons.json": "cannot be read",
    "icons.npy": "cannot be read",
    "words.tsv": "is not UTF-8 text",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_assets_are_named(assets, tmp_path, name):
    shutil.copytree(assets, tmp_path / "assets")
    (tmp_path / "assets" / name).write_bytes(b"\xff\xfe{")
    recipe, out = tmp_path / "scenes.toml", tmp_path / "out"
    recipe.write_text(RECIPE.format(assets=tmp_path / "assets"))
    refused = run("build", recipe, "--out", out)
    assert refused.exit_code == 1
    assert name in refused.output
    assert BROKEN[name] in refused.output
    assert not out.exists()
