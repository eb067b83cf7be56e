# SPDX-License-Identifier: Apache-2.0
"""Reads and writes LoRA and DoRA adapters in the format of peft: `adapter_config.json`, `adapter_model.safetensors`.

Names in the file are those of transformers' modules, so that peft and vLLM apply the adapter to a checkpoint in
transformers' layout. Modules that were trained whole beside the adapters are stored whole, as peft's `modules_to_save`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from finesight import files
from finesight.checkpoints.adapter_base import check_base, first_values, write_base
from finesight.checkpoints.adapter_config import CONFIG, HINT, transformers_name, written_config
from finesight.checkpoints.adapter_file import WEIGHTS
from finesight.checkpoints.adapter_folder import (
    HEAD,
    MAGNITUDE,
    PREFIX,
    StoredAdapter,
    StoredLayer,
    read_adapter,
)
from finesight.errors import ConfigError, WeightsError
from finesight.model.adapters import Adapter
from finesight.model.lora import lora_layers
from finesight.model.low_rank import LowRank, merged_weight
from finesight.model.shards import some_of, write_tensors
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import linear_shapes, plain_shapes
from finesight.processor.from_hf import read_trained_pixels

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "StoredAdapter",
    "StoredLayer",
    "load_adapter",
    "load_adapters",
    "merge_adapter",
    "read_adapter",
    "save_adapter",
]

_EMBEDDING = "model.embed_tokens"


def save_adapter(
    model: VisionLanguageModel,
    folder: Path,
    *,
    base: str,
    trained: Iterable[str] = (),
    values: Mapping[str, list[float]] | None = None,
) -> None:
    """Write the adapters of a model in bfloat16; magnitudes of DoRA, which are near a base value, in float32.

    Args:
        model: a network with adapters of one kind; ranks may differ.
        folder: folder to write to; it exists.
        base: name of the checkpoint to which they are applied, for the reader.
        trained: names of other parameters that were trained; their modules are stored whole.
        values: first values of the base weights, if those of the model are not the base's; see `adapter_base`.

    Raises:
        WeightsError: the network has no adapter, adapters of several kinds, or one in a layer that was trained whole.
        OSError: the folder cannot be written.
    """
    layers = lora_layers(model)
    kinds = {
        (layer.rslora, layer.lora_magnitude_vector is None, layer.dropout)
        for layer in layers.values()
    }
    if len(kinds) != 1:
        raise WeightsError(
            f"{len(layers)} adapters of {len(kinds)} kinds cannot be saved as one adapter"
        )
    whole = sorted({name.rpartition(".")[0] for name in trained})
    if both := [name for name in whole if name in layers]:
        raise WeightsError(
            f"{some_of(both)} have adapters and were trained whole, which an adapter cannot express",
            hint="export the whole model",
        )
    tied = model.config.text.tie_word_embeddings
    config = written_config(layers, base=base, replaced=whole, tied=tied)
    tensors = dict(_layer_tensors(layers)) | {
        f"{PREFIX}{transformers_name(name)}.{own}": value.to(torch.bfloat16)
        for name in whole
        for own, value in model.get_submodule(name).named_parameters(recurse=False)
    }
    if tied and _EMBEDDING in whole:  # peft reads both
        start = f"{PREFIX}{transformers_name(_EMBEDDING)}"
        tensors[f"{PREFIX}{HEAD}.weight"] = tensors[f"{start}.weight"].clone()
    files.write_json(folder / CONFIG, config, error=None)
    write_tensors(tensors, folder / WEIGHTS)
    if values is None:
        values = {
            name: first_values(layer.weight)
            for name, layer in layers.items()
            if layer.weight.is_floating_point()
        }
    write_base(folder, base, values)


def _layer_tensors(layers: Mapping[str, LowRank]) -> Iterable[tuple[str, Tensor]]:
    """Matrices and magnitudes by the names of peft."""
    for name, layer in layers.items():
        start = f"{PREFIX}{transformers_name(name)}"
        yield f"{start}.lora_A.weight", layer.lora_A.weight.to(torch.bfloat16)
        yield f"{start}.lora_B.weight", layer.lora_B.weight.to(torch.bfloat16)
        if layer.lora_magnitude_vector is not None:
            yield f"{start}.{MAGNITUDE}", layer.lora_magnitude_vector.float()


def load_adapters(
    folders: Mapping[str, Path], base: Path, *, model_name: str = ""
) -> tuple[Adapter, ...]:
    """The adapters of these folders, checked against the shapes and weights of their base.

    Args:
        folders: by the names of the adapters.
        base: checkpoint folder of the model.
        model_name: name of the model, which no adapter may have.

    Raises:
        ConfigError: an adapter has the name of the model.
        WeightsError: see `load_adapter`, or an adapter was trained on other weights.
    """
    if not folders:
        return ()
    if model_name in folders:
        raise ConfigError(
            f"the adapter {folders[model_name]} has the name of the model, {model_name}",
            hint="give it another name: --adapter NAME=FOLDER",
        )
    shapes, parameters = linear_shapes(base), plain_shapes(base)
    found = []
    for name, folder in folders.items():
        check_base(folder, base, shapes)
        found.append(load_adapter(name, folder, shapes, parameters))
    return tuple(found)


def load_adapter(
    name: str,
    folder: Path,
    shapes: Mapping[str, tuple[int, int]],
    parameters: Mapping[str, tuple[int, ...]],
) -> Adapter:
    """Read an adapter for use beside others.

    Args:
        name: its name.
        folder: of the adapter.
        shapes: outputs and inputs of the linear layers of its base, by name.
        parameters: shapes of all parameters of its base, by name; a tied output head is none.

    Raises:
        WeightsError: the adapter is of another kind, incomplete, or does not fit the base.
    """
    stored = read_adapter(folder)
    modules = sorted(stored.layers)
    _check_complete(shapes, modules, stored)
    for module in modules:
        _check_shape(module, stored.layers[module], shapes.get(module))
    _check_replaced(stored, parameters)
    digest = hashlib.blake2b(digest_size=8)
    for each, value in sorted(stored.parameters().items()):
        digest.update(each.encode())
        digest.update(value.numpy().tobytes())
    digest.update(repr([stored.layers[module].scale for module in modules]).encode())
    layers = {module: stored.layers[module] for module in modules}
    return Adapter(
        name,
        digest.hexdigest(),
        {each: (layer.first * layer.scale, layer.second) for each, layer in layers.items()},
        {each: layer.magnitude for each, layer in layers.items() if layer.magnitude is not None},
        _by_module(stored.replaced),
        read_trained_pixels(folder),
    )


def _by_module(parameters: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Parameters by module and their own name."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in parameters.items():
        module, _, own = name.rpartition(".")
        found.setdefault(module, {})[own] = value
    return found


def _check_complete(layers: Iterable[str], modules: Collection[str], stored: StoredAdapter) -> None:
    """Raise `WeightsError` if a layer that the configuration names has no matrices."""
    if lost := sorted(stored.config.wanted(layers) - set(modules)):
        raise WeightsError(
            f"{stored.folder / WEIGHTS} has no adapter of {some_of(lost)}", hint=HINT
        )


def _check_shape(module: str, layer: StoredLayer, shape: tuple[int, ...] | None) -> None:
    if shape is None or shape != (layer.second.shape[0], layer.first.shape[1]):
        raise WeightsError(
            f"the adapter of {module} has matrices of shapes {tuple(layer.first.shape)} and "
            f"{tuple(layer.second.shape)}; the model has {shape or 'no such layer'}",
            hint=HINT,
        )


def _check_replaced(stored: StoredAdapter, parameters: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `WeightsError` if a parameter of a module that is stored whole has another shape in the model."""
    shapes = dict(parameters)
    if f"{_EMBEDDING}.weight" in shapes:  # a tied output head is no parameter
        shapes.setdefault(f"{HEAD}.weight", shapes[f"{_EMBEDDING}.weight"])
    for name, value in stored.replaced.items():
        if shapes.get(name) != tuple(value.shape):
            raise WeightsError(
                f"{stored.folder / WEIGHTS} has {name} of shape {tuple(value.shape)}; the model has "
                f"{shapes.get(name, 'no such parameter')}",
                hint=HINT,
            )


