# SPDX-License-Identifier: Apache-2.0
"""Initial weights of a run: a model folder, exported parts over a text decoder, or the averaged weights of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from finesight.checkpoints.adapters import read_adapter
from finesight.checkpoints.small import ADAPTER
from finesight.errors import ConfigError, DataError
from finesight.model.lora import lora_layers
from finesight.model.shards import list_tensors, read_tensors
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model
from finesight.train.base import adapt, lora_of
from finesight.train.checkpoint import checkpoints, final_weights, load_fitting
from finesight.train.loop import of_model

__all__ = ["check_folder", "load_weights"]


def check_folder(key: str, folder: Path) -> None:
    """Raise `ConfigError`, which names the key of the recipe, if there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(
            f"{key} = {str(folder)!r}: there is no such folder",
            hint=f"folders of a recipe are relative to {Path.cwd()}; --set {key}=FOLDER uses another",
        )


def load_weights(
    model: VisionLanguageModel,
    source: Path,
    model_folder: Path,
    *,
    notes: list[str],
    division: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor] | None:
    """Load the weights of a model.

    Args:
        model: with the adapters of the recipe.
        source: a model folder, exported parts, or a run.
        model_folder: the model folder that exported parts belong to.
        notes: gets a note if the source has no adapters.
        division: all parameters by name if several ranks divide the model, see `load_checkpoint`.

    Returns:
        All averaged weights of the run, if the source is one.

    Raises:
        ConfigError: the adapters of a run are not described in its folder.
        DataError: the weights do not fit the model, or its adapters have another scale.
        WeightsError: they cannot be read.
    """
    if checkpoints(source / "checkpoints"):
        saved = final_weights(source, division)
        weights = of_model(saved)
        if any(".lora_" in name for name in weights):
            trained = VisionLanguageModel.without_memory(model.config)
            adapt(trained, lora_of(source))
            scales = {name: one.scale for name, one in lora_layers(trained).items()}
            _check_scales(model, scales, f"the run {source}", "its config.toml")
        load_fitting(model, _with_adapters(model, weights, source, notes), source)
        return saved
    if (source / ADAPTER).is_dir():
        load_fitting(model, _of_parts(model, source, model_folder), source)
    else:
        dtype = _dtype_to_load(source, is_divided=division is not None)
        loaded = load_model(source, dtype=dtype).state_dict()
        load_fitting(model, _with_adapters(model, loaded, source, notes), source)
    return None


def _dtype_to_load(source: Path, *, is_divided: bool) -> torch.dtype:
    """float32; for several ranks that of the files, which then stay mapped while each rank copies its parts."""
    stored = {entry.dtype for entry in list_tensors(source).values()}
    is_mapped = is_divided and len(stored) == 1
    return stored.pop() if is_mapped else torch.float32


def _of_parts(model: VisionLanguageModel, parts: Path, model_folder: Path) -> dict[str, Tensor]:
    """Weights of exported parts over those of the model folder, which holds the decoder without adapters."""
    adapter = read_adapter(parts / ADAPTER)
    scales = {name: one.scale for name, one in adapter.layers.items()}
    _check_scales(model, scales, f"the adapter in {parts}", "its adapter_config.json")
    stored = list_tensors(parts)
    tower = dict(read_tensors(stored, stored, torch.device("cpu"), torch.float32))
    return {
        **load_model(model_folder, dtype=torch.float32).state_dict(),
        **tower,
        **adapter.parameters(),
    }


def _check_scales(
    model: VisionLanguageModel, theirs: Mapping[str, float], source: str, where: str
) -> None:
    """Adapters that are multiplied by another number than in their training compute something else."""
    layers = lora_layers(model)
    known = [name for name in theirs if name in layers]
    if any(theirs[name] != layers[name].scale for name in known):
        found = ", ".join(sorted({f"{theirs[name]:g}" for name in known}))
        raise DataError(
            f"{source} has the scale {found}, those of the recipe {sorted({layers[name].scale for name in known})}",
            hint=f"set lora.rank, alpha and rslora to those in {where}",
        )


def _with_adapters(
    model: VisionLanguageModel, weights: dict[str, Tensor], source: Path, notes: list[str]
) -> dict[str, Tensor]:
    """The weights, with those of new adapters if the source has no adapters."""
    new = {name: value for name, value in model.state_dict().items() if ".lora_" in name}
    if not new or any(".lora_" in name for name in weights):
        return weights
    for name in new:
        layer = name.removesuffix(".lora_magnitude_vector")
        if layer != name:  # it was made of the random initial weight
            new[name] = weights[f"{layer}.weight"].float().norm(dim=1)
    notes.append(f"{source}: no adapters; {len(lora_layers(model))} new ones start at zero")
    return {**weights, **new}
