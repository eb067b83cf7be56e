# SPDX-License-Identifier: Apache-2.0
"""Start or resume a pre-training run, and export its model.

A run starts from random weights, from a folder of safetensors, or from the averaged weights of another run. If its
folder has a checkpoint, it resumes.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from finesight import files
from finesight.config.load import read_toml, write_recipe
from finesight.config.model import ModelConfig
from finesight.data.dense import DenseVocabulary
from finesight.data.loader import PackStream
from finesight.errors import ConfigError, DataError
from finesight.inputs import shown
from finesight.model.device import checked_device
from finesight.model.init import init_weights
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model, save_model
from finesight.processor.processor import Processor
from finesight.train.checkpoint import checkpoints, load_checkpoint, load_fitting
from finesight.train.dense import DenseSupervision
from finesight.train.loop import MODEL, Trainer
from finesight.train.objective import NextToken, Objective
from finesight.train.recipe import PretrainRecipe

COMPANION_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "generation_config.json",
)
"""Files of a model folder besides config.json and weights; every export copies them."""


def start(recipe: PretrainRecipe) -> Trainer:
    """Make a trainer: resumed, started from other weights, or new. The run folder is made after all checks.

    Raises:
        ConfigError: the device or a folder does not exist, or the run to resume has other settings of the model, the
            data, the losses or the optimizers.
        DataError: `start_from` is neither a folder of safetensors nor a run with a checkpoint, weights do not fit the
            model, or a source has no data.
        WeightsError: the weights in `start_from` cannot be used.
    """
    device = checked_device(recipe.run.device)
    recipe = recipe.model_copy(update={"run": recipe.run.model_copy(update={"device": device})})
    _check_folder("model.folder", recipe.model.folder)
    model = VisionLanguageModel(Processor.from_folder(recipe.model.folder).model_config)
    init_weights(model, seed=recipe.model.seed)
    model.to(device)
    trainer = Trainer(
        model,
        objectives(recipe, model.config.text.hidden_size),
        PackStream(recipe.data, recipe.model.folder),
        optim=recipe.optim,
        schedule=recipe.schedule,
        run=recipe.run,
    )
    is_resumed = trainer.resume()
    if not is_resumed and recipe.model.start_from is not None:
        _check_folder("model.start_from", recipe.model.start_from)
        _start_from(trainer, recipe.model.start_from)
    trainer.check_data()
    if is_resumed:
        _check_unchanged(recipe)
    recipe.run.folder.mkdir(parents=True, exist_ok=True)
    with files.whole_file(recipe.run.folder / "config.toml", error=DataError) as draft:
        write_recipe(recipe, draft)
    return trainer


def objectives(recipe: PretrainRecipe, hidden_size: int) -> list[Objective]:
    """Objectives of the losses with a weight above 0.

    Args:
        recipe: a recipe with at least one such loss.
        hidden_size: width of a visual token.
    """
    loss, found = recipe.loss, list[Objective]()
    if loss.tokens:
        found.append(
            NextToken(loss.tokens, balance=loss.balance, reaches_vision=loss.reaches_vision)
        )
    dense = {"characters": loss.characters, "objects": loss.objects, "boxes": loss.boxes}
    if parts := {name: weight for name, weight in dense.items() if weight}:
        vocabulary = DenseVocabulary.build(recipe.data.characters, recipe.data.objects)
        with torch.random.fork_rng(devices=[]):  # the heads depend on the seed alone
            torch.manual_seed(recipe.model.seed)
            heads = DenseSupervision(
                hidden_size,
                num_characters=len(vocabulary.characters) + 2,
                num_objects=len(vocabulary.objects) + 1,
                parts=parts,
            )
        found.append(heads)
    return found


def _check_unchanged(recipe: PretrainRecipe) -> None:
    """Raise `ConfigError` if a run to resume has other settings than `run` and `schedule`, which may change."""
    path = recipe.run.folder / "config.toml"
    if not path.is_file():
        return
    before, now = read_toml(path), recipe.model_dump(mode="json", exclude_none=True)
    for section in ("model", "data", "loss", "optim"):
        old, new = before.get(section, {}), now.get(section, {})
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                raise ConfigError(
                    f"the run in {recipe.run.folder} has {section}.{key} = {shown(old.get(key))}, "
                    f"the recipe has {shown(new.get(key))}",
                    hint="a resumed run keeps its settings except those of run and schedule; "
                    f"start a new one: another run.folder, and model.start_from = {str(recipe.run.folder)!r}",
                )


def _check_folder(key: str, folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(
            f"{key} = {str(folder)!r}: there is no such folder",
            hint=f"folders of a recipe are relative to {Path.cwd()}; --set {key}=FOLDER uses another",
        )


def export(run_folder: Path, model_folder: Path, target: Path) -> None:
    """Write the averaged weights of a run's newest checkpoint as a model folder in bfloat16.

    Args:
        run_folder: folder of the run.
        model_folder: folder with the configuration and tokenizer files of the model.
        target: folder to write; a new one is made only when complete.

    Raises:
        DataError: the run has no checkpoint, or the folder cannot be written.
    """
    _, parts = _newest(run_folder)
    config = ModelConfig.from_hf(
        json.loads((model_folder / "config.json").read_text(encoding="utf-8"))
    )
    model = VisionLanguageModel(config)
    model.load_state_dict(_of_model(parts["average"]), strict=True)
    model.to(torch.bfloat16)
    whole = target.absolute()
    is_new = not whole.is_dir()
    try:
        with files.whole_folder(whole, error=None) if is_new else nullcontext(whole) as draft:
            save_model(model, draft, max_shard_bytes=14 * 2**20)
            for name in COMPANION_FILES:
                if (model_folder / name).exists() and model_folder.absolute() != whole:
                    shutil.copyfile(model_folder / name, draft / name)
    except (OSError, SafetensorError) as error:
        raise DataError(f"model folder {target} cannot be written: {error}") from error


def _start_from(trainer: Trainer, source: Path) -> None:
    """Load weights of a model folder or of another run, whose objectives' weights are used if they fit."""
    if checkpoints(source / "checkpoints"):
        _, parts = _newest(source)
        load_fitting(trainer.model, _of_model(parts["average"]), source)
        _take_objectives(trainer, parts["average"], source)
    else:
        loaded = load_model(source, dtype=torch.float32)
        load_fitting(trainer.model, loaded.state_dict(), source)
    trainer.average.module.load_state_dict(trainer.weights.state_dict())


