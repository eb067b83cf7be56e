# SPDX-License-Identifier: Apache-2.0
"""Reads the folder of a LoRA or DoRA adapter in the format of peft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from finesight.checkpoints.adapter_config import (
    CONFIG,
    HINT,
    AdapterConfig,
    read_config,
    transformers_name,
)
from finesight.checkpoints.adapter_file import WEIGHTS, stored_tensors
from finesight.errors import WeightsError
from finesight.model.shards import read_tensors, some_of
from finesight.model.weights import published_name

__all__ = ["HEAD", "MAGNITUDE", "PREFIX", "StoredAdapter", "StoredLayer", "read_adapter"]

PREFIX = "base_model.model."
"""Start of all names in the file."""

MAGNITUDE = "lora_magnitude_vector"

HEAD = "lm_head"


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """The adapter of one layer, in float32.

    Attributes:
        first: `A`, `[R, in]`.
        second: `B`, `[out, R]`.
        scale: factor of `B A`.
        magnitude: `m` of DoRA, `[out]`; None for LoRA.
    """

    first: Tensor
    second: Tensor
    scale: float
    magnitude: Tensor | None


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """The content of an adapter's folder.

    Attributes:
        folder: where it is.
        config: its configuration.
        layers: adapters of linear layers, by published name.
        replaced: parameters of modules that are stored whole, by published name.
    """

    folder: Path
    config: AdapterConfig
    layers: Mapping[str, StoredLayer]
    replaced: Mapping[str, Tensor]

    def parameters(self) -> dict[str, Tensor]:
        """All its tensors by the names of a network's parameters, see `finesight.model.lora`."""
        found = dict(self.replaced)
        for name, layer in self.layers.items():
            found[f"{name}.lora_A.weight"] = layer.first
            found[f"{name}.lora_B.weight"] = layer.second
            if layer.magnitude is not None:
                found[f"{name}.{MAGNITUDE}"] = layer.magnitude
        return found


def read_adapter(folder: Path) -> StoredAdapter:
    """Read the folder of an adapter.

    Raises:
        WeightsError: the adapter is of another kind or incomplete.
    """
    config = read_config(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        pickles = sorted(path.name for path in folder.glob("adapter_model.bin"))
        raise WeightsError(
            f"{folder} has no {WEIGHTS}" + (f", only {pickles[0]}, a pickle" if pickles else ""),
            hint="pickle files can run code and are never opened; save the adapter with peft as safetensors",
        )
    stored = stored_tensors(folder)
    found = {
        published_name(name.removeprefix(PREFIX)): value
        for name, value in read_tensors(stored, stored, torch.device("cpu"), torch.float32)
    }
    magnitudes = {
        name.removesuffix(".weight").removesuffix(f".{MAGNITUDE}"): found.pop(name)
        for name in list(found)
        if name.removesuffix(".weight").endswith(f".{MAGNITUDE}")
    }
    layers: dict[str, StoredLayer] = {}
    replaced: dict[str, Tensor] = {}
    for name, value in found.items():
        module, _, part = name.removesuffix(".weight").rpartition(".")
        if part not in ("lora_A", "lora_B") and _is_replaced(name, config):
            replaced[name] = value
            continue
        other = {"lora_A": "lora_B", "lora_B": "lora_A"}.get(part)
        if other is None or f"{module}.{other}.weight" not in found or value.ndim != 2:
            raise WeightsError(
                f"tensor {name} in {folder / WEIGHTS} is not one of a pair of LoRA matrices",
                hint=HINT,
            )
        rank = value.shape[0 if part == "lora_A" else 1]
        if rank != config.rank_of(module):
            raise WeightsError(
                f"tensor {name} in {folder / WEIGHTS} has rank {rank}, {CONFIG} says {config.rank_of(module)}",
                hint=HINT,
            )
        if part == "lora_B":
            first, scale = found[f"{module}.lora_A.weight"], config.scale_of(module)
            layers[module] = StoredLayer(first, value, scale, magnitudes.pop(module, None))
    adapter = StoredAdapter(folder, config, layers, replaced)
    _check_magnitudes(adapter, magnitudes)
    return adapter


def _is_replaced(name: str, config: AdapterConfig) -> bool:
    """Whether a parameter is part of a module that is stored whole."""
    if name == f"{HEAD}.weight" and config.ties_embedding:
        return True
    return any(f".{each}." in f".{transformers_name(name)}" for each in config.replaced)


def _check_magnitudes(adapter: StoredAdapter, others: Mapping[str, Tensor]) -> None:
    """Raise `WeightsError` unless all layers of a DoRA adapter have magnitudes, and none of another."""
    wrong = [*others] + [
        name
        for name, layer in adapter.layers.items()
        if (layer.magnitude is not None) != adapter.config.dora
        or (layer.magnitude is not None and layer.magnitude.shape != layer.second.shape[:1])
    ]
    if wrong:
        raise WeightsError(
            f"{adapter.folder / WEIGHTS}: magnitudes and matrices of {some_of(wrong)} do not fit use_dora = "
            f"{adapter.config.dora} in {CONFIG}",
            hint=HINT,
        )
