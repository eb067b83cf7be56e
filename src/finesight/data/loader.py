# SPDX-License-Identifier: Apache-2.0
"""Data loader: draw records from the mixture, encode and pack them, in worker processes."""

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

from finesight.batch import IGNORE_INDEX, EncodedSample, PackedBatch, pack
from finesight.data.captions import Captions
from finesight.data.dense import DenseTargets
from finesight.data.encode import EncoderConfig, TrainingEncoder, TrainSample
from finesight.data.mixture import Cursor, Mixture, SourceConfig
from finesight.data.next_token import NextTokenTargets, next_token_targets
from finesight.errors import ConfigError, FinesightError
from finesight.processor.processor import Processor

_CHECKED_PACKS = 2
"""Number of packs of each worker that are checked; a wrong layout is wrong from the first pack on."""


class LoaderConfig(EncoderConfig):
    """Sources, packing and workers of the data loader."""

    source: tuple[SourceConfig, ...] = Field(description="folders of shards with their weights")
    pack_tokens: int = Field(2048, ge=64, description="most tokens of a pack, text and visual")
    pack_patches: int = Field(8192, ge=64, description="most patches of a pack")
    workers: int = Field(1, ge=1, description="worker processes of the data loader")
    seed: int = Field(0, description="seed of the order and the augmentation")


@dataclass(frozen=True, slots=True)
class TextOnly:
    """The samples of a pack that have neither a picture nor a target of next-token prediction, as a pack of their own.

    Attributes:
        batch: these samples alone.
        rows: int64[R], their tokens in the whole pack.
    """

    batch: PackedBatch
    rows: Tensor

    @classmethod
    def of(cls, batch: PackedBatch, samples: Sequence[EncodedSample]) -> TextOnly | None:
        """Those of the `samples` of a pack; None if there is none."""
        chosen = [
            index
            for index, one in enumerate(samples)
            if not one.vision and bool((one.labels == IGNORE_INDEX).all())
        ]
        if not chosen:
            return None
        rows = torch.nonzero(torch.isin(batch.sample_ids, torch.tensor(chosen))).squeeze(1)
        return cls(pack([samples[index] for index in chosen]), rows)


@dataclass(frozen=True, slots=True)
class TrainBatch:
    """One pack with its training targets.

    Attributes:
        batch: the pack.
        next_tokens: targets of next-token prediction.
        dense: targets of its visual tokens.
        cursor: position in the data after this pack, as a plain mapping.
        num_samples: samples in the pack.
        worker: index of the worker that made it.
        text_only: its samples without pictures and targets, for `finesight.train.language`; None if there is none.
        captions: texts about its pictures, for `finesight.train.contrastive`; None if there is none.
    """

    batch: PackedBatch
    next_tokens: NextTokenTargets
    dense: DenseTargets
    cursor: dict[str, Any]
    num_samples: int
    worker: int = 0
    text_only: TextOnly | None = None
    captions: Captions | None = None

    def to(self, device: torch.device) -> TrainBatch:
        """Copy with the pack and its targets on `device`."""
        text = self.text_only
        return replace(
            self,
            batch=self.batch.to(device),
            text_only=None
            if text is None
            else TextOnly(text.batch.to(device), text.rows.to(device)),
            captions=None if self.captions is None else self.captions.to(device),
            next_tokens=_moved(self.next_tokens, device),
            dense=_moved(self.dense, device),
        )


class PackStream(IterableDataset[TrainBatch | FinesightError]):
    """Endless stream of packs from a mixture.

    Each worker packs its own share of one stream of records. The stream does not depend on the number of workers.

    Args:
        config: sources, packing and workers.
        model_folder: folder with `tokenizer.json`, `config.json` and `preprocessor_config.json`.
        cursor: position to start from, of the last pack of `read_packs`; an empty one is the beginning.

    Raises:
        ConfigError: the cursor was made with another number of workers.
    """

    def __init__(
        self, config: LoaderConfig, model_folder: Path, cursor: Mapping[str, Any] | None = None
    ) -> None:
        self._config = config
        self._model_folder = model_folder
        self.num_workers = config.workers
        self.cursors: list[dict[str, Any]] = [{} for _ in range(config.workers)]
        self.first_worker = 0
        if cursor:
            self.cursors, self.first_worker = list(cursor["workers"]), int(cursor["next"])
        if len(self.cursors) != config.workers:
            raise ConfigError(
                f"the run was made with {len(self.cursors)} loader workers, the recipe has {config.workers}",
                hint=f"resume with data.workers = {len(self.cursors)}, or start a new run from its weights",
            )

    def at(self, cursor: Mapping[str, Any]) -> PackStream:
        """The same stream from another position."""
        return PackStream(self._config, self._model_folder, cursor)

    def check(self) -> None:
        """Open every source, and read a record at the position of each worker.

        Raises:
            ConfigError: the position was saved with another number of sources.
            DataError: a source has no data, or it is corrupt.
        """
        mixture = Mixture(self._config.source, seed=self._config.seed)
        for cursor in self.cursors:
            next(mixture.stream(Cursor(**cursor)))

    def __iter__(self) -> Iterator[TrainBatch | FinesightError]:
        """Packs, each filled in the order of the stream until the next sample would not fit.

        An error is yielded as the last item: raised in a worker, it would arrive as the text of a traceback.
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
        # The DataLoader takes packs from its workers in turn, from worker 0 on; a resumed run may start at another.
        worker = (self.first_worker + (info.id if info else 0)) % self.num_workers
        start = Cursor(**self.cursors[worker])
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
    samples = [one.sample for one in ready]
    batch = pack(samples)
    if is_checked:
        batch.check()
    return TrainBatch(
        batch=batch,
        text_only=TextOnly.of(batch, samples),
        captions=Captions.of(batch, samples),
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


def _ignore_stop_signals(_worker: int) -> None:
    """Ignore Ctrl-C and SIGTERM, which often go to the whole process group: the main process stops the workers."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def read_packs(stream: PackStream) -> Iterator[TrainBatch]:
    """Packs of all workers in turn, each with the position of the whole stream after it.

    Raises:
        FinesightError: an error in a worker.
    """
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=stream.num_workers,
        prefetch_factor=8,
        worker_init_fn=_ignore_stop_signals,
    )
    cursors = list(stream.cursors)
    for batch in loader:
        if isinstance(batch, FinesightError):
            raise batch
        cursors[batch.worker] = batch.cursor
        cursor = {"workers": list(cursors), "next": (batch.worker + 1) % stream.num_workers}
        yield replace(batch, cursor=cursor)
