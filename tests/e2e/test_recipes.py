# SPDX-License-Identifier: Apache-2.0
"""Every training recipe takes a step, on a CPU and on a few drawn pictures."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from finesight.config.load import read_recipe
from finesight.conversation import Conversation, Message, TextPart
from finesight.data.record import Glyph, Record, SceneObject, Truth
from finesight.data.shards import write_shard
from finesight.train import pretrain
from finesight.train.recipe import TrainRecipe

ROOT = Path(__file__).parents[2]
TINY = ROOT / "src/finesight/assets/tiny"
RECIPES = sorted(
    path
    for path in (ROOT / "recipes").rglob("*.toml")
    if "[schedule]" in path.read_text(encoding="utf-8")
    and not path.stem.endswith(("dpo", "grpo"))  # test_post_training.py, test_stages.py
)


def records():
    image = np.full((84, 84, 3), 220, np.uint8)
    meta = {"split": "train", "generator": "test"}
    for index in range(4):
        yield Record.of_picture(
            id=f"text-{index}",
            image=image,
            turns=(("Read all the text in the image.", "ab"),),
            truth=Truth(glyphs=(Glyph("a", 9.0, 14.0, 0), Glyph("b", 15.0, 14.0, 1))),
            allows=("move", "invert"),
            meta=meta,
        )
        yield Record.of_picture(
            id=f"scene-{index}",
            image=image,
            turns=(("How many cats are there in the image?", "1"),),
            truth=Truth(objects=(SceneObject((3, 3, 60, 40), "cat"),)),
            meta=meta,
        )


def texts():
    for index in range(4):
        turns = (
            Message("user", (TextPart(f"Say {index}."),)),
            Message("assistant", (TextPart("So."),)),
        )
        meta = {"split": "train", "generator": "test", "seed": index}
        yield Record(id=f"text-{index}", conversation=Conversation(turns), meta=meta)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_takes_a_step(path, tmp_path):
    write_shard(tmp_path / "data" / "a.tar", records())
    write_shard(tmp_path / "texts" / "a.tar", texts())
    sources = [f'{{path="{tmp_path / "data"}"}}']
    if "language" in tomllib.loads(path.read_text(encoding="utf-8")).get("loss", {}):
        sources.append(f'{{path="{tmp_path / "texts"}", learn=false}}')
    changes = [
        f"model.folder={TINY}",
        f"model.start_from={TINY}",
        f"data.source=[{', '.join(sources)}]",
        "data.pack_tokens=2048",
        "data.pack_patches=2048",
        "data.workers=1",
        f"run.folder={tmp_path / 'run'}",
        "run.device=cpu",
        "run.precision=float32",
        *(f"parallel.{name}=1" for name in ("data", "shard", "tensor", "sequence")),
    ]
    recipe = read_recipe(path, TrainRecipe, overrides=changes)
    trainer = pretrain.start(recipe)
    values = trainer.step(next(trainer.packs()))
    trainer.save()
    asked = {
        name
        for name in ("tokens", "align", "contrastive", "characters", "objects", "boxes")
        if getattr(recipe.loss, name)
    }
    assert asked <= values.keys()
