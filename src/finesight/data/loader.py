# SPDX-License-Identifier: Apache-2.0
"""From shards to packs: draw records from the mixture, encode them, pack them.

Runs in worker processes beside the training.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from finesight.batch import EncodedSample, PackedBatch, pack
from finesight.data.dense import DenseTargets
from finesight.data.encode import EncoderConfig, TrainingEncoder, TrainSample
from finesight.data.mixture import Cursor, Mixture, SourceConfig
from finesight.data.next_token import NextTokenTargets, next_token_targets
from finesight.errors import ConfigError, FinesightError
from finesight.processor.processor import Processor

_CHECKED_PACKS = 2
"""Packs of each worker whose lengths are all compared; what is wrong is wrong from the first one on."""


class LoaderConfig(EncoderConfig):
    """What is fed and in which portions."""

    source: tuple[SourceConfig, ...] = Field(description="folders of shards with their shares")
    pack_tokens: int = Field(
        2048, ge=64, description="tokens of one pack, text and visual together"
    )
    pack_patches: int = Field(8192, ge=64, description="patches of one pack")
    workers: int = Field(1, ge=1, description="processes that prepare packs")
    seed: int = Field(0, description="fixes the order and the jitter")


@dataclass(frozen=True, slots=True)
class TrainBatch:
    """One pack with what training needs beside it.

    Attributes:
        batch: the pack.
        next_tokens: which of its tokens are learned.
        dense: targets of its visual tokens.
        cursor: place in the data after this pack, as a plain mapping.
        num_samples: samples in the pack.
        worker: which worker made it.
    """

    batch: PackedBatch
    next_tokens: NextTokenTargets
    dense: DenseTargets
    cursor: dict[str, Any]
    num_samples: int
    worker: int = 0

    def to(self, device: torch.device) -> TrainBatch:
        """Copy with the pack and its targets on `device`."""
        return replace(
            self,
            batch=self.batch.to(device),
            next_tokens=_moved(self.next_tokens, device),
            dense=_moved(self.dense, device),
        )


class PackStream(IterableDataset[TrainBatch | FinesightError]):
    """Endless packs from a mixture.

    Each worker packs its own share of one stream of records; which records there are, and in which order, does not
    depend on the number of workers.

    Args:
        config: what is fed.
        model_folder: folder with `tokenizer.json`, `config.json` and `preprocessor_config.json`.
        cursor: where to start, from the last pack of `read_packs`; an empty one starts at the beginning.

    Raises:
        ConfigError: the cursor was made with another number of workers.
    """

    def __init__(
        self, config: LoaderConfig, model_folder: Path, cursor: Mapping[str, Any] | None = None
    ) -> None:
        self._config = config
        self._model_folder = model_folder
        self.num_workers = config.workers
        self.places: list[dict[str, Any]] = [{} for _ in range(config.workers)]
        self.first_worker = 0
        if cursor:
            self.places, self.first_worker = list(cursor["workers"]), int(cursor["next"])
        if len(self.places) != config.workers:
            raise ConfigError(
                f"the run was made with {len(self.places)} loader workers, the recipe says {config.workers}",
                hint=f"resume with data.workers = {len(self.places)}, or start a new run from its weights",
            )

    def at(self, cursor: Mapping[str, Any]) -> PackStream:
        """The same stream from another place on."""
        return PackStream(self._config, self._model_folder, cursor)

    def check(self) -> None:
        """Open every source and read a record at the present place, as the workers will.

        Raises:
            ConfigError: the place was saved with another number of sources.
            DataError: there is no data, or it is broken.
        """
        mixture = Mixture(self._config.source, seed=self._config.seed)
        for place in self.places:
            next(mixture.stream(Cursor(**place)))

    def __iter__(self) -> Iterator[TrainBatch | FinesightError]:
        """Packs, filled in the order of the stream until the next sample would not fit.

        An error is the last thing that comes: raised in a worker it would arrive as the text of a traceback.
        """
        try:
            yield from self._packs()
        except FinesightError as error:
            yield error

    def _packs(self) -> Iterator[TrainBatch]:
        torch.set_num_threads(1)
        encoder = TrainingEncoder(self._config, Processor.from_folder(self._model_folder))
        mixture = Mixture(self._config.source, seed=self._config.seed)
        info = get_worker_info()
        # Packs come from the workers in turn, and the turn of a resumed run need not begin with worker 0.
        worker = (self.first_worker + (info.id if info else 0)) % self.num_workers
        start = Cursor(**self.places[worker])
        ready: list[TrainSample] = []
        num_tokens = num_patches = num_packs = 0
        before = start
        draws = mixture.stream(start, worker=worker, num_workers=self.num_workers)
        for record, random, cursor in draws:
            one = encoder.encode(record, random)
            tokens, patches = one.sample.input_ids.numel(), _num_patches(one.sample)
            if ready and not self._fits(num_tokens + tokens, num_patches + patches):
                is_checked = num_packs < _CHECKED_PACKS
                yield _packed(ready, asdict(before), worker, is_checked=is_checked)
                ready = []
                num_packs += 1
                num_tokens = num_patches = 0
            num_tokens += tokens
            num_patches += patches
            ready.append(one)
            before = cursor

    def _fits(self, num_tokens: int, num_patches: int) -> bool:
        return num_tokens <= self._config.pack_tokens and num_patches <= self._config.pack_patches


def _packed(
    ready: Sequence[TrainSample], cursor: dict[str, Any], worker: int, *, is_checked: bool
) -> TrainBatch:
    if is_checked:
        for one in ready:
            one.sample.check()
    batch = pack([one.sample for one in ready])
    if is_checked:
        batch.check()
    return TrainBatch(
        batch=batch,
        next_tokens=next_token_targets(batch),
        dense=DenseTargets.join(one.dense for one in ready),
        cursor=cursor,
        num_samples=len(ready),
        worker=worker,
    )


def _num_patches(sample: EncodedSample) -> int:
    return sum(item.patches.shape[0] for item in sample.vision)


def _moved(targets: Any, device: torch.device) -> Any:
    """A record of targets with every tensor on `device`."""
    tensors = {
        entry.name: value.to(device)
        for entry in fields(targets)
        if isinstance(value := getattr(targets, entry.name), Tensor)
    }
    return replace(targets, **tensors)


def _leave_stopping_to_the_parent(_worker: int) -> None:
    """Ctrl-C and most supervisors signal a whole process group: a worker that obeyed would take the run with it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def read_packs(stream: PackStream) -> Iterator[TrainBatch]:
    """Packs of all workers in turn, each with the place of the whole stream after it.

    Raises:
        FinesightError: a worker met it.
    """
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=stream.num_workers,
        prefetch_factor=8,
        worker_init_fn=_leave_stopping_to_the_parent,
    )
    places = list(stream.places)
    for made in loader:
        if isinstance(made, FinesightError):
            raise made
        places[made.worker] = made.cursor
        cursor = {"workers": list(places), "next": (made.worker + 1) % stream.num_workers}
        yield replace(made, cursor=cursor)
