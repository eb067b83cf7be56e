# SPDX-License-Identifier: Apache-2.0
"""Which draws of the stream are assigned to which lane and not yet used: the position of a run in its data.

A lane is a place among the packs of a step (`finesight.data.feed`). All ranks keep the same position. New draws are
assigned in the order of the stream, to lanes in turn, as many as each asks for. A draw is held by its lane until it is
in a pack. So a saved position is a place in the stream and the draws before it that are still held; a run with another
number of lanes distributes those anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finesight.data.mixture import Cursor, Draw, Mixture
from finesight.errors import ConfigError


class Position:
    """Draws held by each lane.

    Args:
        mixture: the stream.
        num_lanes: number of lanes.
        saved: a mapping of `saved`; an empty one is the beginning of the stream.

    Attributes:
        held: draws of each lane that are in no pack yet, in the order in which they were assigned.
        next: first draw that no lane has.

    Raises:
        ConfigError: the position was saved with another number of sources, or is no such mapping.
    """

    def __init__(
        self, mixture: Mixture, num_lanes: int, saved: Mapping[str, Any] | None = None
    ) -> None:
        self._end = mixture.end
        self.held: list[list[int]] = [[] for _ in range(num_lanes)]
        self._draws: dict[int, Draw] = {}
        self._sources: dict[int, int] = {}  # of all draws from the low mark to `next`
        start, self.next, held = _parsed(saved or {}, mixture.num_sources)
        self._low = start
        self._stream = mixture.draws(start)
        wanted = {draw for each in held for draw in each}
        for number in range(start.drawn, self.next):
            self._advance(is_held=number in wanted)
        if len(held) == num_lanes:
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
        """Assign new draws to the lanes in turn, as far as the stream goes.

        Args:
            counts: number of draws for each lane.
        """
        for turn in range(max(counts)):
            for held, count in zip(self.held, counts, strict=True):
                if turn < count and not self.is_over:
                    held.append(self.next)
                    self._advance(is_held=True)
                    self.next += 1

    def use(self, draws: Sequence[Sequence[int]]) -> None:
        """Forget draws of each lane that were used."""
        for lane, used in enumerate(draws):
            gone = set(used)
            self.held[lane] = [number for number in self.held[lane] if number not in gone]
            for number in used:
                del self._draws[number]

    def share_the_rest(self) -> None:
        """At the end of the stream, distribute the draws anew if a lane has none and another has several."""
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
        lanes = len(self.held)
        self.held = [list(numbers[lane::lanes]) for lane in range(lanes)]


def _parsed(saved: Mapping[str, Any], num_sources: int) -> tuple[Cursor, int, list[list[int]]]:
    """Lowest draw that is still held, first draw that no lane has, and the draws of each lane."""
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
