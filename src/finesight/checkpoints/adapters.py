# SPDX-License-Identifier: Apache-2.0
"""Reads and writes LoRA adapters in the format of peft: `adapter_config.json` and `adapter_model.safetensors`.

Names in the file are those of transformers' modules, so that peft and vLLM apply the adapter to a checkpoint in
transformers' layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finesight import files
from finesight.errors import WeightsError
from finesight.model.lora import lora_layers
from finesight.model.shards import list_tensors, read_tensors, write_tensors
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import published_name

__all__ = ["CONFIG", "WEIGHTS", "merge_adapter", "save_adapter"]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_TRANSFORMERS = {"model.": "model.language_model.", "visual.": "model.visual."}
"""Prefixes of the published checkpoints, and those of transformers' modules since 4.52."""


def save_adapter(model: VisionLanguageModel, folder: Path, *, base: str) -> None:
    """Write the adapters of a model in bfloat16.

    Args:
        model: a network with adapters of one rank and one scale.
        folder: folder to write to; it exists.
        base: name of the checkpoint to which they are applied, for the reader.

    Raises:
        WeightsError: the network has no adapter, or adapters of several ranks or scales.
        OSError: the folder cannot be written.
    """
    layers = lora_layers(model)
    shapes = {(layer.lora_A.out_features, layer.scale) for layer in layers.values()}
    if len(shapes) != 1:
        raise WeightsError(
            f"{len(layers)} adapters of {len(shapes)} ranks and scales cannot be saved as one adapter"
        )
    rank, scale = shapes.pop()
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        # a text is a pattern for whole names: a list of endings would also match layers of the vision tower
        "target_modules": "|".join(re.escape(_transformers_name(name)) for name in layers),
    }
    tensors = {
        f"{_PREFIX}{_transformers_name(name)}.{part}.weight": getattr(layer, part).weight.to(
            torch.bfloat16
        )
        for name, layer in layers.items()
        for part in ("lora_A", "lora_B")
    }
    files.write_json(folder / CONFIG, config, error=None)
    write_tensors(tensors, folder / WEIGHTS)


def merge_adapter(weights: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Weights of a network with an adapter added, each in its dtype; computed in float32.

    Args:
        weights: by published name.
        folder: of the adapter.

    Raises:
        WeightsError: the adapter is of another kind, incomplete, or does not fit the weights.
    """
    config = _read_config(folder / CONFIG)
    stored = list_tensors(folder)
    tensors = dict(read_tensors(stored, stored, torch.device("cpu"), torch.float32))
    merged = dict(weights)
    for name in sorted(tensors):
        module, _, part = name.removesuffix(".weight").rpartition(".")
        if part == "lora_B":
            continue
        target = f"{published_name(module.removeprefix(_PREFIX))}.weight"
        other = f"{module}.lora_B.weight"
        if part != "lora_A" or other not in tensors or target not in merged:
            raise WeightsError(
                f"tensor {name} in {folder / WEIGHTS} is no LoRA matrix of a layer of this model",
                hint="adapter and base model belong together: use the base that its adapter_config.json names",
            )
        change = tensors[other] @ tensors[name]
        before = merged[target]
        if change.shape != before.shape or tensors[name].shape[0] != config["r"]:
            raise WeightsError(
                f"the adapter of {target} changes a matrix of shape {tuple(change.shape)} with rank "
                f"{tensors[name].shape[0]}; the model has {tuple(before.shape)}, {CONFIG} rank {config['r']}"
            )
        scale = config["lora_alpha"] / config["r"]
        merged[target] = (before.float() + scale * change).to(before.dtype)
    return merged


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        rank, alpha = config["r"], config["lora_alpha"]
        ignored = [key for key in ("use_dora", "use_rslora", "rank_pattern") if config.get(key)]
        is_lora = config["peft_type"] == "LORA" and rank > 0 and alpha > 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is no configuration of a LoRA adapter: {error!r}") from error
    if not is_lora or ignored:
        raise WeightsError(
            f"{path} describes an adapter of kind {config['peft_type']} with {', '.join(ignored) or 'r and alpha'}, "
            "which is not read",
            hint="plain LoRA adapters can be used",
        )
    return dict(config)


def _transformers_name(name: str) -> str:
    for ours, theirs in _TRANSFORMERS.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name
