# SPDX-License-Identifier: Apache-2.0
"""Small runs of several ranks: data with texts, pictures and videos, and a launcher like torchrun's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from finesight.config.load import validate, write_recipe
from finesight.conversation import VideoPart
from finesight.data.record import Glyph, Record, Truth, asked_about
from finesight.data.shards import write_shard
from finesight.train.recipe import PretrainRecipe, TrainRecipe

WORDS = ("ab", "cat", "d1", "Eg", "fog", "hi")
META = {"split": "train", "generator": "test", "seed": 0}


def record(index: int) -> Record:
    """Every third a text, a picture, a video."""
    word = WORDS[index % len(WORDS)]
    if index % 3 == 0:
        turns = ((f"Spell {word} {index} times.", " ".join(word)),)
        return Record(id=f"text-{index}", conversation=asked_about((), turns), meta=META)
    if index % 3 == 1:
        pixels = drawn(word, (56 + 28 * (index % 2), 56))
        glyphs = tuple(Glyph(char, 9.0 + 6 * place, 14.0, place) for place, char in enumerate(word))
        return Record.of_picture(
            id=f"picture-{index}",
            image=pixels,
            turns=(("Read all the text in the image.", word),),
            truth=Truth(glyphs=glyphs),
            meta=META,
        )
    frames = tuple(drawn(word[:count], (56, 28)) for count in (0, 1, 2, 2))
    video = VideoPart(source=frames, sample_fps=2.0)
    turns = (("Which word is written?", word),)
    return Record(id=f"video-{index}", conversation=asked_about((video,), turns), meta=META)


def drawn(word: str, size: tuple[int, int]):
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).text((6, 8), word, fill="black")
    return np.array(picture)


def write_data(folder: Path, *, every: int = 1) -> Path:
    """Shards of 24 of these records; of texts alone, if it is every third."""
    write_shard(folder / "a.tar", [record(index * every) for index in range(24)])
    return folder


def write_model(folder: Path, tiny_model_folder: Path, **changes) -> Path:
    """Configuration of the tiny model with two key-value heads; a run starts from random weights."""
    folder.mkdir()
    for path in tiny_model_folder.glob("*.json"):
        values = json.loads(path.read_text())
        if path.name == "config.json":
            values |= {"num_key_value_heads": 2} | changes
        if "index" not in path.name:
            (folder / path.name).write_text(json.dumps(values))
    return folder


def recipe(data_folder: Path, model_folder: Path, folder: Path, **changes) -> PretrainRecipe:
    """Six steps with packs of one to three records; sections are changed by keyword."""
    values = {
        "kind": "pretrain",
        "model": {"folder": str(model_folder), "seed": 3},
        "data": {
            "source": [{"path": str(data_folder)}],
            "pack_tokens": 96,
            "pack_patches": 128,
            "workers": 0,
            "characters": "abcdefghi1E",
        },
        "optim": {"group": [{"match": "*", "algorithm": "adamw", "lr": 1e-3}]},
        "schedule": {"total_steps": 6, "warmup_steps": 2, "decay_steps": 2},
        "loss": {"tokens": 1.0, "characters": 0.3},
        "run": {"folder": str(folder), "precision": "float32", "log_every": 1},
    }
    for section, table in changes.items():
        values[section] = values.get(section, {}) | table
    return validate(values, PretrainRecipe, where="test")


def start(num_ranks: int, recipes: list[TrainRecipe], *, code: str = "") -> subprocess.Popen:
    """Ranks that run the recipes one after the other, in a process group of their own.

    Args:
        num_ranks: processes.
        recipes: what to run.
        code: Python that each rank runs first.
    """
    return _launched(num_ranks, [__file__, code, *map(_written, recipes)])


def start_command(num_ranks: int, one: PretrainRecipe, *options: str) -> subprocess.Popen:
    """`finesight train RECIPE` on several ranks, as a user starts it."""
    return _launched(num_ranks, ["-m", "finesight", "train", _written(one), *options])


def _written(one: PretrainRecipe) -> str:
    one.run.folder.mkdir(parents=True, exist_ok=True)
    path = one.run.folder / "recipe.toml"
    write_recipe(one, path)
    return str(path)


def _launched(num_ranks: int, words: list[str]) -> subprocess.Popen:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks)]
    return subprocess.Popen(
        [sys.executable, *(launcher if num_ranks > 1 else ()), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(num_ranks: int, recipes: list[TrainRecipe], *, code: str = "") -> None:
    """Run the recipes to their end."""
    code_found, errors = end_of(start(num_ranks, recipes, code=code))
    assert code_found == 0, errors


def end_of(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code of a run and what it wrote; it is killed with all its processes after 20 minutes."""
    try:
        _, errors = process.communicate(timeout=1200)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, errors


def log(folder: Path) -> list[dict[str, float]]:
    """Lines of the log of a run."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def final_weights(folder: Path):
    """Step, and all tensors of the newest checkpoint of a run, whole."""
    from finesight.train.checkpoint import checkpoints, load_checkpoint

    state, parts = load_checkpoint(checkpoints(folder / "checkpoints")[-1])
    return state.step, {
        name: value for part in ("weights", "average") for name, value in parts[part].items()
    }


if __name__ == "__main__":
    from finesight.config.load import read_recipe
    from finesight.errors import FinesightError
    from finesight.train import parallel, pretrain

    def report(step: int, values: dict[str, float]) -> None:
        """Runs whose folder ends in `half` stop after three steps."""
        if step == 3 and trainer.settings.folder.name.endswith("half"):
            trainer.stop()

    if len(sys.argv) > 1:
        exec(sys.argv[1])
    try:
        for given in sys.argv[2:]:
            trainer = pretrain.start(read_recipe(Path(given), TrainRecipe))
            trainer.run(report=report)
    except FinesightError as error:
        sys.exit(str(error))
    parallel.leave()
