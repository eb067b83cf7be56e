# SPDX-License-Identifier: Apache-2.0
"""Packed weights as files: a folder that `finesight quantize` writes, and the same in the user's cache.

::

    packed.safetensors      every tensor of the model, linear layers in the formats of `finesight.kernels.formats`
    packed.json             their format, and size and checksum of that file

Packing a large model takes minutes, so the result is kept. The file is mapped into memory, not copied. Every start
computes its checksum, so that a damaged file in the cache is noticed and written again. That is one pass over memory,
0.1 s of processor time per GB on all threads, and the first token reads all weights anyway, from the same pages: a file
that is not yet in memory is read from disk once. The cryptographic hashes and CRCs at hand take 0.5 s per GB and more.
Each changed word is noticed, and exchanged blocks are: see `_checksum`.

A cached folder belongs to names, sizes and times of the weight files and to their configuration. Their contents are not
hashed, because that would take longer than the start.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from finesight import files
from finesight.config.model import ModelConfig
from finesight.errors import ConfigError, MissingWeights, WeightsError
from finesight.model.packed import Weights, from_packed, pack_weights, packed_tensors
from finesight.model.shards import map_file, map_tensors, write_tensors
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model, stored_blocks

FILE, RECEIPT = "packed.safetensors", "packed.json"

_VERSION = 2
"""Of the order of packed weights and of the checksum; another version is packed again."""

_ROW_WORDS = 1024
"""Words of 8 bytes of which the checksum takes one weighted sum."""

_ODD = 0x1E3779B97F4A7C15
"""A factor with irregular bits."""

_SMALL_FILES = ("*.json", "*.txt", "*.jinja")


class Receipt(BaseModel):
    """The content of `packed.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    weights: Weights
    size_bytes: int
    checksum: str


def is_packed_folder(folder: Path) -> bool:
    """Whether a checkpoint folder holds packed weights."""
    return (folder / RECEIPT).is_file()


def rounds(folder: Path, weights: str) -> bool:
    """Whether weights in a format are rounded ones of a checkpoint folder, not those that it stores."""
    return not (weights == "bf16" or is_packed_folder(folder) or _keeps_codes(folder, weights))


def _keeps_codes(folder: Path, weights: str) -> bool:
    """Whether a folder stores codes of the same width, as AWQ and GPTQ do."""
    stored = ModelConfig.from_folder(folder).quantisation
    return stored is not None and weights == f"int{stored.bits}"


def load_packed(
    folder: Path,
    weights: Weights,
    *,
    dtype: torch.dtype | None = None,
    attention: str = "sdpa",
    cache: Path | None = None,
) -> VisionLanguageModel:
    """Load a checkpoint with packed weights: from the cache, or packed now and kept there.

    Weights in bfloat16 need no packing and no cache.

    Args:
        folder: a checkpoint folder, or one with weights packed in the same format.
        weights: the format of the language model.
        dtype: of the other weights; None takes the checkpoint's.
        attention: the back end of the model.
        cache: where packed models are kept; None takes the user's cache.

    Raises:
        ConfigError: the folder holds packed weights of another format.
        WeightsError: the checkpoint cannot be used, or the cache cannot be written.
    """
    if is_packed_folder(folder):
        return open_packed(folder, weights, attention=attention)
    if weights == "bf16":
        return _packed(folder, weights, dtype, attention)
    cache = user_cache_path("finesight") / "packed" if cache is None else cache
    kept = cache / f"{folder.name}-{weights}-{_key(folder, weights, dtype)}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        guard = files.lock(cache / f".{kept.name}.lock", error=WeightsError, waits=True)
    except OSError as error:
        raise WeightsError(
            f"{cache} cannot be written: {error.strerror or error}",
            hint="packed weights are kept there; set XDG_CACHE_HOME to another folder",
        ) from error
    with guard:
        try:
            return open_packed(kept, weights, attention=attention)
        except (WeightsError, ConfigError) as error:  # the latter of a damaged config.json
            reason = "" if isinstance(error, MissingWeights) else f"{error.message}; "
        warnings.warn(
            f"{reason}packing the weights of {folder.name} as {weights} to {kept}; this takes minutes for a large "
            "model, once",
            stacklevel=2,
        )
        with files.whole_folder(kept, error=WeightsError) as draft:
            _write(_packed(folder, weights, dtype, attention), weights, draft)
            shutil.copyfile(folder / "config.json", draft / "config.json")
        # Mapped, not kept as it was packed: the memory of both is never needed at once, and every start is the same.
        return open_packed(kept, weights, attention=attention)


def write_packed(folder: Path, weights: Weights, out: Path) -> None:
    """Write a checkpoint folder with packed weights.

    Args:
        folder: a checkpoint folder.
        weights: the format of the language model.
        out: folder to write; one that another process wrote meanwhile stays, and is an error.

    Raises:
        ConfigError: the weights are packed already, or the format is unknown.
        WeightsError: the checkpoint cannot be used, or the folder cannot be written.
    """
    if is_packed_folder(folder):
        raise ConfigError(
            f"the weights in {folder} are packed already", hint="give the model they were made from"
        )
    model = _packed(folder, weights, None, "sdpa")
    with files.whole_folder(out, error=WeightsError, replaces=False) as draft:
        _write(model, weights, draft)
        for path in (path for pattern in _SMALL_FILES for path in folder.glob(pattern)):
            if not path.name.endswith(".safetensors.index.json"):
                shutil.copyfile(path, draft / path.name)


def open_packed(folder: Path, weights: Weights | None, *, attention: str) -> VisionLanguageModel:
    """Map the packed weights of a folder.

    Args:
        folder: with `packed.safetensors`, `packed.json` and `config.json`.
        weights: the expected format; None takes any.
        attention: the back end of the model.

    Raises:
        MissingWeights: there is no such folder.
        ConfigError: the weights have another format.
        WeightsError: a file is damaged, or of another version.
    """
    receipt, path = read_receipt(folder, weights), folder / FILE
    pages = _mapped(path)
    found = _checksum(pages)
    if found != (receipt.size_bytes, receipt.checksum):
        raise WeightsError(
            f"{path} is damaged: size and checksum are {found}, expected {(receipt.size_bytes, receipt.checksum)}",
            hint="write it again with `finesight quantize`",
        )
    # The configuration may describe quantised weights that these were made from.
    config = ModelConfig.from_folder(folder).model_copy(update={"quantisation": None})
    model = VisionLanguageModel.without_memory(config, attention=attention)
    from_packed(model, map_tensors(path, pages))
    return model.eval()


def read_receipt(folder: Path, weights: Weights | None = None) -> Receipt:
    """The content of a folder's `packed.json`.

    Args:
        folder: with packed weights.
        weights: the expected format; None takes any.

    Raises:
        MissingWeights: there is no such file.
        ConfigError: the weights have another format.
        WeightsError: it is broken, or of another version.
    """
    path = folder / RECEIPT
    try:
        content = json.loads(path.read_bytes())
        version = content.get("version") if isinstance(content, dict) else None
        if version not in (None, _VERSION):
            raise WeightsError(
                f"{folder / FILE} has version {version}, expected {_VERSION}",
                hint="write it again with `finesight quantize`",
            )
        receipt = Receipt.model_validate(content)
    except FileNotFoundError as error:
        raise MissingWeights(f"{folder} holds no packed weights") from error
    except (OSError, ValueError) as error:  # also of JSON, UTF-8 and pydantic
        raise WeightsError(
            f"{path} is broken: {str(error).splitlines()[0]}",
            hint="write it again with `finesight quantize`",
        ) from error
    if weights not in (None, receipt.weights):
        raise ConfigError(
            f"the weights in {folder} are packed as {receipt.weights}, not {weights}",
            hint="leave weights out, or give the model they were made from",
        )
    return receipt


def _packed(
    folder: Path, weights: Weights, dtype: torch.dtype | None, attention: str
) -> VisionLanguageModel:
    keeps_codes = _keeps_codes(folder, weights)
    with warnings.catch_warnings():
        if keeps_codes:  # the note that layers were dequantised would be wrong
            warnings.filterwarnings("ignore", message=".*: dequantised")
        model = load_model(folder, dtype=dtype, attention=attention)
    # The output head has formats of its own, and the tower is not packed.
    codes = [
        (name, blocks)
        for name, blocks in (stored_blocks(folder) if keeps_codes else ())
        if name.startswith("model.layers.")
    ]
    pack_weights(model, weights, codes=codes)
    if keeps_codes:
        warnings.warn(
            f"{folder}: the stored codes of {len(codes)} layers are kept; other layers are rounded to {weights}",
            stacklevel=3,
        )
    return model


def write_tensors_packed(tensors: Mapping[str, Tensor], weights: Weights, folder: Path) -> None:
    """Write `packed.safetensors` and `packed.json` into a folder.

    Args:
        tensors: of a packed model by name, see `finesight.model.packed.packed_tensors`.
        weights: their format.
        folder: it exists.

    Raises:
        WeightsError: a file cannot be written.
    """
    path = folder / FILE
    try:
        write_tensors(tensors, path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error}") from error
    size, checksum = _checksum(_mapped(path))
    receipt = Receipt(version=_VERSION, weights=weights, size_bytes=size, checksum=checksum)
    files.write_json(folder / RECEIPT, receipt.model_dump(), error=WeightsError)


def _write(model: VisionLanguageModel, weights: Weights, folder: Path) -> None:
    write_tensors_packed(packed_tensors(model), weights, folder)


def _mapped(path: Path) -> mmap.mmap:
    try:
        return map_file(path)
    except (OSError, ValueError) as error:  # the latter of an empty file
        raise WeightsError(f"{path} cannot be read: {error}") from error


def _checksum(pages: mmap.mmap) -> tuple[int, str]:
    """Size in bytes, and a hash of weighted sums: one per row of words, each word times an odd number of its column.

    Sums are modulo 2**64. A changed word changes the sum of its row, because odd numbers have inverses. Two exchanged
    words of a row have different factors; exchanged rows change the hash of all sums.
    """
    num_rows, threads = len(pages) // (8 * _ROW_WORDS), torch.get_num_threads()
    factors = _ODD * (2 * torch.arange(_ROW_WORDS) + 1)
    digest = hashlib.blake2b(digest_size=16)
    if num_rows:
        words = torch.frombuffer(pages, dtype=torch.int64, count=num_rows * _ROW_WORDS)
        with ThreadPoolExecutor(threads) as pool:  # torch's product of integers uses one thread
            for sums in pool.map(
                lambda rows: rows @ factors, words.view(-1, _ROW_WORDS).chunk(threads)
            ):
                digest.update(sums.numpy().tobytes())
    digest.update(pages[num_rows * 8 * _ROW_WORDS :])
    return len(pages), digest.hexdigest()


def _key(folder: Path, weights: Weights, dtype: torch.dtype | None) -> str:
    """Hash of what the packed weights of a folder depend on."""
    # The first number is fixed: a folder of an earlier version has the same name, so it is replaced.
    digest = hashlib.sha256(f"1 {weights} {dtype} {folder.resolve()}".encode())
    digest.update((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        state = path.resolve().stat()
        digest.update(json.dumps([path.name, state.st_size, state.st_mtime_ns]).encode())
    return digest.hexdigest()[:16]
