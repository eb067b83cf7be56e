# SPDX-License-Identifier: Apache-2.0
"""Export the averaged weights of a run: as a model folder, or as the parts that were trained over a text decoder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from finesight import files
from finesight.checkpoints.adapters import save_adapter
from finesight.checkpoints.pixels import mark_budget
from finesight.checkpoints.small import ADAPTER, VISUAL
from finesight.config.load import read_toml
from finesight.config.model import ModelConfig
from finesight.errors import ConfigError, DataError
from finesight.model.lora import lora_layers, merge_lora
from finesight.model.shards import some_of, write_tensors
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import save_model
from finesight.processor.from_hf import read_json
from finesight.train.base import adapt, has_loaded_base, lora_of, with_trained
from finesight.train.checkpoint import (
    averaged_weights,
    checkpoints,
    final_weights,
    load_checkpoint,
    load_fitting,
    newest,
)
from finesight.train.loop import of_model
from finesight.train.recipe import RunSection

COMPANION_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "generation_config.json",
)
"""Files of a model folder besides config.json and weights; every export copies them."""


def averaged_model(
    run_folder: Path, model_folder: Path, checkpoint: Path | None = None
) -> VisionLanguageModel:
    """The model of a run with its averaged weights in float32, with its adapters if it has some.

    Args:
        run_folder: folder of the run.
        model_folder: folder with the configuration of the model.
        checkpoint: of the run; None takes its final weights.

    Raises:
        DataError: the run has no checkpoint, or its weights do not fit the configuration.
        ConfigError: the run's recipe, which describes its adapters, cannot be read.
    """
    if checkpoint is None:
        weights = of_model(final_weights(run_folder))
    else:
        weights = of_model(averaged_weights(load_checkpoint(checkpoint)[1]))
    lora = lora_of(run_folder) if any(".lora_" in name for name in weights) else None
    if lora is not None and has_loaded_base(lora):
        return with_trained(_base_of(run_folder), lora, weights, run_folder)
    model = VisionLanguageModel(ModelConfig.from_hf(read_json(model_folder / "config.json")))
    if lora is not None:
        adapt(model, lora)
    load_fitting(model, weights, run_folder)
    return model


def trained_whole(run_folder: Path) -> list[str]:
    """Names of the model's parameters that a run has trained, besides its adapters.

    Raises:
        DataError: the run has no checkpoint.
    """
    trained = of_model(newest(run_folder)["average"])
    return [name for name in trained if ".lora_" not in name]


def _base_of(run_folder: Path) -> Path:
    """The model folder whose weights are under the adapters of a run with `lora.base`."""
    path = run_folder / "config.toml"
    folder = read_toml(path).get("model", {}).get("start_from")
    if not isinstance(folder, str) or not (Path(folder) / "config.json").is_file():
        raise ConfigError(
            f"{path}: model.start_from = {folder!r} is no model folder, and the run has only its adapters",
            hint="run the command in the folder in which the run was started",
        )
    return Path(folder)


def export(
    run_folder: Path, model_folder: Path, target: Path, checkpoint: Path | None = None
) -> None:
    """Write the averaged weights of a run as a model folder in bfloat16, adapters merged.

    Args:
        run_folder: folder of the run.
        model_folder: folder with the configuration and tokenizer files of the model.
        target: folder to write; a new one is made only when complete.
        checkpoint: of the run; None takes its final weights.

    Raises:
        DataError: the run has no checkpoint, or the folder cannot be written.
    """
    model = averaged_model(run_folder, model_folder, checkpoint)
    merge_lora(model)
    model.to(torch.bfloat16)
    whole = target.absolute()
    is_new = not whole.is_dir()
    try:
        with files.whole_folder(whole, error=None) if is_new else nullcontext(whole) as draft:
            save_model(model, draft, max_shard_bytes=14 * 2**20)
            for name in COMPANION_FILES:
                if (model_folder / name).exists() and model_folder.absolute() != whole:
                    shutil.copyfile(model_folder / name, draft / name)
            mark_budget(model_folder, draft)
    except OSError as error:
        raise DataError(f"model folder {target} cannot be written: {error}") from error


def exporter(run: RunSection, model_folder: Path) -> Callable[[Path], None]:
    """A callable for `Writer.saved`: it exports each checkpoint to `exports/step_N`, and deletes the oldest exports.

    Args:
        run: folder of the run, and how many checkpoints it keeps.
        model_folder: folder with the configuration and tokenizer files of the model.
    """
    exports = run.folder / "exports"

    def saved(checkpoint: Path) -> None:
        export(run.folder, model_folder, exports / checkpoint.name, checkpoint)
        for old in checkpoints(exports)[: -run.keep_checkpoints]:
            shutil.rmtree(old)

    return saved


def export_parts(run_folder: Path, model_folder: Path, target: Path) -> None:
    """Write what a run trained over a text decoder: the adapter in peft's format, and the vision tower; in bfloat16.

    `finesight.checkpoints.small.assemble` puts them together with the decoder again.

    Args:
        run_folder: folder of the run.
        model_folder: folder with the configuration and tokenizer files of the model.
        target: folder to write; its other files stay.

    Raises:
        DataError: the run has no checkpoint or no adapter of the decoder, it has trained other weights of the decoder,
            or the folder cannot be written.
    """
    model = averaged_model(run_folder, model_folder)
    merge_lora(model.visual)
    if not lora_layers(model):
        raise DataError(
            f"run {run_folder} has no adapters to export",
            hint="--export writes all weights of a run as a model folder",
        )
    if others := [name for name in trained_whole(run_folder) if not name.startswith("visual.")]:
        raise DataError(
            f"run {run_folder} has also trained {some_of(others)}, which are in no part",
            hint="--export writes all weights of a run as a model folder",
        )
    visual = {
        f"visual.{name}": value.to(torch.bfloat16)
        for name, value in model.visual.state_dict().items()
    }
    try:
        with files.filled_folder(target, last=("config.json",), error=None) as draft:
            (draft / ADAPTER).mkdir()
            save_adapter(model, draft / ADAPTER, base=model_folder.name)
            mark_budget(model_folder, draft)
            write_tensors(visual, draft / VISUAL)
            for name in ("config.json", *COMPANION_FILES):
                if name != "tokenizer.json" and (model_folder / name).exists():
                    shutil.copyfile(model_folder / name, draft / name)
    except OSError as error:
        raise DataError(f"folder {target} cannot be written: {error}") from error
