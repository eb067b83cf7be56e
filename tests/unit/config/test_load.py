# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from finesight.config.load import read_recipe, read_toml, validate, write_recipe
from finesight.errors import ConfigError
from finesight.train.recipe import PretrainRecipe
from finesight.train.schedule import ScheduleConfig

RECIPE = """
kind = "pretrain"
[model]
folder = "m"
[[data.source]]
path = "d"
[[optim.group]]
match = "*"
algorithm = "adamw"
lr = 1e-3
[schedule]
total_steps = 100
[run]
folder = "r"
"""


def _write(folder: Path, text: str, name: str = "recipe.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_unknown_key_names_file_key_and_nearest(tmp_path: Path) -> None:
    path = _write(tmp_path, RECIPE.replace("total_steps", "total_step"))
    with pytest.raises(
        ConfigError, match=r"recipe\.toml: unknown key schedule\.total_step"
    ) as caught:
        read_recipe(path, PretrainRecipe)
    assert "total_steps" in caught.value.hint


def test_wrong_value_is_shown(tmp_path: Path) -> None:
    path = _write(tmp_path, RECIPE.replace("total_steps = 100", "total_steps = -3"))
    with pytest.raises(ConfigError, match=r"schedule\.total_steps = -3"):
        read_recipe(path, PretrainRecipe)


def test_extends_merges_tables_and_child_wins(tmp_path: Path) -> None:
    _write(tmp_path, "a = 1\n[t]\nx = 1\ny = 2\n", "base.toml")
    path = _write(tmp_path, 'extends = "base.toml"\n[t]\ny = 3\n')
    assert read_toml(path) == {"a": 1, "t": {"x": 1, "y": 3}}


def test_extends_goes_one_step_only(tmp_path: Path) -> None:
    _write(tmp_path, "a = 1\n", "root.toml")
    _write(tmp_path, 'extends = "root.toml"\n', "base.toml")
    path = _write(tmp_path, 'extends = "base.toml"\n')
    with pytest.raises(ConfigError, match="only one step"):
        read_toml(path)


def test_overrides(tmp_path: Path) -> None:
    path = _write(tmp_path, RECIPE)
    recipe = read_recipe(
        path, PretrainRecipe, overrides=["schedule.total_steps=70", "run.folder=runs/x"]
    )
    assert recipe.schedule.total_steps == 70
    assert recipe.run.folder == Path("runs/x")
    with pytest.raises(ConfigError, match="not of the form"):
        read_recipe(path, PretrainRecipe, overrides=["nothing"])


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    recipe = read_recipe(_write(tmp_path, RECIPE), PretrainRecipe)
    write_recipe(recipe, tmp_path / "resolved.toml")
    assert read_recipe(tmp_path / "resolved.toml", PretrainRecipe) == recipe


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_toml(_write(tmp_path, "a = [1,"))


def test_message_of_a_model_validator() -> None:
    with pytest.raises(ConfigError, match="exceed total_steps"):
        validate({"total_steps": 1, "warmup_steps": 5}, ScheduleConfig, where="here")


class _First(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["first"]
    steps: int


class _Second(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["second"]
    pairs: int


EITHER = Annotated[_First | _Second, Field(discriminator="kind")]


def test_the_kind_of_a_recipe_selects_its_schema() -> None:
    found = validate({"kind": "second", "pairs": 3}, EITHER, where="here")
    assert found == _Second(kind="second", pairs=3)
    for values, said in {
        ("second", "steps"): "unknown key steps",
        ("first", "steps", "x"): "steps = 'x'",
        ("first", "pear"): "unknown key pear",
        ("third", "steps"): "recipe of kind 'third', kind 'first' or 'second' is needed",
    }.items():
        kind, key, *rest = values
        with pytest.raises(ConfigError, match=said):
            validate({"kind": kind, key: rest[0] if rest else 1}, EITHER, where="here")
    with pytest.raises(ConfigError, match="here: kind is missing"):
        validate({"steps": 1}, EITHER, where="here")
