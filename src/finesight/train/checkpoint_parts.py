# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of several ranks, by `torch.distributed.checkpoint`.

Every rank writes its parts to one file of safetensors with the position of each part in its header, so nothing is
pickled. A checkpoint of one process is read by the same code: its file has whole tensors. Reading does not depend on
how the writers divided their tensors.

All ranks must see the same file system.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.checkpoint.storage import WriteResult

from finesight import files


def write_parts(
    final: Path,
    index: tuple[str, dict[str, Any]],
    tensors: dict[str, Tensor],
    group: dist.ProcessGroup | None,
    complete: Callable[[], None],
) -> None:
    """Write the parts of all ranks; all of them must call it, in a thread of its own.

    Args:
        final: folder of the checkpoint.
        index: name and content of its JSON file, which is written last and also lists the files of tensors.
        tensors: tensors on the host, of which this rank has a part.
        group: the ranks, for values on the host.
        complete: called by the first rank when the checkpoint is in its place.

    Raises:
        OSError: a rank cannot write; the message says which. No rank has a checkpoint then.
    """
    writer = _FolderWriter(final, index, complete)
    try:
        save(tensors, storage_writer=writer, process_group=group)
    except CheckpointException as failure:
        raise _first_failure(failure) from failure


def read_parts(
    folder: Path, shards: Mapping[str, int], division: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, whole or in the division of the parameters.

    Args:
        folder: the checkpoint.
        shards: bytes of each of its files that must be there.
        division: parameters by name, see `finesight.train.checkpoint.load_checkpoint`.

    Raises:
        OSError: a file is missing or has another length.
        SafetensorError: a file is malformed.
    """
    for name, size in shards.items():
        found = (folder / name).stat().st_size
        if found != size:
            raise OSError(f"{name} has {found:,} bytes instead of {size:,}")
    for path in folder.glob("*.safetensors"):
        with safe_open(
            path, framework="pt"
        ):  # names a malformed file before the ranks read together
            pass
    reader = HuggingFaceStorageReader(str(folder))
    stored = reader.read_metadata().state_dict_metadata
    tensors = {
        name: _empty(name, entry, division)
        for name, entry in stored.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    with warnings.catch_warnings():  # that one process alone reads
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        try:
            load(tensors, storage_reader=reader, no_dist=division is None)
        except CheckpointException as failure:
            raise _first_failure(failure) from failure
    return tensors


def _empty(
    full_name: str, stored: TensorStorageMetadata, division: Mapping[str, Tensor] | None
) -> Tensor:
    """Room for a tensor: divided like the parameter that it belongs to, if it has the same shape."""
    name = full_name.partition("/")[2].partition("|")[0]
    owner = None if division is None else division.get(name)
    if owner is not None and owner.shape == stored.size:
        return torch.zeros_like(owner, dtype=stored.properties.dtype, requires_grad=False)
    return torch.zeros(stored.size, dtype=stored.properties.dtype)


def _first_failure(failure: CheckpointException) -> OSError:
    rank, (error, _) = next(iter(failure.failures.items()))
    return OSError(f"rank {rank}: {error}")


class _FolderWriter(HuggingFaceStorageWriter):
    """Writes to a draft folder, which the first rank renames when all ranks have written.

    Args:
        final: folder of the checkpoint.
        index: name and content of the index.
        complete: called by the first rank at the end.
    """

    def __init__(
        self, final: Path, index: tuple[str, dict[str, Any]], complete: Callable[[], None]
    ) -> None:
        self._final = final
        self._draft = final.with_name(f".{final.name}.part")
        self._index = index
        self._complete = complete
        super().__init__(str(self._draft), save_distributed=True)

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Make the draft folder."""
        self._draft.mkdir(parents=True, exist_ok=True)
        super().set_up_storage_writer(is_coordinator, *args, **kwargs)

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Write the index and rename the folder; called by the first rank when all parts are written."""
        names = {Path(one.storage_data.relative_path).name for part in results for one in part}
        sizes = {name: (self._draft / name).stat().st_size for name in sorted(names)}
        name, content = self._index
        (self._draft / name).write_text(json.dumps(content | {"files": sizes}, indent=1), "utf-8")
        files.publish_folder(self._draft, self._final)
        self._complete()
