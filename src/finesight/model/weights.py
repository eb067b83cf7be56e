# SPDX-License-Identifier: Apache-2.0
"""Loads and saves checkpoint folders: `config.json` and sharded safetensors.

The model is built without memory, then each tensor of the shards becomes its parameter (`finesight.model.shards`).
Everything is checked before a model is returned: names, shapes, the size of every file, and that every number is
finite. Pickle files are never opened.

Mapped files must not be overwritten in place while a model uses them. `save_model` therefore replaces files.

AWQ and GPTQ checkpoints are dequantised (`finesight.model.quantised`).

Parity: tests/parity/test_weights.py.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from finesight import files
from finesight.config.folder import check_weight_files
from finesight.config.model import ModelConfig
from finesight.config.quantisation import Quantisation
from finesight.errors import MissingWeights, ShapeMismatch, WeightsError
from finesight.model.quantised import Blocks, QuantisedWeight, read_blocks, read_quantised
from finesight.model.quantised_entries import Entry, join_parts
from finesight.model.shards import (
    INDEX,
    SINGLE,
    StoredTensor,
    list_tensors,
    map_file,
    read_tensors,
    some_of,
    view_of,
    write_tensors,
)
from finesight.model.vl import VisionLanguageModel

PREFIXES = {
    "model.visual.": "visual.",
    "model.language_model.": "model.",
    "language_model.model.": "model.",
    "language_model.lm_head.": "lm_head.",
    "language_model.": "model.",
}
"""Prefixes of parameter names in other layouts of transformers, and those of the published checkpoints.

The first match applies. transformers before 4.52 writes the published names; later versions write `model.visual` and
`model.language_model`; a model without output head is saved with the bare `language_model`.
"""

_IGNORED_ENDINGS = ("rotary_emb.inv_freq", "rotary_pos_emb.inv_freq")
"""Constants that old versions saved with the weights."""


def load_model(
    folder: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    attention: str = "sdpa",
) -> VisionLanguageModel:
    """Load a checkpoint folder.

    Args:
        folder: contains `config.json` and safetensors files, with an index if there are several.
        device: of the weights.
        dtype: of the weights; None takes the one that `config.json` names.
        attention: the back end of the model.

    Returns:
        The model, in evaluation mode.

    Raises:
        ConfigError: `config.json` is missing or not one of this model, or the folder also contains an adapter.
        MissingWeights: a file or a tensor is missing.
        ShapeMismatch: a tensor has another shape than in the configuration.
        WeightsError: a file is truncated or broken, a tensor is not part of the model, or not finite.
    """
    folder = Path(folder)
    model, quantisation = _empty_model(folder, attention)
    stored = _by_published_name(list_tensors(folder))
    expected, tied = model.state_dict(), model.config.text.tie_word_embeddings
    entries = join_parts(stored, expected, quantisation, folder)
    _compare(expected, entries, folder, tied=tied)
    target = dtype or getattr(torch, model.config.dtype)
    quantised = _quantised(entries)
    plain = expected.keys() - quantised.keys()
    tensors = dict(read_tensors(stored, plain, torch.device(device), target))
    tensors |= read_quantised(quantised, torch.device(device), target)
    if tied and "lm_head.weight" in stored:
        _compare_tied(stored)
    model.load_state_dict(tensors, strict=True, assign=True)
    if quantisation is not None:
        _say_dequantised(folder, len(quantised), quantisation, target)
    return model.eval()


def linear_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of the linear layers of a checkpoint folder and of its output head, by name.

    Raises:
        FinesightError: as `load_model`, for `config.json`.
    """
    model, _ = _empty_model(folder, "sdpa")
    shapes = {
        name: (one.out_features, one.in_features)
        for name, one in model.named_modules()
        if isinstance(one, nn.Linear)
    }
    text = model.config.text
    return {**shapes, "lm_head": (text.vocab_size, text.hidden_size)}


