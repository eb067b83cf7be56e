# SPDX-License-Identifier: Apache-2.0
"""Choose the packs of one rank, in step with the others.

Before each pack the ranks exchange the sizes of their windows of ready samples, and new draws are assigned until every
window is full. Each rank then chooses from its own window. After that they exchange which draws they used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from finesight.data.encode import TrainSample
from finesight.data.exchange import Exchange
from finesight.data.mixture import Draw
from finesight.data.packing import Limits, Load, best_fit, in_order
from finesight.data.position import Position
from finesight.data.workers import Executor
from finesight.errors import DataError, FinesightError

_HELD_AHEAD = 64
"""Draws that a rank holds beyond its window, so that its workers always have some to encode."""


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
    """What a rank tells the others before a pack.

    Attributes:
        window: sizes of its ready samples.
        is_ready: whether a pack can be chosen from them.
        wants: number of draws that it needs.
        dropped: draws that it skips.
        error: why it stops.
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
        position: position in the stream; it moves with every pack.
        executor: encodes the draws of this rank.
        rank: which rank this is.
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
        rank: int,
        exchange: Exchange,
        num_skipped: int,
    ) -> None:
        self.num_skipped = num_skipped
        self._packing = packing
        self._limits = packing.limits
        self._position = position
        self._executor = executor
        self._rank = rank
        self._exchange = exchange
        self._submitted: set[int] = set()
        self._encoded: dict[int, tuple[Load, str, TrainSample]] = {}
        self._skipped: list[str] = []

    def packs(self) -> Iterator[tuple[Ready, tuple[str, ...]]]:
        """Samples of each pack, empty if only other ranks have some; and why records were skipped before it."""
        position = self._position
        while windows := self._windows():
            chosen = self._choose(windows) if windows[self._rank] else []
            draws = [one.draw for one in chosen]
            ready = [(position[draw], *self._encoded.pop(draw)[1:]) for draw in draws]
            self._submitted -= set(draws)
            position.use(self._exchange(draws))
            skipped, self._skipped = tuple(self._skipped), []
            yield ready, skipped

    def _choose(self, windows: list[list[Load]]) -> list[Load]:
        if not self._packing.window:
            return in_order(windows[self._rank], self._limits)
        held = sum(len(each) for each in self._position.held)
        overdue = self._position.next - 3 * held
        return best_fit(windows, self._rank, self._limits, overdue=overdue)

    def _windows(self) -> list[list[Load]]:
        """Windows of all ranks; empty at the end of the stream."""
        position = self._position
        while True:
            position.share_the_rest()
            self._submit()
            sent, failed = self._message()
            messages: list[_Message] = self._exchange(sent)
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

    def _submit(self) -> None:
        """Hand draws that are new to this rank to the executor; forget those that another rank got."""
        own = set(self._position.held[self._rank])
        for number in self._encoded.keys() - own:
            del self._encoded[number]
            self._submitted.discard(number)
        for number in self._position.held[self._rank]:
            if number not in self._submitted:
                self._submitted.add(number)
                self._executor.submit(self._position[number])

    def _message(self) -> tuple[_Message, FinesightError | None]:
        """What to tell the other ranks, and the error with which this one stops."""
        window: list[Load] = []
        dropped: list[int] = []
        held = self._position.held[self._rank]
        for number in held:
            if self._is_enough(window):
                break
            error = self._encode(number)
            if error is None:
                window.append(self._encoded[number][0])
            elif not self._packing.skip_share:
                return _Message([], False, 0, [], error.message), error
            else:
                dropped.append(number)
                self._skipped.append(error.message)
        is_ready = self._is_enough(window) or self._position.is_over
        is_ready &= not dropped  # the position changes first
        wants = max(0, len(window) + _HELD_AHEAD - len(held))
        return _Message(window, is_ready, wants, dropped), None

    def _is_enough(self, window: list[Load]) -> bool:
        if not self._packing.window:
            return not self._limits.fits(window)
        return sum(map(self._limits.share, window)) >= self._packing.window

    def _encode(self, number: int) -> FinesightError | None:
        """Wait until a draw of this rank is encoded; returns why it cannot be."""
        own = set(self._position.held[self._rank])
        while number not in self._encoded:
            found_number, found = self._executor.next()
            if found_number not in own:
                self._submitted.discard(found_number)
            elif isinstance(found, FinesightError):
                if found_number != number:
                    raise AssertionError("results come in the order of the draws")
                return found
            else:
                name, one = found
                self._encoded[found_number] = (_load(found_number, one), name, one)
        return None

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
    return Load(number, one.sample.input_ids.numel(), patches)
