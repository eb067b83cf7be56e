# SPDX-License-Identifier: Apache-2.0
"""Data loader: draw records from the mixture, encode them in worker processes, and pack them.

Workers encode single draws; this process chooses the samples of each pack from a window of ready ones
(`finesight.data.packing`) and joins them. So neither the stream of records nor the packs depend on the number of
workers. With several ranks each encodes its own draws, and all agree on which draws are whose
(`finesight.data.position`): before each step they exchange the sizes of their windows, after it the draws they used.

Memory: for each of its packs of a step, a rank holds `window` packs of ready samples; besides these the pack that is
trained on, and `AHEAD` samples per worker. A patch has 4.7 KB, so a window of 8 packs of 8,192 patches has 310 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from finesight.batch import IGNORE_INDEX, EncodedSample, PackedBatch, pack
from finesight.data.captions import Captions
from finesight.data.dense import DenseTargets
from finesight.data.encode import EncoderConfig, TrainSample
from finesight.data.exchange import Exchange, gather_for
from finesight.data.feed import Feed, Packing, Ready
from finesight.data.mixture import Draw, Mixture, SourceConfig
from finesight.data.next_token import NextTokenTargets, next_token_targets
from finesight.data.packing import Limits
from finesight.data.position import Position
from finesight.data.workers import Encoder, Executor, LocalExecutor
from finesight.errors import DataError

_CHECKED_PACKS = 2
"""Number of packs that are checked; a wrong layout is wrong from the first pack on."""

_MEASURED = 32
"""Records of each source whose mean length counts, if weights are shares of the tokens."""


class LoaderConfig(EncoderConfig):
    """Sources, packing and workers of the data loader."""

    source: tuple[SourceConfig, ...] = Field(description="folders of shards with their weights")
    weigh_by: Literal["samples", "tokens"] = Field(
        "samples",
        description="whether weights are shares of the records or of the tokens, by the mean length of 32 records of "
        "each source",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        description="number of epochs, after which the run ends; every record is used once in each. None is endless",
    )
    pack_tokens: int = Field(2048, ge=64, description="most tokens of a pack, text and visual")
    pack_patches: int = Field(8192, ge=64, description="most patches of a pack")
    window: int = Field(
        8,
        ge=0,
        description="ready samples from which each pack is chosen, in packs: more fill it better and take more memory; "
        "0 packs in the order of the stream",
    )
    workers: int = Field(
        1,
        ge=0,
        description="worker processes of the data loader; 0 encodes in the training process",
    )
    executor: Literal["processes", "ray"] = Field(
        "processes",
        description="where records are encoded: processes of this machine, or a Ray cluster (the extra ray)",
    )
    skip_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="largest share of records that may be skipped because they cannot be read or encoded; "
        "0 stops at the first",
    )
    seed: int = Field(0, description="seed of the order and the augmentation")

    @property
    def packing(self) -> Packing:
        """How packs are chosen."""
        return Packing(Limits(self.pack_tokens, self.pack_patches), self.window, self.skip_share)


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
        num_samples: samples in the pack; 0 for a pack without targets that a rank gets when it has no records left.
        text_only: its samples without pictures and targets, for `finesight.train.language`; None if there is none.
        sources: name of the source of each sample.
        records: ids of the records of the samples, for messages.
        skipped: why records since the last pack were skipped.
        captions: texts about its pictures, for `finesight.train.contrastive`; None if there is none.
    """

    batch: PackedBatch
    next_tokens: NextTokenTargets
    dense: DenseTargets
    cursor: dict[str, Any]
    num_samples: int
    text_only: TextOnly | None = None
    sources: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
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


