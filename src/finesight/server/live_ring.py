# SPDX-License-Identifier: Apache-2.0
"""The frames of a live video that are kept: all recent ones, and fewer per second the older they are.

Frames are kept in pairs, because the vision tower encodes two frames together: a pair stays the same as long as it is
kept, so its visual tokens are computed once.

When a budget is exceeded, pairs are removed until a quarter of it is free. Removed next is the pair with the smallest
ratio of gap to age, where the gap is the time between its neighbours and the age is counted from the newest pair. What
remains is about evenly spaced on a logarithmic scale of age. The first and the newest pair are kept.
Removing several at a time leaves the sequence unchanged in between, apart from new pairs at its end, so that a
further question can reuse the keys and values of the earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass

_FULL, _LEFT = 1.0, 0.75
_LEAST_AGE = 1e-3
"""Seconds; pairs at the time of the newest one have no age to divide by."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        seconds: its time on the client's clock.
        jpeg: the file.
    """

    seconds: float
    jpeg: bytes


class FrameRing:
    """Frames within a budget.

    Args:
        pair_tokens: visual tokens of a frame pair.
        max_tokens: most visual tokens of all pairs; at least one pair.
        max_bytes: most bytes of all files; the newest pair is kept even if it is larger.
        window_seconds: frames that are older than this, counted from the newest, are removed.

    Attributes:
        num_thinned: frames that were removed for the budget.
        num_expired: frames that were removed for their age.
    """

    def __init__(
        self, *, pair_tokens: int, max_tokens: int, max_bytes: int, window_seconds: float
    ) -> None:
        assert max_tokens >= pair_tokens
        self._pair_tokens = pair_tokens
        self._max_tokens, self._max_bytes = max_tokens, max_bytes
        self._window = window_seconds
        self._pairs: list[tuple[Frame, ...]] = []
        self.num_thinned = 0
        self.num_expired = 0

    @property
    def num_tokens(self) -> int:
        """Visual tokens of what is kept; a single last frame takes those of a pair."""
        return len(self._pairs) * self._pair_tokens

    @property
    def num_bytes(self) -> int:
        """Size of the files of what is kept."""
        return sum(len(frame.jpeg) for frame in self.frames())

    def frames(self) -> tuple[Frame, ...]:
        """What is kept, in order of time."""
        return tuple(frame for pair in self._pairs for frame in pair)

    def add(self, frame: Frame) -> None:
        """Add a frame that is not older than the last one, and remove what exceeds the budget."""
        if self._pairs and len(self._pairs[-1]) == 1:
            self._pairs[-1] += (frame,)
        else:
            self._pairs.append((frame,))
        while len(self._pairs) > 1 and self._pairs[0][-1].seconds < frame.seconds - self._window:
            self.num_expired += len(self._pairs.pop(0))
        if self._exceeds(_FULL):
            while len(self._pairs) > 1 and self._exceeds(_LEFT):
                self.num_thinned += len(self._pairs.pop(self._next_removed()))

    def _exceeds(self, share: float) -> bool:
        return (
            self.num_tokens > share * self._max_tokens or self.num_bytes > share * self._max_bytes
        )

    def _next_removed(self) -> int:
        """Index of the pair whose removal loses the least."""
        times = [pair[0].seconds for pair in self._pairs]

        def loss(index: int) -> float:
            age = max(times[-1] - times[index], _LEAST_AGE)
            return (times[index + 1] - times[index - 1]) / age

        return min(range(1, len(times) - 1), key=loss, default=0)
