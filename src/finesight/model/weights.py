# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders: from sharded safetensors into a model, and back.

Loading builds the model without memory, maps the shards, and hands each tensor over as it lies in the file: where
dtype and device agree nothing is copied, the weights are the mapped pages. Otherwise tensors are converted one by
one and their pages given back, so that the weights never stand in memory twice. Everything is checked before a model
comes back: names, shapes, the extent of every file, and that every number is finite. Pickle files are never opened.

The trade-off of mapping: a file that is overwritten in place changes under a running model. `save_model` replaces
files instead of overwriting them.

Source: the safetensors format (8 bytes of header length, a JSON header, the data).
Parity: tests/parity/test_weights.py.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from finesight import files
from finesight.config.folder import check_weight_files
from finesight.config.model import ModelConfig
from finesight.errors import MissingWeights, ShapeMismatch, WeightsError
from finesight.model.vl import VisionLanguageModel

INDEX = "model.safetensors.index.json"

SINGLE = "model.safetensors"

PREFIXES = {
    "model.visual.": "visual.",
    "model.language_model.": "model.",
    "language_model.model.": "model.",
    "language_model.lm_head.": "lm_head.",
    "language_model.": "model.",
}
"""How transformers has named the parts at other times, and the name in the releases; the first match counts.

Releases before 4.52 wrote the names of the releases; later ones hold `model.visual` and `model.language_model` and
write those where they are not told otherwise; the bare `language_model` is what a model without output head writes.
"""

_IGNORED_ENDINGS = ("rotary_emb.inv_freq", "rotary_pos_emb.inv_freq")
"""Constants that old versions saved beside the weights."""

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}

_MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

_SHOWN = 5
"""Names that an error lists before it only counts."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a tensor lies: its file, dtype, shape and bytes."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


def load_model(
    folder: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    attention: str = "sdpa",
) -> VisionLanguageModel:
    """Load a checkpoint folder.

    Args:
        folder: holds `config.json` and safetensors files, with an index where there are several.
        device: where the weights shall live.
        dtype: of the weights; None takes the one that `config.json` names.
        attention: the back end of the model.

    Returns:
        The model, in evaluation mode.

    Raises:
        ConfigError: `config.json` is missing or not one of this model, or an adapter lies beside the weights.
        MissingWeights: a file or a tensor is not there.
        ShapeMismatch: a tensor has another shape than the configuration says.
        WeightsError: a file is truncated or broken, a tensor is superfluous, quantised, or not finite.
    """
    folder = Path(folder)
    config = ModelConfig.from_folder(folder)
    check_weight_files(folder)
    with torch.device("meta"), _NoInit():
        model = VisionLanguageModel(config, attention=attention)
    stored = _by_our_names(_list_tensors(folder))
    _compare(model.state_dict(), stored, folder, tied=config.text.tie_word_embeddings)
    target = dtype or getattr(torch, config.dtype)
    expected = model.state_dict().keys()
    tensors = dict(_read_tensors(stored, expected, torch.device(device), target))
    if config.text.tie_word_embeddings and "lm_head.weight" in stored:
        _compare_tied(stored)
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.eval()


class _NoInit(TorchFunctionMode):
    """Leave out the drawing of first weights: they are replaced, and on meta it loads torch._dynamo."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (init.kaiming_uniform_, init.normal_, init.uniform_):
            return None  # its callers use what it does to the tensor, not what it returns
        return func(*args, **(kwargs or {}))


def _list_tensors(folder: Path) -> dict[str, _Stored]:
    """All tensors of a folder under the names they have there."""
    if (folder / INDEX).is_file():
        return _list_indexed(folder)
    shards = (
        [folder / SINGLE] if (folder / SINGLE).is_file() else sorted(folder.glob("*.safetensors"))
    )
    found: dict[str, _Stored] = {}
    for path in shards:
        for name, entry in _read_header(path).items():
            if name in found:
                raise WeightsError(
                    f"tensor {name} is in {found[name].path.name} and in {path.name}"
                )
            found[name] = entry
    return found