class PackStream:
    """Stream of packs of one rank.

    Args:
        config: sources, packing and workers.
        model_folder: folder with `tokenizer.json`, `config.json` and `preprocessor_config.json`.
        cursor: position to start from, of a pack of any rank and of a run with any number of ranks and workers; an
            empty one is the beginning.
        rank: which rank this is, among those that read different data.
        num_ranks: their number.
        packs_per_step: packs of this rank in an optimizer step; `num_ranks` x `packs_per_step` packs depend only on
            that product.
        exchange: exchange between them; None uses torch.distributed.
    """

    def __init__(
        self,
        config: LoaderConfig,
        model_folder: Path,
        cursor: Mapping[str, Any] | None = None,
        *,
        rank: int = 0,
        num_ranks: int = 1,
        packs_per_step: int = 1,
        exchange: Exchange | None = None,
    ) -> None:
        self._config = config
        self._model_folder = model_folder
        self._cursor = dict(cursor or {})
        self._rank = rank
        self._num_ranks = num_ranks
        self._num_lanes = num_ranks * packs_per_step
        self._exchange = exchange

    @property
    def pack_tokens(self) -> int:
        """Most tokens of a pack."""
        return self._config.pack_tokens

    @property
    def source_names(self) -> tuple[str, ...]:
        """Name of each source, for the log: that of its folder, or the whole path if two folders have the same."""
        names = [one.name or one.path.name for one in self._config.source]
        return tuple(
            str(one.path) if names.count(name) > 1 else name
            for name, one in zip(names, self._config.source, strict=True)
        )

    def at(self, cursor: Mapping[str, Any]) -> PackStream:
        """The same stream from another position."""
        return PackStream(
            self._config,
            self._model_folder,
            cursor,
            rank=self._rank,
            num_ranks=self._num_ranks,
            packs_per_step=self._num_lanes // self._num_ranks,
            exchange=self._exchange,
        )

    def check(self) -> None:
        """Open every source, and read a record at the position.

        Raises:
            ConfigError: the position was saved with another number of sources.
            DataError: a source has no data, or it is corrupt.
        """
        mixture = self._mixture(None)
        position = Position(mixture, self._num_lanes, self._cursor)
        held = sorted(number for each in position.held for number in each)
        if held:
            mixture.read(position[held[0]])
        elif not position.is_over:
            mixture.read(next(mixture.draws(position.start))[0])

    def _mixture(self, mean_tokens: Sequence[float] | None) -> Mixture:
        config = self._config
        return Mixture(
            config.source, seed=config.seed, epochs=config.epochs, mean_tokens=mean_tokens
        )

    def __iter__(self) -> Iterator[TrainBatch]:
        """Packs of this rank, each with the position of all ranks after it.

        Raises:
            FinesightError: a record cannot be used, or too many; on every rank.
        """
        config, means = self._config, self._cursor.get("mean_tokens")
        encoder = Encoder(config, self._model_folder, self._mixture(None))
        if config.weigh_by == "tokens" and means is None:
            means = _mean_tokens(encoder, config, self._mixture(None))
        position = Position(self._mixture(means), self._num_lanes, self._cursor)
        executor = _executor(config, encoder)
        feed = Feed(
            config.packing,
            position,
            executor,
            lanes=range(self._rank, self._num_lanes, self._num_ranks),
            exchange=self._exchange or gather_for(self._rank, self._num_ranks),
            num_skipped=int(self._cursor.get("skipped", 0)),
        )
        extra = {} if means is None else {"mean_tokens": list(means)}
        num_made = 0
        try:
            for ready, skipped in feed.steps():
                cursor = {**position.saved(), **extra, "skipped": feed.num_skipped}
                if config.epochs:
                    cursor["share_done"] = position.share_done
                for samples in ready:
                    batch = self._joined(samples, cursor, is_checked=num_made < _CHECKED_PACKS)
                    yield replace(batch, skipped=skipped)
                    num_made, skipped = num_made + 1, ()
        finally:
            executor.close()

    def _joined(self, ready: Ready, cursor: dict[str, Any], *, is_checked: bool) -> TrainBatch:
        samples = [one for _, _, one in ready] or [_no_sample()]
        names = self.source_names
        return replace(
            _packed(samples, cursor, is_checked=is_checked),
            num_samples=len(ready),
            sources=tuple(names[draw.source] for draw, _, _ in ready),
            records=tuple(name for _, name, _ in ready),
        )


def read_packs(stream: PackStream) -> Iterator[TrainBatch]:
    """Packs of the stream, each with the position of all ranks after it.

    Raises:
        FinesightError: a record cannot be used, or too many.
    """
    return iter(stream)


def _executor(config: LoaderConfig, encoder: Encoder) -> Executor:
    if config.executor == "ray":
        from finesight.data.ray_executor import RayExecutor

        return RayExecutor(encoder, max(config.workers, 1))
    return LocalExecutor(encoder, config.workers)


def _mean_tokens(encoder: Encoder, config: LoaderConfig, mixture: Mixture) -> list[float]:
    """Tokens of a mean record of each source."""
    means = []
    for source, name in enumerate(one.path for one in config.source):
        size = mixture.size(source)
        number = min(size, _MEASURED)
        found = [encoder(Draw(one, source, one * size // number)) for one in range(number)]
        lengths = [one[1].sample.input_ids.numel() for one in found if isinstance(one, tuple)]
        if not lengths:
            raise DataError(f"none of {number} records of {name} can be encoded: {found[0]}")
        means.append(sum(lengths) / len(lengths))
    return means


def _no_sample() -> TrainSample:
    """One token that is no target, for a rank without records in the last steps."""
    one = torch.zeros(1, dtype=torch.long)
    sample = EncodedSample(
        input_ids=one,
        labels=torch.full_like(one, IGNORE_INDEX),
        position_ids=torch.zeros(3, 1, dtype=torch.long),
        rope_delta=0,
        visual_index=one[:0],
    )
    return TrainSample(sample, DenseTargets.join([]))


def _packed(
    ready: Sequence[TrainSample], cursor: dict[str, Any], *, is_checked: bool
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
    )


def _moved(targets: Any, device: torch.device) -> Any:
    """A record of targets with every tensor on `device`."""
    tensors = {
        entry.name: value.to(device)
        for entry in fields(targets)
        if isinstance(value := getattr(targets, entry.name), Tensor)
    }
    return replace(targets, **tensors)
