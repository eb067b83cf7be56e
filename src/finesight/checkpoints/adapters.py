# SPDX-License-Identifier: Apache-2.0
"""Reads and writes LoRA adapters in the format of peft: `adapter_config.json` and `adapter_model.safetensors`.

Names in the file are those of transformers' modules, so that peft and vLLM apply the adapter to a checkpoint in
transformers' layout.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finesight import files
from finesight.errors import ConfigError, WeightsError
from finesight.model.adapters import Adapter
from finesight.model.lora import lora_layers
from finesight.model.shards import (
    StoredTensor,
    list_tensors,
    read_tensors,
    some_of,
    write_tensors,
)
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import linear_shapes, published_name

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "changes_head",
    "load_adapter",
    "load_adapters",
    "merge_adapter",
    "read_adapter",
    "save_adapter",
]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_HEAD = "lm_head"
_COPY = ".base_layer.weight"
_HINT = "adapter and base model belong together: use the base that its adapter_config.json names"

_NOT_READ = (
    *("alora_invocation_tokens", "alpha_pattern", "arrow_config", "bias", "fan_in_fan_out"),
    *("layer_replication", "lora_bias", "modules_to_save", "rank_pattern", "target_parameters"),
    *("trainable_token_indices", "use_dora", "use_qalora"),
)
"""Options of peft with another computation."""

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


def read_adapter(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Matrices of an adapter in float32, and its configuration.

    Args:
        folder: of the adapter.

    Returns:
        The matrices by name in the published layout, as in `model.layers.0.self_attn.q_proj.lora_A.weight`, and the
        content of `adapter_config.json`.

    Raises:
        WeightsError: the adapter is of another kind or incomplete.
    """
    config = _read_config(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        pickles = sorted(path.name for path in folder.glob("adapter_model.bin"))
        raise WeightsError(
            f"{folder} has no {WEIGHTS}" + (f", only {pickles[0]}, a pickle" if pickles else ""),
            hint="pickle files can run code and are never opened; save the adapter with peft as safetensors",
        )
    stored = _without_copies(_stored_in(folder), folder)
    found: dict[str, Tensor] = {}
    for name, value in read_tensors(stored, stored, torch.device("cpu"), torch.float32):
        module, _, part = name.removesuffix(".weight").rpartition(".")
        other = {"lora_A": "lora_B", "lora_B": "lora_A"}.get(part)
        if other is None or f"{module}.{other}.weight" not in stored or value.ndim != 2:
            raise WeightsError(
                f"tensor {name} in {folder / WEIGHTS} is not one of a pair of LoRA matrices",
                hint=_HINT,
            )
        rank = value.shape[0 if part == "lora_A" else 1]
        if rank != config["r"]:
            raise WeightsError(
                f"tensor {name} in {folder / WEIGHTS} has rank {rank}, {CONFIG} says {config['r']}",
                hint=_HINT,
            )
        found[published_name(name.removeprefix(_PREFIX))] = value
    return found, config


def _stored_in(folder: Path) -> dict[str, StoredTensor]:
    """The tensors of the adapter's file; other safetensors beside it are not part of it."""
    found = list_tensors(folder)
    return {name: each for name, each in found.items() if each.path.name == WEIGHTS}


def _without_copies(stored: dict[str, StoredTensor], folder: Path) -> dict[str, StoredTensor]:
    """The tensors without the weights of adapted layers themselves, which peft stores beside an adapter of the head."""
    copies = [
        name
        for name in stored
        if name.endswith(_COPY) and f"{name.removesuffix(_COPY)}.lora_A.weight" in stored
    ]
    if copies:
        warnings.warn(
            f"{folder / WEIGHTS} has a copy of {some_of(copies)}, which is not read: that of the base model is used",
            stacklevel=2,
        )
    return {name: each for name, each in stored.items() if name not in copies}


def load_adapters(
    folders: Mapping[str, Path], base: Path, *, model_name: str = ""
) -> tuple[Adapter, ...]:
    """The adapters of these folders, checked against the shapes of their base.

    Args:
        folders: by the names of the adapters.
        base: checkpoint folder of the model.
        model_name: name of the model, which no adapter may have.

    Raises:
        ConfigError: an adapter has the name of the model.
        WeightsError: see `load_adapter`.
    """
    if not folders:
        return ()
    if model_name in folders:
        raise ConfigError(
            f"the adapter {folders[model_name]} has the name of the model, {model_name}",
            hint="give it another name: --adapter NAME=FOLDER",
        )
    shapes = linear_shapes(base)
    return tuple(load_adapter(name, folder, shapes) for name, folder in folders.items())


def load_adapter(name: str, folder: Path, shapes: Mapping[str, tuple[int, int]]) -> Adapter:
    """Read an adapter for use beside others.

    Args:
        name: its name.
        folder: of the adapter.
        shapes: outputs and inputs of the linear layers of its base, by name.

    Raises:
        WeightsError: the adapter is of another kind, incomplete, or does not fit the base.
    """
    matrices, config = read_adapter(folder)
    modules = sorted({each.removesuffix(".weight").rpartition(".")[0] for each in matrices})
    _check_complete(shapes, modules, config, folder)
    digest = hashlib.blake2b(repr(_scale(config)).encode(), digest_size=8)
    pairs = {}
    for module in modules:
        first, second = (matrices[f"{module}.{part}.weight"] for part in ("lora_A", "lora_B"))
        _check_shape(module, first, second, shapes.get(module))
        for each in (first, second):
            digest.update(module.encode())
            digest.update(each.numpy().tobytes())
        pairs[module] = (first * _scale(config), second)
    return Adapter(name, digest.hexdigest(), pairs)


def _scale(config: Mapping[str, Any]) -> float:
    """Factor of `B A x`; of rank-stabilised LoRA (Kalajdzievski 2023, arXiv 2312.03732) `alpha / sqrt(r)`."""
    rank = math.sqrt(config["r"]) if config.get("use_rslora") else config["r"]
    return float(config["lora_alpha"] / rank)


def _check_complete(
    layers: Iterable[str], modules: Collection[str], config: Mapping[str, Any], folder: Path
) -> None:
    """Raise `WeightsError` if a layer that the configuration names has no matrices."""
    if config.get("layers_to_transform") is not None or config.get("exclude_modules"):
        return  # fewer layers than `target_modules` names
    if lost := sorted(_wanted(layers, config["target_modules"]) - set(modules)):
        raise WeightsError(f"{folder / WEIGHTS} has no adapter of {some_of(lost)}", hint=_HINT)


def _check_shape(module: str, first: Tensor, second: Tensor, shape: tuple[int, ...] | None) -> None:
    if shape is None or shape != (second.shape[0], first.shape[1]):
        raise WeightsError(
            f"the adapter of {module} has matrices of shapes {tuple(first.shape)} and {tuple(second.shape)}; "
            f"the model has {shape or 'no such layer'}",
            hint=_HINT,
        )


def changes_head(folder: Path) -> bool:
    """Whether an adapter changes the output head.

    Raises:
        WeightsError: it is of another kind, or broken.
    """
    return any(name.startswith(f"{_HEAD}.") for name in read_adapter(folder)[0])


def merge_adapter(weights: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Weights of a network with an adapter added, each in its dtype; computed in float32.

    Args:
        weights: by published name.
        folder: of the adapter.

    Raises:
        WeightsError: the adapter is of another kind, incomplete, or does not fit the weights.
    """
    matrices, config = read_adapter(folder)
    modules = {name.removesuffix(".weight").rpartition(".")[0] for name in matrices}
    layers = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
    _check_complete(layers, modules, config, folder)
    merged = dict(weights)
    for module in sorted(modules):
        first, second = (matrices[f"{module}.{part}.weight"] for part in ("lora_A", "lora_B"))
        before = merged.get(f"{module}.weight")
        _check_shape(module, first, second, None if before is None else tuple(before.shape))
        assert before is not None
        change = _scale(config) * (second @ first)
        merged[f"{module}.weight"] = (before.float() + change).to(before.dtype)
    return merged


def _wanted(names: Iterable[str], targets: str | Sequence[str]) -> set[str]:
    """Layers that an adapter must have: a text is a pattern of whole names, a list has ends of names."""
    if isinstance(targets, str):
        return {name for name in names if re.fullmatch(targets, _transformers_name(name))}
    return {name for name in names if name.endswith(tuple(f".{each}" for each in targets))}


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        rank, alpha = config["r"], config["lora_alpha"]
        ignored = [
            key for key in _NOT_READ if config.get(key, "none") not in (None, "none", False, {}, [])
        ]
        is_lora = config["peft_type"] == "LORA" and rank > 0 and 0 < alpha < math.inf
        targets = config["target_modules"]
        re.compile(targets if isinstance(targets, str) else "|".join(targets))
    except (OSError, ValueError, KeyError, TypeError, re.error) as error:
        raise WeightsError(
            f"{path} is no configuration of a LoRA adapter: {error!r}", hint=_HINT
        ) from error
    if not is_lora or ignored:
        raise WeightsError(
            f"{path} describes an adapter of kind {config['peft_type']} with {', '.join(ignored) or 'r and alpha'}, "
            "which is not read",
            hint="plain and rank-stabilised LoRA can be used; merge another adapter into its model with peft "
            "(merge_and_unload) and give the folder of the result as --model",
        )
    return dict(config)


def _transformers_name(name: str) -> str:
    for ours, theirs in _TRANSFORMERS.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name
