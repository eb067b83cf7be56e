# SPDX-License-Identifier: Apache-2.0
"""Finds the quantised layers of a checkpoint and checks them before a value is read.

A quantised layer is stored as several tensors (`finesight.model.quantised`). They become one entry with the name of the
weight, so that the loader compares names and shapes as for plain weights.

Source: AutoGPTQ `modeling/_utils.py` for the biases of zero; transformers `should_convert_module` for names of modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from finesight.config.quantisation import Quantisation
from finesight.errors import MissingWeights, ShapeMismatch, WeightsError
from finesight.model.quantised import QuantisedWeight
from finesight.model.shards import StoredTensor, read_tensors, some_of

if TYPE_CHECKING:
    from pathlib import Path

_PARTS = ("qweight", "qzeros", "scales", "g_idx")

_ENDINGS = tuple(f".{part}" for part in _PARTS)

_BLOCK_NUMBER = re.compile(r"\.\d+\.")

_DOWNLOAD_AGAIN = (
    "the files are not of one checkpoint, or config.json is of another: download the folder again"
)

Entry = StoredTensor | QuantisedWeight
"""Where a tensor of the model is stored."""


def join_parts(
    stored: Mapping[str, StoredTensor],
    expected: Mapping[str, Tensor],
    quantisation: Quantisation | None,
    folder: Path,
) -> dict[str, Entry]:
    """Replace the stored parts of each quantised weight by one entry with the name of the weight.

    Args:
        stored: the tensors of the folder, by published name.
        expected: the tensors of the model.
        quantisation: of `config.json`; its module names are published ones.
        folder: for messages.

    Raises:
        MissingWeights: a part is missing.
        ShapeMismatch: a part has another shape than `quantisation` and the model imply.
        WeightsError: parts without a quantised model, or a layer that is both quantised and plain.
    """
    names = [name.removesuffix(".qweight") for name in stored if name.endswith(".qweight")]
    if quantisation is None:
        if names:
            raise WeightsError(
                f"{folder} holds the quantised layers {some_of(names)}, but config.json has no quantization_config",
                hint="download config.json again, or use the model that was quantised",
            )
        return dict(stored)
    if not names:
        raise WeightsError(
            f"{folder}: config.json says that weights are quantised ({quantisation.label}), but no layer is",
            hint="remove quantization_config from config.json if the weights are plain",
        )
    entries: dict[str, Entry] = {
        name: entry for name, entry in stored.items() if not name.endswith(_ENDINGS)
    }
    entries |= {
        f"{name}.weight": _joined(name, stored, expected, quantisation, folder) for name in names
    }
    _check_orphans(stored, names, folder)
    _check_mixture(entries, quantisation)
    return _without_zero_biases(entries, expected)


def _joined(
    name: str,
    stored: Mapping[str, StoredTensor],
    expected: Mapping[str, Tensor],
    quantisation: Quantisation,
    folder: Path,
) -> QuantisedWeight:
    """The quantised weight of one layer, checked."""
    found = {part: stored[f"{name}.{part}"] for part in _PARTS if f"{name}.{part}" in stored}
    needed = _PARTS if quantisation.desc_act else _PARTS[:3]
    missing = [f"{name}.{part}" for part in needed if part not in found]
    if missing:
        raise MissingWeights(
            f"{folder} lacks {some_of(missing)}, but holds {name}.qweight ({quantisation.label})",
            hint=_DOWNLOAD_AGAIN,
        )
    path = found["qweight"].path
    if f"{name}.weight" in stored:
        raise WeightsError(
            f"layer {name} is stored quantised in {path} and plain in {stored[f'{name}.weight'].path}",
            hint=_DOWNLOAD_AGAIN,
        )
    listed = _listing(name, quantisation)
    if listed:
        raise WeightsError(
            f"layer {name} in {path} is quantised, but config.json lists {listed} in modules_to_not_convert",
            hint=_DOWNLOAD_AGAIN,
        )
    if f"{name}.weight" not in expected:
        raise WeightsError(
            f"{path} holds the quantised layer {name}, which this model does not have",
            hint="config.json and weights are of different models",
        )
    weight = QuantisedWeight(found, quantisation)
    _check_dtypes(name, weight)
    _check_shapes(name, weight, tuple(expected[f"{name}.weight"].shape))
    return weight


def _listing(name: str, quantisation: Quantisation) -> str:
    """The entry of `modules_to_not_convert` that names this layer or a module around it; "" if none does."""
    listed = (key for key in quantisation.modules_to_not_convert if f".{key}." in f".{name}.")
    return next(listed, "")


def _check_dtypes(name: str, weight: QuantisedWeight) -> None:
    for part, entry in weight.parts.items():
        wants_float = part == "scales"
        wrong = entry.dtype.is_floating_point != wants_float
        if wrong or (part in ("qweight", "qzeros") and entry.dtype != torch.int32):
            raise WeightsError(
                f"tensor {name}.{part} in {entry.path} is stored as {entry.dtype}, expected "
                f"{'a float' if wants_float else 'torch.int32'}",
                hint=_DOWNLOAD_AGAIN,
            )


def _check_shapes(name: str, weight: QuantisedWeight, wanted: tuple[int, ...]) -> None:
    quantisation, codes = weight.quantisation, weight.parts["qweight"]
    if len(codes.shape) != 2 or weight.shape != wanted:
        means = f", a weight of shape {weight.shape}" if len(codes.shape) == 2 else ""
        raise ShapeMismatch(
            f"tensor {name}.qweight in {codes.path} has shape {codes.shape}{means} ({quantisation.label}), "
            f"config.json asks for {wanted}",
            hint=_DOWNLOAD_AGAIN,
        )
    size = quantisation.group_size
    if quantisation.method == "awq" and size != -1 and wanted[1] % size:
        raise ShapeMismatch(
            f"tensor {name}.qweight in {codes.path} has shape {codes.shape}: {wanted[1]} inputs are no whole groups of "
            f"{size}, which AWQ needs",
            hint="group_size in config.json must be that of the weights",
        )
    shapes = weight.part_shapes()
    for part, entry in weight.parts.items():
        if part != "qweight" and entry.shape != shapes[part]:
            raise ShapeMismatch(
                f"tensor {name}.{part} in {entry.path} has shape {entry.shape}, a weight of shape {wanted} with "
                f"{quantisation.label} needs {shapes[part]}",
                hint=f"{_DOWNLOAD_AGAIN}; group_size in config.json must be that of the weights",
            )


def _check_orphans(stored: Mapping[str, StoredTensor], names: Iterable[str], folder: Path) -> None:
    """Raise for parts whose codes are missing."""
    layers = set(names)
    orphans = [
        name for name in stored if name.endswith(_ENDINGS) and name.rpartition(".")[0] not in layers
    ]
    if orphans:
        lost = [f"{name.rpartition('.')[0]}.qweight" for name in orphans]
        raise MissingWeights(
            f"{folder} lacks {some_of(sorted(set(lost)))}, but holds {some_of(orphans)}",
            hint=_DOWNLOAD_AGAIN,
        )


def _check_mixture(entries: Mapping[str, Entry], quantisation: Quantisation) -> None:
    """Raise if a layer is plain, though the same layer of another block is quantised.

    AWQ scales the inputs of a layer in the norm before it, so the plain weight of another checkpoint would be wrong.
    """
    quantised = {
        _BLOCK_NUMBER.sub(".*.", name, count=1): name
        for name, entry in entries.items()
        if isinstance(entry, QuantisedWeight)
    }
    for name, entry in entries.items():
        layer = name.removesuffix(".weight")
        other = quantised.get(_BLOCK_NUMBER.sub(".*.", name, count=1))
        if other and isinstance(entry, StoredTensor) and not _listing(layer, quantisation):
            raise WeightsError(
                f"layer {layer} in {entry.path} is plain, but {other.removesuffix('.weight')} in "
                f"{entries[other].path} is quantised",
                hint=f"{_DOWNLOAD_AGAIN}; or add the plain layer to modules_to_not_convert in config.json",
            )


def _without_zero_biases(
    entries: Mapping[str, Entry], expected: Mapping[str, Tensor]
) -> dict[str, Entry]:
    """Leave out biases of zero that GPTQ stores with layers that have none."""
    extra = {
        name: entry
        for name, entry in entries.items()
        if name.endswith(".bias")
        and name not in expected
        and isinstance(entries.get(f"{name.removesuffix('bias')}weight"), QuantisedWeight)
        and isinstance(entry, StoredTensor)
    }
    values = read_tensors(extra, extra, torch.device("cpu"), torch.float32)
    zero = {name for name, value in values if not value.any()}
    return {name: entry for name, entry in entries.items() if name not in zero}