def _take_objectives(trainer: Trainer, saved: dict[str, Tensor], source: Path) -> None:
    """Load the weights of objectives that fit; note which are ignored and which start from random weights."""
    wanted, others = (
        {name: value for name, value in tensors.items() if not name.startswith(f"{MODEL}.")}
        for tensors in (trainer.weights.state_dict(), saved)
    )
    fitting = {
        name: value
        for name, value in others.items()
        if name in wanted and wanted[name].shape == value.shape
    }
    trainer.weights.load_state_dict(fitting, strict=False)
    if ignored := sorted(others.keys() - fitting.keys()):
        trainer.notes.append(f"{source}: ignored {_groups(ignored)}, which this run does not have")
    if new := sorted(wanted.keys() - fitting.keys()):
        trainer.notes.append(
            f"{source}: no weights for {_groups(new)}, which start from random weights"
        )


def _groups(names: Sequence[str]) -> str:
    """Number of tensors of each objective, as in "6 tensors of dense"."""
    counts = Counter(name.partition(".")[0] for name in names)
    return ", ".join(f"{number} tensors of {group}" for group, number in counts.items())


def _newest(run_folder: Path) -> tuple[object, dict[str, dict[str, Tensor]]]:
    saved = checkpoints(run_folder / "checkpoints")
    if not saved:
        raise DataError(f"run {run_folder} has no finished checkpoint")
    return load_checkpoint(saved[-1])


def _of_model(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{MODEL}."): value
        for name, value in tensors.items()
        if name.startswith(f"{MODEL}.")
    }
