# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from finesight.config.load import read_recipe
from finesight.data.build import BuildConfig, build, seed_of
from finesight.data.inspect import sheet
from finesight.data.shards import ShardSet, is_complete
from finesight.errors import ConfigError, DataError, ShardCorrupt

RECIPES = Path(__file__).parents[3] / "recipes" / "tiny"


def a_config(assets, **changes) -> BuildConfig:
    parts = [
        {"builder": "text", "name": "text", "num_records": 23, "options": {"other_scripts": 0.0}},
        {"builder": "scenes", "name": "scene", "num_records": 6},
    ]
    values = {"assets": assets, "seed": 3, "shard_records": 8, "parts": parts, **changes}
    return BuildConfig.model_validate(values)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_build_is_complete_and_counted(assets, tmp_path):
    told = []
    summary = build(a_config(assets), tmp_path, progress=lambda *seen: told.append(seen))
    assert (summary.made, summary.kept) == (29, 0)
    assert [row[:3] for row in summary.rows] == [("text", 23, 3), ("scene", 6, 1)]
    assert told[-1] == (29, 29)
    shards = ShardSet(tmp_path)
    assert len({record.id for record in shards}) == 29
    for record in shards:
        record.check()


def test_a_part_of_text_in_the_world_is_built(assets, tmp_path):
    part = {"builder": "scene_text", "name": "world", "num_records": 5}
    config = a_config(assets, parts=[part])
    assert build(config, tmp_path).made == 5
    for record in ShardSet(tmp_path):
        record.check()
        assert record.meta["generator"] == "scene_text/1"


def test_a_second_build_makes_nothing(assets, tmp_path):
    build(a_config(assets), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")}
    summary = build(a_config(assets), tmp_path)
    assert (summary.made, summary.kept) == (0, 29)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")} == before


def test_a_missing_shard_is_made_again_byte_for_byte(assets, tmp_path):
    build(a_config(assets), tmp_path)
    whole = contents(tmp_path)
    (tmp_path / "text-00001.index.json").unlink()
    (tmp_path / "text-00002.tar").unlink()
    assert build(a_config(assets), tmp_path).made == 15
    assert contents(tmp_path) == whole


def test_another_recipe_does_not_mix_in(assets, tmp_path):
    build(a_config(assets), tmp_path)
    with pytest.raises(ConfigError, match="another recipe"):
        build(a_config(assets, seed=4), tmp_path)


def test_two_parts_of_one_name_are_an_error(assets, tmp_path):
    part = {"builder": "text", "name": "text", "num_records": 3}
    with pytest.raises(ConfigError, match="same name"):
        build(a_config(assets, parts=[part, part]), tmp_path)


def test_missing_assets_are_an_error(tmp_path):
    with pytest.raises(DataError, match="is missing") as caught:
        build(a_config(tmp_path / "nowhere"), tmp_path / "out")
    assert "install-training-assets.sh" in caught.value.hint


def test_seeds_differ_by_every_name():
    seeds = {
        seed_of(seed, part, shard, index)
        for seed in (0, 1)
        for part in ("a", "b")
        for shard in (0, 1)
        for index in (0, 1)
    }
    assert len(seeds) == 16
    assert seed_of(0, "a", 0, 0) == seed_of(0, "a", 0, 0) < 2**63


@pytest.mark.parametrize(
    "path", sorted(RECIPES.parent.glob("*/data_*.toml")), ids=lambda path: path.stem
)
def test_the_recipes_read(path):
    config = read_recipe(path, BuildConfig)
    is_drawn = not {part.builder for part in config.parts} & {"prose", "replay"}
    assert sum(count for _, _, count in config.jobs()) >= (10_000 if is_drawn else 2000)


@pytest.mark.parametrize(
    "path", sorted(RECIPES.parent.glob("*/heldout_*.toml")), ids=lambda path: path.stem
)
def test_the_report_card_draws_from_the_other_side(path):
    config = read_recipe(path, BuildConfig)
    assert {part.options.split for part in config.parts} == {"heldout"}


@pytest.mark.parametrize("stage", ["1_visual.toml", "2_multimodal.toml"])
def test_every_source_of_a_stage_has_its_recipe(stage):
    sources = tomllib.loads((RECIPES / stage).read_text())["data"]["source"]
    missing = {
        source["path"]
        for source in sources
        if not (RECIPES / f"data_{Path(source['path']).name}.toml").is_file()
    }
    assert not missing


def test_an_unknown_key_names_itself(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        'kind = "data"\n[[parts]]\nbuilder = "text"\nname = "t"\nnum_records = 3\n'
        "[parts.options]\ndificulty = 0.1\n"
    )
    with pytest.raises(ConfigError, match="dificulty"):
        read_recipe(path, BuildConfig)


def test_the_sheet_shows_samples(assets, tmp_path):
    build(a_config(assets), tmp_path / "data")
    page, shown = sheet(tmp_path / "data", num_samples=10)
    assert shown == 10
    assert page.count("<figure>") == 10
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert "<circle" in page


def test_the_sheet_finds_a_changed_shard(assets, tmp_path):
    build(a_config(assets), tmp_path)
    shard = tmp_path / "text-00000.tar"
    content = bytearray(shard.read_bytes())
    content[700] ^= 255
    shard.write_bytes(content)
    with pytest.raises(ShardCorrupt):
        sheet(tmp_path)


def test_a_killed_build_goes_on(assets, tmp_path):
    """After SIGKILL, complete shards are kept and the others built; the bytes equal those of an uninterrupted build."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from finesight.data.build import BuildConfig, build\n"
        "config = BuildConfig.model_validate_json(sys.stdin.read())\n"
        "build(config, Path(sys.argv[1]), progress=lambda *_: time.sleep(0.3))\n"
    )
    config, broken = a_config(assets), tmp_path / "broken"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(broken)], stdin=subprocess.PIPE, text=True
    )
    child.stdin.write(config.model_dump_json())
    child.stdin.close()
    deadline = time.monotonic() + 120
    while not is_complete(broken / "text-00000.tar") and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (broken / f".text-00001.tar.{child.pid}-1.part").write_bytes(b"half a shard")
    assert build(config, broken).kept >= 8
    build(config, tmp_path / "whole")
    assert contents(broken) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_workers_do_not_change_a_byte(assets, tmp_path):
    build(a_config(assets), tmp_path / "one")
    build(a_config(assets), tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