def _list_indexed(folder: Path) -> dict[str, _Stored]:
    path = folder / INDEX
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(weight_map.values()))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is not an index of safetensors shards: {error!r}") from error
    headers: dict[str, dict[str, _Stored]] = {}
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise WeightsError(
                f"{path} names the shard {shard!r}, expected a file name in that folder"
            )
        if not (folder / shard).is_file():
            raise MissingWeights(
                f"{folder / shard} is missing, one of {len(shards)} shards named by {INDEX}",
                hint="download the folder again, all files of it",
            )
        headers[shard] = _read_header(folder / shard)
    lost = [name for name, shard in weight_map.items() if name not in headers[shard]]
    if lost:
        raise MissingWeights(
            f"{INDEX} places {_some(lost)} in shards that do not hold them, in {folder}"
        )
    extra = [name for header in headers.values() for name in header if name not in weight_map]
    if extra:
        raise WeightsError(
            f"the shards in {folder} hold {_some(extra)}, which {INDEX} does not name"
        )
    return {name: headers[shard][name] for name, shard in weight_map.items()}


def _read_header(path: Path) -> dict[str, _Stored]:
    """The tensors of one file; checks that they fill it to its last byte."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            raise WeightsError(
                f"{path} is truncated or no safetensors file: {size} bytes, a header of {length} bytes",
                hint="download it again",
            )
        raw = file.read(length)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        found = {name: _entry(path, name, values, 8 + length) for name, values in header.items()}
    except (
        UnicodeDecodeError,
        json.JSONDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise WeightsError(f"{path} has a broken safetensors header: {error!r}") from error
    end = max((entry.stop for entry in found.values()), default=8 + length)
    if end != size:
        state = "truncated" if size < end else "longer than its header says"
        raise WeightsError(
            f"{path} is {state}: {size} bytes instead of {end}", hint="download it again"
        )
    return found


def _entry(path: Path, name: str, values: Mapping[str, Any], base: int) -> _Stored:
    dtype = _DTYPES.get(values["dtype"])
    if dtype is None:
        raise WeightsError(
            f"tensor {name} in {path} is stored as {values['dtype']}, expected one of {', '.join(_DTYPES)}",
            hint="quantised checkpoints are not loaded; use the weights they were made from",
        )
    shape = tuple(int(side) for side in values["shape"])
    start, stop = values["data_offsets"]
    if stop - start != math.prod(shape) * dtype.itemsize or start < 0:
        raise ValueError(f"{name}: {stop - start} bytes for shape {shape}")
    return _Stored(path, dtype, shape, base + start, base + stop)


def _by_our_names(stored: Mapping[str, _Stored]) -> dict[str, _Stored]:
    renamed: dict[str, _Stored] = {}
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
    """The name a tensor has in the releases, whichever layout `name` is from."""
    for theirs, ours in PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _compare(
    expected: Mapping[str, Tensor], stored: Mapping[str, _Stored], folder: Path, *, tied: bool
) -> None:
    """Raise unless the folder holds exactly what the model wants."""
    missing = [name for name in expected if name not in stored]
    if missing:
        raise MissingWeights(
            f"{folder} lacks {_some(missing)}, out of {len(expected)} tensors",
            hint="config.json and weights are of different models, or the folder is incomplete",
        )
    optional = {"lm_head.weight"} if tied else set()
    extra = [name for name in stored if name not in expected and name not in optional]
    if extra:
        raise WeightsError(
            f"{folder} holds {_some(extra)}, which this model does not have",
            hint="config.json and weights are of different models",
        )
    for name, tensor in expected.items():
        if stored[name].shape != tuple(tensor.shape):
            raise ShapeMismatch(
                f"tensor {name} in {stored[name].path} has shape {stored[name].shape}, "
                f"config.json asks for {tuple(tensor.shape)}",
                hint="config.json and weights are of different models",
            )


def _read_tensors(
    stored: Mapping[str, _Stored], names: Iterable[str], device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of those names, file by file in the order they lie there."""
    maps: dict[Path, mmap.mmap] = {}
    for name in sorted(names, key=lambda name: (stored[name].path, stored[name].start)):
        entry = stored[name]
        if entry.path not in maps:
            maps[entry.path] = _map(entry.path)
        mapped = _view(maps[entry.path], entry)
        tensor = mapped.to(device, dtype)
        _check_finite(name, tensor, entry.path)
        yield name, tensor
        if tensor is not mapped:
            _give_back(maps[entry.path], entry)


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        # Copy on write: a model that is trained further changes its own pages, never the file.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _view(pages: mmap.mmap, entry: _Stored) -> Tensor:
    count = math.prod(entry.shape)
    if count == 0:
        return torch.empty(entry.shape, dtype=entry.dtype)
    if entry.start % entry.dtype.itemsize:  # the format does not promise alignment
        raw = torch.frombuffer(bytearray(pages[entry.start : entry.stop]), dtype=entry.dtype)
        return raw.view(entry.shape)
    flat = torch.frombuffer(pages, dtype=entry.dtype, count=count, offset=entry.start)
    return flat.view(entry.shape)


