# SPDX-License-Identifier: Apache-2.0
"""Reads tensors of safetensors shards by memory mapping, and writes them.

Headers are checked first: the index, the files, the extent of every tensor. A tensor whose dtype and device agree with
the file is not copied: it uses the mapped pages. Others are converted one by one and their pages released, so that the
weights are never in memory twice.

Source: the safetensors format (8 bytes of header length, a JSON header, the data).
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from finesight.errors import MissingWeights, WeightsError

INDEX = "model.safetensors.index.json"

SINGLE = "model.safetensors"

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "I64": torch.int64,
}
"""Integers are codes and group indices of quantised layers, see `finesight.model.quantised`."""

_MAX_HEADER_BYTES = 100_000_000
"""Limit of the format."""

_MAX_LISTED = 5
"""Number of names that an error message lists."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Location of a tensor: its file, dtype, shape and byte range."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


def list_tensors(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of a folder, by the names in its files.

    Raises:
        MissingWeights: the index names a shard or a tensor that is not there.
        WeightsError: a file is broken, or a tensor is in two files or not in the index.
    """
    if (folder / INDEX).is_file():
        return _list_indexed(folder)
    shards = (
        [folder / SINGLE] if (folder / SINGLE).is_file() else sorted(folder.glob("*.safetensors"))
    )
    found: dict[str, StoredTensor] = {}
    for path in shards:
        for name, entry in read_header(path).items():
            if name in found:
                raise WeightsError(
                    f"tensor {name} is in {found[name].path.name} and in {path.name}"
                )
            found[name] = entry
    return found


def _list_indexed(folder: Path) -> dict[str, StoredTensor]:
    path = folder / INDEX
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(weight_map.values()))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is not an index of safetensors shards: {error!r}") from error
    headers: dict[str, dict[str, StoredTensor]] = {}
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
        headers[shard] = read_header(folder / shard)
    lost = [name for name, shard in weight_map.items() if name not in headers[shard]]
    if lost:
        raise MissingWeights(
            f"{INDEX} places {some_of(lost)} in shards that do not hold them, in {folder}"
        )
    extra = [name for header in headers.values() for name in header if name not in weight_map]
    if extra:
        raise WeightsError(
            f"the shards in {folder} hold {some_of(extra)}, which {INDEX} does not name"
        )
    return {name: headers[shard][name] for name, shard in weight_map.items()}


def map_tensors(path: Path, pages: mmap.mmap) -> dict[str, Tensor]:
    """Every tensor of one file in its mapped pages; they may be bytes too.

    Args:
        path: the file.
        pages: from `map_file`.

    Raises:
        WeightsError: the file is broken.
    """
    found = read_header(path, {**_DTYPES, "U8": torch.uint8})
    return {name: view_of(pages, entry) for name, entry in found.items()}


def read_header(path: Path, dtypes: Mapping[str, torch.dtype] = _DTYPES) -> dict[str, StoredTensor]:
    """The tensors of one file, by name.

    Args:
        path: the file.
        dtypes: those that it may have, by their names in the format.

    Raises:
        WeightsError: the header is broken, or its tensors do not follow each other from the header to the end of the
            file, as of a name that occurs twice.
    """
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
        found = {
            name: _entry(path, name, values, 8 + length, dtypes) for name, values in header.items()
        }
    except (
        UnicodeDecodeError,
        json.JSONDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise WeightsError(f"{path} has a broken safetensors header: {error!r}") from error
    end = 8 + length
    for name, entry in sorted(found.items(), key=lambda each: (each[1].start, each[1].stop)):
        if entry.start != end:
            raise WeightsError(
                f"{path} has a broken safetensors header: {name} begins at byte {entry.start}, what is before it ends "
                f"at {end}",
                hint="download it again",
            )
        end = entry.stop
    if end != size:
        state = "truncated" if size < end else "longer than its header says"
        raise WeightsError(
            f"{path} is {state}: {size} bytes instead of {end}", hint="download it again"
        )
    return found


def _entry(
    path: Path, name: str, values: Mapping[str, Any], base: int, dtypes: Mapping[str, torch.dtype]
) -> StoredTensor:
    dtype = dtypes.get(values["dtype"])
    if dtype is None:
        raise WeightsError(
            f"tensor {name} in {path} is stored as {values['dtype']}, expected one of {', '.join(dtypes)}",
            hint="of quantised checkpoints, AWQ and GPTQ are loaded; else use the weights they were made from",
        )
    shape = tuple(int(side) for side in values["shape"])
    start, stop = values["data_offsets"]
    if stop - start != math.prod(shape) * dtype.itemsize or start < 0:
        raise ValueError(f"{name}: {stop - start} bytes for shape {shape}")
    return StoredTensor(path, dtype, shape, base + start, base + stop)


def read_tensors(
    stored: Mapping[str, StoredTensor],
    names: Iterable[str],
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[tuple[str, Tensor]]:
    """Read the tensors of these names, in file order.

    Yields:
        Name and tensor, on `device` in `dtype`.

    Raises:
        WeightsError: a tensor holds integers, or a value is not finite.
    """
    files = MappedFiles()
    for name in sorted(names, key=lambda name: (stored[name].path, stored[name].start)):
        entry = stored[name]
        if not entry.dtype.is_floating_point:
            raise WeightsError(
                f"tensor {name} in {entry.path} is stored as {entry.dtype}, expected a float",
                hint="the checkpoint is damaged, or its weights are quantised: use the weights they were made from",
            )
        mapped = files.view(entry)
        tensor = mapped.to(device, dtype)
        check_finite(name, tensor, entry.path)
        yield name, tensor
        if tensor is not mapped:
            files.release(entry)


class MappedFiles:
    """Files that are mapped into memory when a tensor of theirs is first read."""

    def __init__(self) -> None:
        self._maps: dict[Path, mmap.mmap] = {}

    def view(self, entry: StoredTensor) -> Tensor:
        """A tensor in the mapped pages, see `view_of`."""
        if entry.path not in self._maps:
            self._maps[entry.path] = map_file(entry.path)
        return view_of(self._maps[entry.path], entry)

    def release(self, entry: StoredTensor) -> None:
        """Release the pages of a converted tensor, except partial ones, which the next tensor may use."""
        first = -(-entry.start // mmap.PAGESIZE) * mmap.PAGESIZE
        last = entry.stop // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            self._maps[entry.path].madvise(mmap.MADV_DONTNEED, first, last - first)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a file that others may read; safetensors creates files that only their owner can read.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """
    try:
        save_file(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            path,
            metadata={"format": "pt"},
        )
    except SafetensorError as error:
        raise OSError(str(error)) from error
    path.chmod(0o644)


def map_file(path: Path) -> mmap.mmap:
    """Map a file into memory, copy-on-write."""
    with path.open("rb") as file:
        # Copy on write: training changes private pages, never the file.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def view_of(pages: mmap.mmap, entry: StoredTensor) -> Tensor:
    """A tensor of a mapped file, without a copy if it is aligned."""
    count = math.prod(entry.shape)
    if count == 0:
        return torch.empty(entry.shape, dtype=entry.dtype)
    if entry.start % entry.dtype.itemsize:  # the format does not guarantee alignment
        raw = torch.frombuffer(bytearray(pages[entry.start : entry.stop]), dtype=entry.dtype)
        return raw.view(entry.shape)
    flat = torch.frombuffer(pages, dtype=entry.dtype, count=count, offset=entry.start)
    return flat.view(entry.shape)


def check_finite(name: str, tensor: Tensor, path: Path) -> None:
    """Raise `WeightsError` if a value is NaN or infinite."""
    # The sum is one pass without temporaries; if it overflows, each number is checked.
    if bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all()):
        return
    wrong = int((~torch.isfinite(tensor)).sum())
    raise WeightsError(
        f"tensor {name} in {path} has {wrong} of {tensor.numel()} numbers that are NaN or infinite",
        hint="the checkpoint is damaged: download it again, or use an earlier one",
    )


def some_of(names: Sequence[str]) -> str:
    """The first of these names, and the number of the others."""
    rest = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + rest