def plain_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of all parameters of a checkpoint folder, by name; a tied output head is none.

    Raises:
        FinesightError: as `load_model`, for `config.json`.
    """
    model, _ = _empty_model(folder, "sdpa")
    return {name: tuple(value.shape) for name, value in model.named_parameters()}


def stored_blocks(folder: Path) -> Iterator[tuple[str, Blocks]]:
    """Codes of the quantised layers of a checkpoint folder, to pack them without rounding.

    Args:
        folder: as in `load_model`.

    Yields:
        Name of a layer's weight, and its codes in blocks of 32 inputs. Layers that are no such blocks
        (`finesight.model.quantised.to_blocks`) are left out, and so are plain ones.

    Raises:
        FinesightError: as `load_model`.
    """
    model, quantisation = _empty_model(folder, "sdpa")
    stored = _by_published_name(list_tensors(folder))
    entries = join_parts(stored, model.state_dict(), quantisation, folder)
    yield from read_blocks(_quantised(entries))


def _empty_model(folder: Path, attention: str) -> tuple[VisionLanguageModel, Quantisation | None]:
    """The model of a folder without memory, and how its weights are stored, with published names of modules."""
    config = ModelConfig.from_folder(folder)
    check_weight_files(folder)
    model = VisionLanguageModel.without_memory(
        config.model_copy(update={"quantisation": None}), attention=attention
    )
    return model, _published(config.quantisation)


def _quantised(entries: Mapping[str, Entry]) -> dict[str, QuantisedWeight]:
    return {name: entry for name, entry in entries.items() if isinstance(entry, QuantisedWeight)}


def _published(quantisation: Quantisation | None) -> Quantisation | None:
    """The same with published names of modules."""
    if quantisation is None:
        return None
    names = [published_name(f"{name}.")[:-1] for name in quantisation.modules_to_not_convert]
    return quantisation.model_copy(update={"modules_to_not_convert": tuple(names)})


def _say_dequantised(
    folder: Path, count: int, quantisation: Quantisation, dtype: torch.dtype
) -> None:
    name = str(dtype).removeprefix("torch.")
    warnings.warn(
        f"{folder}: dequantised {count} layers ({quantisation.label}) to {name}; the model needs the memory of a "
        f"{name} model, and is as fast as one",
        stacklevel=3,
    )


def _by_published_name(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    renamed: dict[str, StoredTensor] = {}
    for name, entry in stored.items():
        if name.endswith(_IGNORED_ENDINGS):
            continue
        ours = published_name(name)
        if ours in renamed:
            raise WeightsError(
                f"two tensors are {ours}: one of them is stored as {name} in {entry.path}"
            )
        renamed[ours] = entry
    return renamed


def published_name(name: str) -> str:
    """The name of a tensor in the published checkpoints, from a name in any known layout."""
    for theirs, ours in PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _compare(
    expected: Mapping[str, Tensor], stored: Mapping[str, Entry], folder: Path, *, tied: bool
) -> None:
    """Raise unless the folder contains exactly the tensors of the model."""
    missing = [name for name in expected if name not in stored]
    if missing:
        raise MissingWeights(
            f"{folder} lacks {some_of(missing)}, out of {len(expected)} tensors",
            hint="config.json and weights are of different models, or the folder is incomplete",
        )
    optional = {"lm_head.weight"} if tied else set()
    extra = [name for name in stored if name not in expected and name not in optional]
    if extra:
        raise WeightsError(
            f"{folder} holds {some_of(extra)}, which this model does not have",
            hint="config.json and weights are of different models",
        )
    for name, tensor in expected.items():
        if stored[name].shape != tuple(tensor.shape):
            raise ShapeMismatch(
                f"tensor {name} in {stored[name].path} has shape {stored[name].shape}, "
                f"config.json asks for {tuple(tensor.shape)}",
                hint="config.json and weights are of different models",
            )


def _compare_tied(stored: Mapping[str, StoredTensor]) -> None:
    """A tied model may also store its output head, if it equals the embedding."""
    head, embedding = stored["lm_head.weight"], stored["model.embed_tokens.weight"]
    if (head.shape, head.dtype) == (embedding.shape, embedding.dtype) and torch.equal(
        view_of(map_file(head.path), head), view_of(map_file(embedding.path), embedding)
    ):
        return
    raise WeightsError(
        f"{head.path} holds an lm_head.weight other than the embedding, but config.json ties the two",
        hint="set tie_word_embeddings to false in config.json if the head was trained apart",
    )


def save_model(
    model: VisionLanguageModel, folder: str | Path, *, max_shard_bytes: int = 5_000_000_000
) -> None:
    """Write `config.json`, safetensors shards and their index, as transformers, vLLM and llama.cpp read them.

    Files are written to a temporary folder and moved when all are complete; shards of an earlier, longer save
    are removed.

    Args:
        model: its weights must have one dtype.
        folder: created if missing.
        max_shard_bytes: largest shard; a single tensor may exceed it.

    Raises:
        WeightsError: the weights have several dtypes.
        ConfigError: the configuration cannot be expressed in the published format.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    dtypes = {parameter.dtype for parameter in model.parameters()}
    if len(dtypes) != 1:
        raise WeightsError(
            f"weights of {len(dtypes)} dtypes cannot be saved as one checkpoint: {dtypes}"
        )
    dtype = str(dtypes.pop()).removeprefix("torch.")
    config = model.config.model_copy(update={"dtype": dtype}).to_hf()
    shards = _cut_shards(model.state_dict(), max_shard_bytes)
    names = _shard_names(len(shards))
    with files.filled_folder(folder, last=(INDEX, "config.json"), error=None) as draft:
        for name, tensors in zip(names, shards, strict=True):
            write_tensors(tensors, draft / name)
        if len(shards) > 1:
            _write_json(draft / INDEX, _index(shards, names))
        _write_json(draft / "config.json", config)
    written = {*names, INDEX} if len(shards) > 1 else {*names}
    for stale in [folder / INDEX, *folder.glob("model*.safetensors")]:
        if stale.name not in written:
            stale.unlink(missing_ok=True)