def _give_back(pages: mmap.mmap, entry: _Stored) -> None:
    """Drop the pages of a tensor that was converted; partial ones stay, a neighbour may need them."""
    first = -(-entry.start // mmap.PAGESIZE) * mmap.PAGESIZE
    last = entry.stop // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        pages.madvise(mmap.MADV_DONTNEED, first, last - first)


def _check_finite(name: str, tensor: Tensor, path: Path) -> None:
    # One pass without temporaries; a sum that overflows is looked at again, number by number.
    if bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all()):
        return
    wrong = int((~torch.isfinite(tensor)).sum())
    raise WeightsError(
        f"tensor {name} in {path} has {wrong} of {tensor.numel()} numbers that are NaN or infinite",
        hint="the checkpoint is damaged: download it again, or use an earlier one",
    )


def _compare_tied(stored: Mapping[str, _Stored]) -> None:
    """A tied model may store its output head too, but only the same one."""
    head, embedding = stored["lm_head.weight"], stored["model.embed_tokens.weight"]
    if (head.shape, head.dtype) == (embedding.shape, embedding.dtype) and torch.equal(
        _view(_map(head.path), head), _view(_map(embedding.path), embedding)
    ):
        return
    raise WeightsError(
        f"{head.path} holds an lm_head.weight other than the embedding, but config.json ties the two",
        hint="set tie_word_embeddings to false in config.json if the head was trained apart",
    )


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest


def save_model(
    model: VisionLanguageModel, folder: str | Path, *, max_shard_bytes: int = 5_000_000_000
) -> None:
    """Write `config.json`, safetensors shards and their index, as transformers, vLLM and llama.cpp read them.

    Files are written beside their places and moved there when all are complete; shards of an earlier, longer save
    are removed.

    Args:
        model: its weights must have one dtype.
        folder: made if need be.
        max_shard_bytes: largest shard; a single tensor may exceed it.

    Raises:
        WeightsError: the weights have several dtypes.
        ConfigError: the configuration cannot be said in the published format.
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
            save_file(tensors, draft / name, metadata={"format": "pt"})
            (draft / name).chmod(0o644)  # safetensors makes files only their owner can read
        if len(shards) > 1:
            _write_json(draft / INDEX, _index(shards, names))
        _write_json(draft / "config.json", config)
    written = {*names, INDEX} if len(shards) > 1 else {*names}
    for stale in [folder / INDEX, *folder.glob("model*.safetensors")]:
        if stale.name not in written:
            stale.unlink(missing_ok=True)


def _cut_shards(state: Mapping[str, Tensor], max_bytes: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in state.items():
        if shards[-1] and filled + tensor.nbytes > max_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor.detach().contiguous()
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
