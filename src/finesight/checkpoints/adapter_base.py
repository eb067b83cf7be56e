# SPDX-License-Identifier: Apache-2.0
"""Whether an adapter is used with the weights that it was trained on.

An adapter's folder has a few values of the base weight of each of its layers. Another model of the same shape has
other values, though every shape fits. Rounded weights have nearly the same ones, so the comparison has two limits: a
warning above the rounding of bfloat16, an error above that of 4 bits. Folders of adapters that other programs wrote
have no such values; then only shapes are compared.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from finesight import files
from finesight.checkpoints.packed import is_packed_folder
from finesight.errors import WeightsError
from finesight.model.shards import MappedFiles, list_tensors, some_of
from finesight.model.weights import published_name
from finesight.processor.from_hf import RECORD

__all__ = ["check_base", "first_values", "stored_values", "write_base"]

_NUM_VALUES = 16
"""Values of each layer."""

_ROUNDED = 0.005
"""Relative difference above which weights differ by more than the rounding of bfloat16, which is below 0.004."""

_OTHER = 0.25
"""Relative difference above which weights are of another model; 4 bits make 0.1, independent weights 1.4."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    base: str
    layers: dict[str, list[float]]


def first_values(weight: Tensor) -> list[float]:
    """The first values of a weight, in bfloat16."""
    values: list[float] = weight.detach().flatten()[:_NUM_VALUES].to(torch.bfloat16).tolist()
    return values


def stored_values(folder: Path, layers: Iterable[str]) -> dict[str, list[float]]:
    """The first values of the weights of these layers in a checkpoint folder.

    Layers that are stored quantised or packed are left out.

    Args:
        folder: a checkpoint folder.
        layers: published names.
    """
    if is_packed_folder(folder):
        return {}
    stored = {published_name(name): entry for name, entry in list_tensors(folder).items()}
    mapped = MappedFiles()
    found = {}
    for layer in layers:
        entry = stored.get(f"{layer}.weight")
        if entry is not None and entry.dtype.is_floating_point:
            found[layer] = first_values(mapped.view(entry))
    return found


def write_base(folder: Path, base: str, layers: Mapping[str, list[float]]) -> None:
    """Write the values of the base weights into the folder of an adapter.

    Args:
        folder: of the adapter.
        base: name of the base model.
        layers: from `first_values`, by published name.

    Raises:
        OSError: the folder cannot be written.
    """
    record = _Record(base=base, layers=dict(layers))
    files.write_json(folder / RECORD, record.model_dump(), error=None)


def check_base(folder: Path, base: Path, layers: Iterable[str]) -> None:
    """Compare the base weights of an adapter with those of a checkpoint folder; see the text of the module.

    Args:
        folder: of the adapter.
        base: the checkpoint folder.
        layers: layers of the adapter, by published name.

    Raises:
        WeightsError: the weights are of another model, or the record is broken.
    """
    path = folder / RECORD
    if not path.is_file():
        return
    try:
        record = _Record.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise WeightsError(
            f"{path} is broken: {str(error).splitlines()[0]}",
            hint="copy it again, or delete it: then only shapes are compared",
        ) from error
    found = stored_values(base, layers)
    differ = {
        name: difference
        for name, values in found.items()
        if name in record.layers
        and len(values) == len(record.layers[name])
        and (difference := _difference(record.layers[name], values)) > _ROUNDED
    }
    if not differ:
        return
    names = some_of(sorted(differ, key=lambda name: -differ[name]))
    median = float(torch.tensor(list(differ.values())).median())
    said = (
        f"the adapter in {folder} was trained on {record.base}, whose weights differ from those in {base} by "
        f"{median:.0%} in {names}"
    )
    if median > _OTHER:
        raise WeightsError(
            said,
            hint=f"use it with {record.base}; or delete {path}, and only shapes are compared",
        )
    warnings.warn(
        f"{said}: they were rounded or trained further, and answers may be worse", stacklevel=2
    )


def _difference(wanted: list[float], found: list[float]) -> float:
    """Length of the difference relative to that of the values."""
    one, other = torch.tensor(wanted), torch.tensor(found)
    return float((one - other).norm() / one.norm().clamp_min(1e-12))
