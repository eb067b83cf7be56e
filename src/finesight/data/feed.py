# SPDX-License-Identifier: Apache-2.0
"""Choose the packs of one rank, in step with the others.

An optimizer step has several packs: one or more of each rank. Each place in the step is a lane, with draws and a window
of ready samples of its own. Lane l belongs to rank l modulo the number of ranks, so the packs of a step depend on the
number of its lanes and not on how many ranks share them. Before each step the ranks exchange the sizes of their
windows, and new draws are assigned until every window is full. Each rank then chooses the packs of its lanes. After
that they exchange which draws they used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from finesight.data.encode import TrainSample
from finesight.data.exchange import Exchange
from finesight.data.mixture import Draw
from finesight.data.packing import Limits, Load, best_fit, in_order
from finesight.data.position import Position
from finesight.data.workers import Encoded, Executor
from finesight.errors import DataError, FinesightError

_HELD_AHEAD = 64
"""Draws that a lane holds beyond its window, so that its workers always have some to encode."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Packing:
    """How packs are chosen.

    Attributes:
        limits: size of a pack.
        window: packs of ready samples from which each pack is chosen; 0 packs in the order of the stream.
        skip_share: largest share of records that may be skipped; 0 stops at the first that cannot be encoded.
    """

    limits: Limits
    window: int
    skip_share: float


@dataclass(frozen=True, slots=True)
class _Message:
    """State of a lane that is sent to the other ranks before a step.

    Attributes:
        window: sizes of its ready samples.
        is_ready: whether a pack can be chosen from them.
        wants: number of draws that it needs.
        dropped: draws that it skips.
        error: why its rank stops.
    """

    window: list[Load]
    is_ready: bool
    wants: int
    dropped: list[int]
    error: str = ""


Ready = list[tuple[Draw, str, TrainSample]]
"""Samples of a pack with their draws and the ids of their records."""