def merge_adapter(weights: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Weights of a network with an adapter added, each in its dtype; computed in float32.

    Args:
        weights: by published name.
        folder: of the adapter.

    Raises:
        WeightsError: the adapter is of another kind, incomplete, or does not fit the weights.
    """
    stored = read_adapter(folder)
    names = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
    _check_complete(names, stored.layers, stored)
    _check_replaced(stored, {name: tuple(value.shape) for name, value in weights.items()})
    replaced = dict(stored.replaced)
    if f"{HEAD}.weight" not in weights:
        embedding, head = (replaced.get(f"{name}.weight") for name in (_EMBEDDING, HEAD))
        if (embedding is None) != (head is None) or not _is_same(embedding, head):
            raise WeightsError(
                f"{folder} changes only one of token embedding and output head; the model has one tensor for both",
                hint="train it again with ensure_weight_tying, or use it without merging",
            )
        replaced.pop(f"{HEAD}.weight", None)
    merged = dict(weights)
    for module, layer in sorted(stored.layers.items()):
        before = merged.get(f"{module}.weight")
        _check_shape(module, layer, None if before is None else tuple(before.shape))
        assert before is not None
        pair = (layer.first, layer.second)
        merged[f"{module}.weight"] = merged_weight(before, *pair, layer.scale, layer.magnitude)
    for name, value in replaced.items():
        merged[name] = value.to(weights[name].dtype)
    return merged


def _is_same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is None or other is None or torch.equal(one, other)
