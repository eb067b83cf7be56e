# SPDX-License-Identifier: Apache-2.0
"""Draw records from weighted sources, in an order given by a seed and resumable from a cursor.

The stream is a pure function of the seed and the number of records drawn, so a resumed run gets exactly the records of
an uninterrupted run. Within a source, every record is drawn once before any is drawn again, in an order that changes
each time. A stream without epochs is endless, and the weights are shares of the draws. A stream of epochs has an end,
and the weights are passes over a source in each epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import Field

from finesight.config.settings import Settings
from finesight.data.record import Record
from finesight.data.shards import ShardSet
from finesight.data.spelling import SPELLED
from finesight.errors import ConfigError

_EPOCH_ORDER = 1 << 32
"""Second number of the seed of an epoch's order; the sources' own orders use 1, 2, ..."""


class SourceConfig(Settings):
    """One folder of shards and its weight."""

    path: Path = Field(description="folder of shards")
    only: Path | None = Field(
        None, description="JSON file with the numbers of the records to draw; None draws all"
    )
    weight: float = Field(
        1.0,
        gt=0,
        description="share of the draws, relative to the other sources; with data.epochs, passes over this source in "
        "each epoch: 0.25 takes another quarter each epoch",
    )
    learn: bool = Field(
        True,
        description="whether answers are targets of next-token prediction; texts without targets serve loss.language",
    )
    spelled: bool = Field(
        False,
        description="whether answers are learned with one token per character, for a small model that writes so; see "
        "docs/decisions/0013-spelled-transcriptions.md",
    )
    name: str | None = Field(
        None, description="name in the log; None takes the name of the folder", min_length=1
    )


@dataclass(slots=True)
class Cursor:
    """Position in the stream.

    Attributes:
        drawn: records drawn so far.
        taken: records drawn so far from each source.
    """

    drawn: int = 0
    taken: list[int] = field(default_factory=list)

    def copy(self) -> Cursor:
        """An independent copy."""
        return Cursor(self.drawn, list(self.taken))


@dataclass(frozen=True, slots=True)
class Draw:
    """One record of the stream, not read yet.

    Attributes:
        number: place in the stream, from 0.
        source: index of its source.
        index: its number in the source.
    """

    number: int
    source: int
    index: int


class Mixture:
    """A stream of records.

    Args:
        sources: folders and weights.
        seed: seed of the order.
        epochs: number of epochs; None is an endless stream.
        mean_tokens: tokens of a mean record of each source, if the weights are shares of the tokens.

    Raises:
        ConfigError: there is no source, or an epoch has no record of one.
        DataError: a folder holds no shard.
    """

    def __init__(
        self,
        sources: Sequence[SourceConfig],
        *,
        seed: int,
        epochs: int | None = None,
        mean_tokens: Sequence[float] | None = None,
    ) -> None:
        if not sources:
            raise ConfigError("a mixture needs at least one source")
        self._sets = [ShardSet(source.path, only=source.only) for source in sources]
        self._sources = tuple(sources)
        weights = np.array([source.weight for source in sources])
        if mean_tokens is not None:
            weights = weights / np.array(mean_tokens)
        self._shares = weights / weights.sum()
        self._seed = seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}
        self._per_epoch = [
            round(source.weight * len(each))
            for source, each in zip(sources, self._sets, strict=True)
        ]
        self.end = None if epochs is None else epochs * sum(self._per_epoch)
        none = [
            str(source.path)
            for source, number in zip(sources, self._per_epoch, strict=True)
            if not number
        ]
        if epochs is not None and none:
            raise ConfigError(
                f"an epoch of this mixture has no record of {', '.join(none)}",
                hint="with data.epochs, a weight is the number of passes over a source: set it higher",
            )

    def size(self, source: int) -> int:
        """Number of records of a source."""
        return len(self._sets[source])

    @property
    def num_sources(self) -> int:
        """Number of sources."""
        return len(self._sets)

    def draws(self, start: Cursor | None = None) -> Iterator[tuple[Draw, Cursor]]:
        """Draws from `start` on, each with the cursor after it; nothing is read.

        Args:
            start: position to start from; None is the beginning.

        Raises:
            ConfigError: the position was made with another number of sources.
        """
        cursor = start.copy() if start and start.taken else Cursor(0, [0] * len(self._sets))
        if len(cursor.taken) != len(self._sets):
            raise ConfigError(
                f"the run was made with {len(cursor.taken)} data sources, the recipe has {len(self._sets)}",
                hint="start a new run with the other mixture: another run.folder, and model.start_from = this run",
            )
        while self.end is None or cursor.drawn < self.end:
            source = self._source(cursor.drawn)
            draw = Draw(cursor.drawn, source, self._index(source, cursor.taken[source]))
            cursor.drawn += 1
            cursor.taken[source] += 1
            yield draw, cursor.copy()

    def read(self, draw: Draw) -> tuple[Record, np.random.Generator]:
        """The record of a draw, and the random generator of its augmentation.

        Raises:
            DataError: the record cannot be read.
        """
        record = as_drawn(self._sets[draw.source][draw.index], self._sources[draw.source])
        random = np.random.default_rng((self._seed, draw.number))
        random.choice(len(self._sets), p=self._shares)  # the number that chose the source
        return record, random

    def place(self, draw: Draw) -> str:
        """Folder and number of the record of a draw, for messages."""
        return f"record {draw.index} of {self._sets[draw.source].folder}"

    def stream(
        self, start: Cursor | None = None
    ) -> Iterator[tuple[Record, np.random.Generator, Cursor]]:
        """Records from `start` on, each with the random generator of its draw and the cursor after it."""
        for draw, cursor in self.draws(start):
            yield *self.read(draw), cursor

    def _source(self, drawn: int) -> int:
        """Index of the source of a draw."""
        if self.end is None:
            random = np.random.default_rng((self._seed, drawn))
            return int(random.choice(len(self._sets), p=self._shares))
        epoch, place = divmod(drawn, sum(self._per_epoch))
        known, order = self._orders.get(-1, (-1, np.empty(0)))
        if known != epoch:
            random = np.random.default_rng((self._seed, _EPOCH_ORDER, epoch))
            order = random.permutation(np.repeat(np.arange(len(self._sets)), self._per_epoch))
            self._orders[-1] = (epoch, order)
        return int(order[place])

    def _index(self, source: int, taken: int) -> int:
        """Index of the record that draw number `taken` of a source gives, by the order of its epoch."""
        size = len(self._sets[source])
        epoch, place = divmod(taken, size)
        known, order = self._orders.get(source, (-1, np.empty(0)))
        if known != epoch:
            order = np.random.default_rng((self._seed, 1 + source, epoch)).permutation(size)
            self._orders[source] = (epoch, order)
        return int(order[place])


def as_drawn(record: Record, source: SourceConfig) -> Record:
    """A record of a source as the loader encodes it: without targets, or marked as spelled."""
    if not source.learn:
        record = without_targets(record)
    return replace(record, meta={**record.meta, SPELLED: True}) if source.spelled else record


def without_targets(record: Record) -> Record:
    """The record with no answer as a target of next-token prediction."""
    conversation = record.conversation
    messages = tuple(replace(message, is_target=False) for message in conversation.messages)
    return replace(record, conversation=replace(conversation, messages=messages))