def write_shards(
    folder: Path,
    config: ModelConfig,
    tensors: Iterable[tuple[str, Tensor]],
    *,
    max_shard_bytes: int = 4_000_000_000,
) -> None:
    """Write a checkpoint as `save_model` does, from tensors that need not be in memory together.

    Args:
        folder: an empty folder.
        config: of the model.
        tensors: all tensors by published name, in the dtype of `config`.
        max_shard_bytes: largest shard; a single tensor may exceed it.

    Raises:
        OSError: the folder cannot be written.
    """
    written: list[dict[str, Tensor]] = []
    shard: dict[str, Tensor] = {}

    def flush() -> None:
        write_tensors(shard, folder / f"part-{len(written)}")
        with torch.device("meta"):
            written.append({name: torch.empty_like(each) for name, each in shard.items()})
        shard.clear()

    for name, tensor in tensors:
        if shard and sum(each.nbytes for each in shard.values()) + tensor.nbytes > max_shard_bytes:
            flush()
        shard[name] = tensor
    flush()
    names = _shard_names(len(written))
    for number, name in enumerate(names):
        (folder / f"part-{number}").rename(folder / name)
    if len(written) > 1:
        _write_json(folder / INDEX, _index(written, names))
    _write_json(folder / "config.json", config.to_hf())


def _cut_shards(state: Mapping[str, Tensor], max_bytes: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in state.items():
        if shards[-1] and filled + tensor.nbytes > max_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += tensor.nbytes
    return shards


def _shard_names(count: int) -> list[str]:
    if count == 1:
        return [SINGLE]
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _index(shards: list[dict[str, Tensor]], names: list[str]) -> dict[str, Any]:
    total = sum(tensor.nbytes for shard in shards for tensor in shard.values())
    weight_map = {key: name for shard, name in zip(shards, names, strict=True) for key in shard}
    return {"metadata": {"total_size": total}, "weight_map": weight_map}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
