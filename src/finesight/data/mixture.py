# SPDX-License-Identifier: Apache-2.0
"""Draw records from weighted sources, in an order given by a seed and resumable from a cursor.

The stream is a pure function of the seed and the number of records drawn, so a resumed run gets exactly the records of
an uninterrupted run. Within a source, every record is drawn once per epoch, in an order that changes with the epoch.
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
from finesight.errors import ConfigError


class SourceConfig(Settings):
    """One folder of shards and its weight."""

    path: Path = Field(description="folder of shards")
    only: Path | None = Field(
        None, description="JSON file with the numbers of the records to draw; None draws all"
    )
    weight: float = Field(
        1.0, gt=0, description="share of the draws, relative to the other sources"
    )
    learn: bool = Field(
        True,
        description="whether answers are targets of next-token prediction; texts without targets serve loss.language",
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


class Mixture:
    """Endless stream of records.

    Args:
        sources: folders and weights.
        seed: seed of the order.

    Raises:
        ConfigError: there is no source.
        DataError: a folder holds no shard.
    """

    def __init__(self, sources: Sequence[SourceConfig], *, seed: int) -> None:
        if not sources:
            raise ConfigError("a mixture needs at least one source")
        self._sets = [ShardSet(source.path, only=source.only) for source in sources]
        self._learns = [source.learn for source in sources]
        weights = np.array([source.weight for source in sources])
        self._shares = weights / weights.sum()
        self._seed = seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def stream(
        self, start: Cursor | None = None, *, worker: int = 0, num_workers: int = 1
    ) -> Iterator[tuple[Record, np.random.Generator, Cursor]]:
        """Records from `start` on; each of several workers takes every `num_workers`-th draw of the same stream.

        Args:
            start: position to start from; None is the beginning.
            worker: index of this worker, from 0.
            num_workers: number of workers that share the stream.

        Yields:
            The record, the random generator of this draw, and the cursor after it.
        """
        cursor = start.copy() if start and start.taken else Cursor(0, [0] * len(self._sets))
        if len(cursor.taken) != len(self._sets):
            raise ConfigError(
                f"the run was made with {len(cursor.taken)} data sources, the recipe has {len(self._sets)}",
                hint="start a new run with the other mixture: another run.folder, and model.start_from = this run",
            )
        while True:
            random = np.random.default_rng((self._seed, cursor.drawn))
            source = int(random.choice(len(self._sets), p=self._shares))
            drawn, taken = cursor.drawn, cursor.taken[source]
            cursor.drawn += 1
            cursor.taken[source] += 1
            if drawn % num_workers == worker:  # draws of other workers are only counted
                record = self._sets[source][self._index(source, taken)]
                if not self._learns[source]:
                    record = without_targets(record)
                yield record, random, cursor.copy()

    def _index(self, source: int, taken: int) -> int:
        """Index of the record that draw number `taken` of a source gives, by the order of its epoch."""
        size = len(self._sets[source])
        epoch, place = divmod(taken, size)
        known, order = self._orders.get(source, (-1, np.empty(0)))
        if known != epoch:
            order = np.random.default_rng((self._seed, 1 + source, epoch)).permutation(size)
            self._orders[source] = (epoch, order)
        return int(order[place])


def without_targets(record: Record) -> Record:
    """The record with no answer as a target of next-token prediction."""
    conversation = record.conversation
    messages = tuple(replace(message, is_target=False) for message in conversation.messages)
    return replace(record, conversation=replace(conversation, messages=messages))
