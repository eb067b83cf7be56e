# SPDX-License-Identifier: Apache-2.0
"""Draw records from weighted sources in an order that a seed fixes and a cursor resumes.

The stream is a pure function of the seed and of how many records were drawn, so a run that stops and goes on sees
exactly what an unbroken run would have seen. Within a source every record comes once per epoch, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from finesight.data.record import Record
from finesight.data.shards import ShardSet
from finesight.errors import ConfigError


class SourceConfig(BaseModel):
    """One folder of shards and its share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="folder of shards")
    weight: float = Field(
        1.0, gt=0, description="share of the draws, relative to the other sources"
    )


@dataclass(slots=True)
class Cursor:
    """Place in the stream.

    Attributes:
        drawn: records drawn so far.
        taken: records drawn so far from each source.
    """

    drawn: int = 0
    taken: list[int] = field(default_factory=list)

    def copy(self) -> Cursor:
        """A cursor that does not move with this one."""
        return Cursor(self.drawn, list(self.taken))


class Mixture:
    """Endless stream of records.

    Args:
        sources: folders and weights.
        seed: fixes the order.

    Raises:
        ConfigError: there is no source.
        DataError: a folder holds no shard.
    """

    def __init__(self, sources: Sequence[SourceConfig], *, seed: int) -> None:
        if not sources:
            raise ConfigError("a mixture needs at least one source")
        self._sets = [ShardSet(source.path) for source in sources]
        weights = np.array([source.weight for source in sources])
        self._shares = weights / weights.sum()
        self._seed = seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def stream(
        self, start: Cursor | None = None, *, worker: int = 0, num_workers: int = 1
    ) -> Iterator[tuple[Record, np.random.Generator, Cursor]]:
        """Records from `start` on; of several workers each takes every `num_workers`-th draw of the same stream.

        Args:
            start: where to go on; None is the beginning.
            worker: which of the workers this is, from 0.
            num_workers: how many share the stream.

        Yields:
            The record, a random generator that belongs to this draw, and the cursor after it.
        """
        cursor = start.copy() if start and start.taken else Cursor(0, [0] * len(self._sets))
        if len(cursor.taken) != len(self._sets):
            raise ConfigError(
                f"the run was made with {len(cursor.taken)} data sources, the recipe has {len(self._sets)}",
                hint="another mixture is another run: give it its own run.folder, and model.start_from this one",
            )
        while True:
            random = np.random.default_rng((self._seed, cursor.drawn))
            source = int(random.choice(len(self._sets), p=self._shares))
            drawn, taken = cursor.drawn, cursor.taken[source]
            cursor.drawn += 1
            cursor.taken[source] += 1
            if drawn % num_workers == worker:  # the draws of the others are only counted
                record = self._sets[source][self._index(source, taken)]
                yield record, random, cursor.copy()

    def _index(self, source: int, taken: int) -> int:
        """Record number `taken` of a source, through the order of its epoch."""
        size = len(self._sets[source])
        epoch, place = divmod(taken, size)
        known, order = self._orders.get(source, (-1, np.empty(0)))
        if known != epoch:
            order = np.random.default_rng((self._seed, 1 + source, epoch)).permutation(size)
            self._orders[source] = (epoch, order)
        return int(order[place])
