# SPDX-License-Identifier: Apache-2.0
"""Choose the samples of packs: full rows of tokens, with an equal load of the vision tower on all ranks.

Each rank has a window of ready samples. A pack is the oldest sample of the window with others that fill its tokens and
bring its patches to a target that all ranks share. The target is the mean of all windows, so that no patches pile up.
A sample with more patches than the target would leave the other ranks waiting for one tower. Such samples are held
back until every rank has one, and then go into one step; one that has waited for long goes alone.

Choosing is a subset sum over tokens (exact) and patches (in bins), by dynamic programming over the window from its
oldest sample on. It ends at the first sample with which the pack is full, so old samples are preferred.

Legend: C tokens of a full pack, P most patches of a pack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NUM_BINS = 48
"""Bins of patches up to the target."""

_FULL = 0.99
"""Share of the tokens at which a pack counts as full and the search ends."""

_TOLERANCE = 0.03
"""Relative difference of the patches from the target with which the search ends."""

_HEAVY = 1.08
"""Patches of a sample, relative to the target, from which on it is held back."""


@dataclass(frozen=True, slots=True)
class Load:
    """Size of a sample.

    Attributes:
        draw: its place in the stream.
        tokens: text and visual tokens.
        patches: patches of its pictures and videos.
    """

    draw: int
    tokens: int
    patches: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Most tokens and patches of a pack."""

    tokens: int
    patches: int

    def share(self, load: Load) -> float:
        """Size of a sample in packs; above 1 it is a pack of its own."""
        return max(load.tokens / self.tokens, load.patches / self.patches)

    def fits(self, loads: Sequence[Load]) -> bool:
        """Whether the samples fit into one pack."""
        return (
            sum(one.tokens for one in loads) <= self.tokens
            and sum(one.patches for one in loads) <= self.patches
        )


def in_order(window: Sequence[Load], limits: Limits) -> list[Load]:
    """The first samples of a window that fit into one pack, at least one."""
    count = 1
    while count < len(window) and limits.fits(window[: count + 1]):
        count += 1
    return list(window[:count])


def best_fit(
    windows: Sequence[Sequence[Load]], rank: int, limits: Limits, *, overdue: int = -1
) -> list[Load]:
    """The samples of one rank's next pack; every rank calls this with the same windows.

    Args:
        windows: ready samples of each rank, oldest first; that of `rank` is not empty.
        rank: whose pack is chosen.
        limits: size of a pack.
        overdue: samples drawn before this one are not held back any more.

    Returns:
        Samples of `windows[rank]`. One that exceeds the limits is returned alone.
    """
    window = windows[rank]
    tokens, patches = _targets(windows, limits)
    if len(windows) == 1 or not patches:  # nothing to balance
        return _fill(window, window[0], limits, (tokens, None))
    heavy = [[one for one in each if one.patches > _HEAVY * patches] for each in windows]
    late = [each[0] for each in heavy if each and each[0].draw < overdue]
    if all(heavy) or late:
        size = max(late or [each[0] for each in heavy], key=lambda one: one.patches).patches
        seeds = [min(each, key=lambda one: abs(one.patches - size), default=None) for each in heavy]
        patches = max(one.patches for one in seeds if one is not None)
        seed = seeds[rank] or window[0]
        return _fill(window, seed, limits, (tokens, min(patches, limits.patches)))
    light = [one for one in window if one.patches <= _HEAVY * patches]
    if not light:
        return _fill(window, window[0], limits, (tokens, patches))
    return _fill(light, light[0], limits, (tokens, patches))


def _targets(windows: Sequence[Sequence[Load]], limits: Limits) -> tuple[int, int]:
    """Tokens and patches of a full pack with the mixture of all windows."""
    tokens = sum(one.tokens for window in windows for one in window)
    patches = sum(one.patches for window in windows for one in window)
    if not patches:
        return limits.tokens, 0
    rows = min(limits.tokens, limits.patches * tokens // patches)
    return rows, rows * patches // tokens


def _fill(
    window: Sequence[Load], seed: Load, limits: Limits, targets: tuple[int, int | None]
) -> list[Load]:
    """The seed with samples of the window that come nearest to the targets.

    `reach[b]` is a set of sums of tokens as the bits of a number: bit t is set if some of the samples so far have t
    tokens and patches in bin b. Before each sample the sets are kept, to find the samples of a sum.
    """
    wanted, patches = targets
    if limits.share(seed) >= 1:
        return [seed]
    width = max(1, (limits.patches if patches is None else patches) // _NUM_BINS)
    start = round(seed.patches / width)
    reach = [0] * (max(limits.patches // width, start) + 1)
    reach[start] = 1 << seed.tokens
    bits = (1 << (limits.tokens + 1)) - 1
    before: list[tuple[Load, list[int]]] = []
    best = _Sum(_cost(seed.tokens, start * width, targets), seed.tokens, start, 0)
    for one in window:
        if one is seed or not limits.fits([seed, one]):
            continue
        before.append((one, reach))
        reach = _with(reach, one.tokens, round(one.patches / width), bits)
        best = min(best, _nearest(reach, targets, width, len(before)))
        is_near = patches is None or abs(best.bin * width - patches) <= _TOLERANCE * patches
        if best.tokens >= _FULL * wanted and is_near:
            break
    return _members(seed, before[: best.length], best, width, limits)


@dataclass(frozen=True, slots=True, order=True)
class _Sum:
    """A reachable sum and its distance from the targets."""

    cost: float
    tokens: int
    bin: int
    length: int


def _with(reach: list[int], tokens: int, bins: int, bits: int) -> list[int]:
    """The sums with and without one more sample."""
    more = list(reach)
    for place in range(len(reach) - bins):
        if reach[place]:
            more[place + bins] |= (reach[place] << tokens) & bits
    return more


def _nearest(reach: list[int], targets: tuple[int, int | None], width: int, length: int) -> _Sum:
    """The sum with the lowest cost; in each bin, the one with most tokens."""
    sums = ((found.bit_length() - 1, place) for place, found in enumerate(reach) if found)
    return min(
        _Sum(_cost(tokens, place * width, targets), tokens, place, length) for tokens, place in sums
    )


def _cost(tokens: int, patches: int, targets: tuple[int, int | None]) -> float:
    """Missing share of the tokens, and relative difference of the patches, which matters less."""
    wanted, aim = targets
    missing = max(0.0, 1 - tokens / wanted)
    return missing if not aim else missing + 0.4 * abs(patches / aim - 1)


def _members(
    seed: Load, before: list[tuple[Load, list[int]]], best: _Sum, width: int, limits: Limits
) -> list[Load]:
    """The samples of a sum, newest sample first looked at; without the newest ones if patches exceed the limit."""
    tokens, place = best.tokens, best.bin
    chosen: list[Load] = []
    for one, reach in reversed(before):
        if reach[place] >> tokens & 1:  # the sum is reached without this sample
            continue
        chosen.append(one)
        tokens, place = tokens - one.tokens, place - round(one.patches / width)
    chosen.append(seed)
    chosen.reverse()
    while len(chosen) > 1 and not limits.fits(chosen):  # bins round the patches
        chosen.pop()
    return chosen
