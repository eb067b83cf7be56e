# SPDX-License-Identifier: Apache-2.0
"""Read and encode draws in worker processes; results come back in the order of the draws.

A worker encodes one draw at a time and keeps no state, so results do not depend on the number of workers. A sample has
a dozen tensors, and each would need its own descriptor of shared memory; so a sample travels as one block of bytes, of
which its tensors are views.
"""

from __future__ import annotations

import io
import pickle
import signal
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from finesight.data.encode import EncoderConfig, TrainingEncoder, TrainSample
from finesight.data.mixture import Draw, Mixture
from finesight.errors import DataError, FinesightError, ShardCorrupt
from finesight.processor.processor import Processor

AHEAD = 4
"""Samples per worker that are encoded, or being encoded, beyond those that were asked for."""

Encoded = tuple[str, TrainSample] | FinesightError
"""Id of a record and its sample, or why the record cannot be read or encoded."""


class Encoder:
    """Reads and encodes draws; opened by the process that uses it.

    Args:
        config: augmentation and targets.
        model_folder: folder of the processor.
        mixture: the stream of the draws.
    """

    def __init__(self, config: EncoderConfig, model_folder: Path, mixture: Mixture) -> None:
        self._config = config
        self._model_folder = model_folder
        self._mixture = mixture
        self._encoder: TrainingEncoder | None = None

    def __call__(self, draw: Draw) -> Encoded:
        """The sample of a draw; an error is returned, because from a worker it would arrive as a text."""
        try:
            if self._encoder is None:
                processor = Processor.from_folder(self._model_folder)
                self._encoder = TrainingEncoder(self._config, processor)
            record, random = self._mixture.read(draw)
            return record.id, self._encoder.encode(record, random)
        except FinesightError as error:
            return _with_place(error, self._mixture.place(draw))


def _with_place(error: FinesightError, place: str) -> FinesightError:
    """The error with folder and record; that of a shard names them already."""
    if isinstance(error, ShardCorrupt):
        return error
    return type(error)(f"{place}: {error.message}", hint=error.hint)


class Executor(Protocol):
    """Encodes draws somewhere else."""

    def submit(self, draw: Draw) -> None:
        """Add a draw to those to encode."""
        ...

    def next(self) -> tuple[int, Encoded]:
        """Number and result of the first draw submitted and not returned yet."""
        ...

    def close(self) -> None:
        """End the processes."""
        ...


class LocalExecutor:
    """Encodes draws in processes of this machine, or with 0 workers in this process.

    At most `AHEAD` samples per worker are in memory beyond those that were returned.

    Args:
        encoder: reads and encodes a draw.
        workers: number of processes.
    """

    def __init__(self, encoder: Encoder, workers: int) -> None:
        self._todo: deque[Draw] = deque()
        loader = DataLoader(
            _Draws(encoder),
            batch_size=None,
            generator=torch.Generator(),  # torch's own is left to the training
            sampler=_Submitted(self._todo),
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            collate_fn=_unchanged,
            worker_init_fn=_ignore_stop_signals,
        )
        self._results: Iterator[Any] | None = None
        self._loader = loader

    def submit(self, draw: Draw) -> None:
        """Add a draw to those to encode."""
        self._todo.append(draw)

    def next(self) -> tuple[int, Encoded]:
        """Number and result of the first draw submitted and not returned yet.

        Raises:
            DataError: a worker process has ended.
        """
        if self._results is None:
            self._results = iter(self._loader)
        while True:
            try:
                number, found = next(self._results)
            except RuntimeError as error:
                if not str(error).startswith("DataLoader worker"):
                    raise
                raise DataError(
                    f"a process that loads data has ended: {error}",
                    hint="if memory ran out, set data.workers, data.window or data.pack_patches lower",
                ) from error
            if number is not None:
                return number, unpacked(found) if isinstance(found, Tensor) else found

    def close(self) -> None:
        """End the processes."""
        self._results = None


class _Submitted:
    """The submitted draws as a sampler; None while there is none."""

    def __init__(self, todo: deque[Draw]) -> None:
        self._todo = todo

    def __iter__(self) -> Iterator[Draw | None]:
        while True:
            yield self._todo.popleft() if self._todo else None


class _Draws(Dataset[tuple[int | None, Any]]):
    """Samples by draw, as blocks of bytes."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __getitem__(self, draw: Draw | None) -> tuple[int | None, Any]:
        if draw is None:
            return None, None
        found = self._encoder(draw)
        return draw.number, packed_bytes(found) if isinstance(found, tuple) else found


def _unchanged(item: Any) -> Any:
    return item


def _ignore_stop_signals(_worker: int) -> None:
    """Ignore Ctrl-C and SIGTERM, which often go to the whole process group: the main process stops the workers."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class _Pickler(pickle.Pickler):
    """Stores tensors as NumPy arrays, whose data is kept apart from the pickle."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.from_numpy, (value.contiguous().numpy(),)
        return NotImplemented


def packed_bytes(value: Any) -> Tensor:
    """uint8[n], an object with tensors as one block: lengths, pickle, data of the tensors."""
    body, blocks = io.BytesIO(), list[pickle.PickleBuffer]()
    _Pickler(body, protocol=5, buffer_callback=blocks.append).dump(value)
    parts = [np.frombuffer(body.getbuffer(), np.uint8)]
    parts += [np.frombuffer(block.raw(), np.uint8) for block in blocks]
    sizes = np.array([len(parts), *map(len, parts)], np.int64)
    aligned = [_padded(part) for part in (sizes.view(np.uint8), *parts)]
    return torch.from_numpy(np.concatenate(aligned))


def unpacked(block: Tensor) -> Any:
    """The object of a block; its tensors are views of the block."""
    data = block.numpy()
    count = int(data[:8].view(np.int64)[0])
    sizes = data[8 : 8 * (count + 1)].view(np.int64).tolist()
    start, parts = _rounded(8 * (count + 1)), list[np.ndarray]()
    for size in sizes:
        parts.append(data[start : start + size])
        start += _rounded(size)
    return pickle.loads(parts[0].data, buffers=[part.data for part in parts[1:]])


_ALIGNMENT = 64
"""Bytes to which every part of a block is aligned, so that views of any dtype are."""


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _padded(part: np.ndarray) -> np.ndarray:
    return np.pad(part, (0, _rounded(len(part)) - len(part)))
