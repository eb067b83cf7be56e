# SPDX-License-Identifier: Apache-2.0
"""Which draws of the stream are assigned to which rank and not yet used: the position of a run in its data.

All ranks keep the same position. New draws are assigned in the order of the stream, to ranks in turn, as many as each
asks for. A draw is held by its rank until it is in a pack. So a saved position is a place in the stream and the draws
before it that are still held; a run with another number of ranks distributes those anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finesight.data.mixture import Cursor, Draw, Mixture
from finesight.errors import ConfigError


class Position:
    """Draws held by each rank.

    Args:
        mixture: the stream.
        num_ranks: number of ranks.
        saved: a mapping of `saved`; an empty one is the beginning of the stream.

    Attributes:
        held: draws of each rank that are in no pack yet, in the order in which they were assigned.
        next: first draw that no rank has.

    Raises:
        ConfigError: the position was saved with another number of sources, or is no such mapping.
    """

    def __init__(
        self, mixture: Mixture, num_ranks: int, saved: Mapping[str, Any] | None = None
    ) -> None:
        self._end = mixture.end
        self.held: list[list[int]] = [[] for _ in range(num_ranks)]
        self._draws: dict[int, Draw] = {}
        self._sources: dict[int, int] = {}  # of all draws from the low mark to `next`
        start, self.next, held = _parsed(saved or {}, mixture.num_sources)
        self._low = start
        self._stream = mixture.draws(start)
        wanted = {draw for each in held for draw in each}
        for number in range(start.drawn, self.next):
            self._advance(is_held=number in wanted)
        if len(held) == num_ranks:
            self.held = held
        else:
            self._distribute(sorted(wanted))

    @property
    def start(self) -> Cursor:
        """Place in the stream of the first draw that is not used."""
        return self._low.copy()

    @property
    def is_over(self) -> bool:
        """Whether every draw of the stream is assigned."""
        return self._end is not None and self.next >= self._end

    @property
    def share_done(self) -> float:
        """Share of a stream of epochs that was used; 0 of an endless one."""
        return 0.0 if not self._end else (self.next - sum(map(len, self.held))) / self._end

    def __getitem__(self, number: int) -> Draw:
        """A draw that is held."""
        return self._draws[number]

    def assign(self, counts: Sequence[int]) -> None:
        """Assign new draws to each rank, as far as the stream goes."""
        for held, count in zip(self.held, counts, strict=True):
            for _ in range(count):
                if self.is_over:
                    return
                held.append(self.next)
                self._advance(is_held=True)
                self.next += 1

    def use(self, draws: Sequence[Sequence[int]]) -> None:
        """Forget draws of each rank that were used."""
        for rank, used in enumerate(draws):
            gone = set(used)
            self.held[rank] = [number for number in self.held[rank] if number not in gone]
            for number in used:
                del self._draws[number]

    def share_the_rest(self) -> None:
        """At the end of the stream, distribute the draws anew if a rank has none and another has several."""
        counts = [len(each) for each in self.held]
        if self.is_over and min(counts) == 0 and max(counts) > 1:
            self._distribute(sorted(number for each in self.held for number in each))

    def saved(self) -> dict[str, Any]:
        """The position as a mapping for JSON."""
        while self._low.drawn < self.next and self._low.drawn not in self._draws:
            self._low.taken[self._sources.pop(self._low.drawn)] += 1
            self._low.drawn += 1
        return {
            "drawn": self._low.drawn,
            "taken": list(self._low.taken),
            "next": self.next,
            "held": [list(each) for each in self.held],
        }

    def _advance(self, *, is_held: bool) -> None:
        draw, _ = next(self._stream)
        self._sources[draw.number] = draw.source
        if is_held:
            self._draws[draw.number] = draw

    def _distribute(self, numbers: Sequence[int]) -> None:
        ranks = len(self.held)
        self.held = [list(numbers[rank::ranks]) for rank in range(ranks)]


def _parsed(saved: Mapping[str, Any], num_sources: int) -> tuple[Cursor, int, list[list[int]]]:
    """Lowest draw that is still held, first draw that no rank has, and the draws of each rank."""
    if not saved:
        return Cursor(0, [0] * num_sources), 0, []
    try:
        if "workers" in saved:
            return _of_workers(saved["workers"], num_sources)
        start = Cursor(int(saved["drawn"]), [int(one) for one in saved["taken"]])
        return start, int(saved["next"]), [[int(one) for one in each] for each in saved["held"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the checkpoint has no position in the data that this version reads: {error!r}",
            hint="start a new run from its weights: another run.folder, and model.start_from = this run",
        ) from error


def _of_workers(
    workers: Sequence[Mapping[str, Any]], num_sources: int
) -> tuple[Cursor, int, list[list[int]]]:
    """A position of version 0.2, in which worker w of n had used its draws w, w + n, ... up to a place of its own."""
    cursors = [Cursor(**one) if one else Cursor() for one in workers]
    start = min(cursors, key=lambda one: one.drawn)
    start = start.copy() if start.taken else Cursor(0, [0] * num_sources)
    last = max(one.drawn for one in cursors)
    rest = [
        number
        for number in range(start.drawn, last)
        if number >= cursors[number % len(cursors)].drawn
    ]
    return start, last, [rest]