class Feed:
    """Chooses the packs of one rank, in step with the others.

    Args:
        packing: how packs are chosen.
        position: position in the stream; it moves with every step.
        executor: encodes the draws of this rank.
        lanes: lanes of this rank.
        exchange: exchange between the ranks.
        num_skipped: records that all ranks skipped before.

    Attributes:
        num_skipped: records that all ranks skipped so far.
    """

    def __init__(
        self,
        packing: Packing,
        position: Position,
        executor: Executor,
        *,
        lanes: Sequence[int],
        exchange: Exchange,
        num_skipped: int,
    ) -> None:
        self.num_skipped = num_skipped
        self._packing = packing
        self._limits = packing.limits
        self._position = position
        self._executor = executor
        self._lanes = lanes
        self._exchange = exchange
        self._submitted: set[int] = set()
        self._encoded: dict[int, tuple[Load, str, TrainSample]] = {}
        self._failed: dict[int, FinesightError] = {}
        self._held: set[int] = set()  # by the lanes of this rank
        self._skipped: list[str] = []

    def steps(self) -> Iterator[tuple[list[Ready], tuple[str, ...]]]:
        """Samples of the packs of each step, and why records were skipped before it.

        A pack is empty if only other lanes have samples left.
        """
        position = self._position
        while windows := self._windows():
            draws: dict[int, Sequence[int]] = {
                lane: [one.draw for one in self._choose(windows, lane)] for lane in self._lanes
            }
            ready = [
                [(position[draw], *self._encoded.pop(draw)[1:]) for draw in draws[lane]]
                for lane in self._lanes
            ]
            self._submitted.difference_update(*draws.values())
            position.use(self._all_lanes(draws))
            skipped, self._skipped = tuple(self._skipped), []
            yield ready, skipped

    def _all_lanes(self, own: dict[int, T]) -> list[T]:
        """Values of all lanes, from those of this rank."""
        merged = {lane: value for part in self._exchange(own) for lane, value in part.items()}
        return [merged[lane] for lane in range(len(merged))]

    def _choose(self, windows: list[list[Load]], lane: int) -> list[Load]:
        if not windows[lane]:
            return []
        if not self._packing.window:
            return in_order(windows[lane], self._limits)
        held = sum(len(each) for each in self._position.held)
        overdue = self._position.next - 3 * held
        return best_fit(windows, lane, self._limits, overdue=overdue)

    def _windows(self) -> list[list[Load]]:
        """Windows of all lanes; empty at the end of the stream."""
        position = self._position
        while True:
            position.share_the_rest()
            self._submit()
            failed: FinesightError | None = None
            sent: dict[int, _Message] = {}
            for lane in self._lanes:
                sent[lane], error = self._message(lane)
                failed = failed or error
            messages = self._all_lanes(sent)
            if failed is not None:
                raise failed
            if errors := [one.error for one in messages if one.error]:
                raise DataError(f"another rank stopped: {errors[0]}")
            self.num_skipped += sum(len(one.dropped) for one in messages)
            position.use([one.dropped for one in messages])
            self._check_skipped()
            if all(one.is_ready for one in messages):
                return [one.window for one in messages] if any(position.held) else []
            position.assign([one.wants for one in messages])

    def _own(self) -> list[int]:
        """Draws held by the lanes of this rank, in the order of the stream."""
        return sorted(number for lane in self._lanes for number in self._position.held[lane])

    def _submit(self) -> None:
        """Submit new draws of this rank to the executor; drop those that another rank got."""
        own = self._own()
        self._held = set(own)
        for number in self._encoded.keys() - self._held:
            del self._encoded[number]
            self._submitted.discard(number)
        for number in own:
            if number not in self._submitted:
                self._submitted.add(number)
                self._executor.submit(self._position[number])

    def _message(self, lane: int) -> tuple[_Message, FinesightError | None]:
        """The state of a lane for the other ranks, and the error with which this rank stops."""
        window: list[Load] = []
        dropped: list[int] = []
        filled = 0.0  # size of the window in packs
        held = self._position.held[lane]
        for number in held:
            if self._is_enough(window, filled):
                break
            found = self._encode(number)
            if isinstance(found, Load):
                window.append(found)
                filled += self._limits.share(found)
            elif not self._packing.skip_share:
                return _Message([], False, 0, [], found.message), found
            else:
                dropped.append(number)
                self._skipped.append(found.message)
        is_ready = self._is_enough(window, filled) or self._position.is_over
        is_ready &= not dropped  # the position changes first
        wants = max(0, len(window) + _HELD_AHEAD - len(held))
        return _Message(window, is_ready, wants, dropped), None

    def _is_enough(self, window: list[Load], filled: float) -> bool:
        if not self._packing.window:
            return not self._limits.fits(window)
        return filled >= self._packing.window

    def _encode(self, number: int) -> Load | FinesightError:
        """Wait until a draw of this rank is encoded; returns its size, or why it cannot be encoded."""
        while number not in self._encoded and number not in self._failed:
            self._take(*self._executor.next())
        if number in self._failed:
            return self._failed.pop(number)
        return self._encoded[number][0]

    def _take(self, number: int, found: Encoded) -> None:
        if number not in self._submitted or number not in self._held:
            self._submitted.discard(number)
        elif isinstance(found, FinesightError):
            self._failed[number] = found
        else:
            name, one = found
            self._encoded[number] = (_load(number, one), name, one)

    def _check_skipped(self) -> None:
        drawn, share = self._position.next, self._packing.skip_share
        if self.num_skipped > share * max(drawn, 100):
            last = f": {self._skipped[-1]}" if self._skipped else ""
            raise DataError(
                f"{self.num_skipped} of {drawn} records were skipped, more than data.skip_share = {share:g}{last}",
                hint="mend or remove them, or set data.skip_share higher",
            )


def _load(number: int, one: TrainSample) -> Load:
    patches = sum(item.patches.shape[0] for item in one.sample.vision)
    return Load(number, one.num_tokens, patches)
