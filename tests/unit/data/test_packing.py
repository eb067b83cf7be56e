# SPDX-License-Identifier: Apache-2.0
"""Packs of drawn lengths: how full they are, and how equal the load of the tower is on 8 ranks."""

from __future__ import annotations

import itertools
import math

import pytest

from finesight.data.packing import Limits, Load, best_fit, in_order
from tests.support.ranks import drawn_loads

MIXED = {"chat": 0.5, "picture": 0.2, "page": 0.25, "video": 0.05}
VISUAL = {"chat": 0.3, "picture": 0.3, "page": 0.3, "video": 0.1}
MOSTLY_CHAT = {"chat": 0.8, "picture": 0.15, "page": 0.04, "video": 0.01}
LONG = {"page": 0.9, "video": 0.1}
TEXT = {"chat": 1.0}
LIMITS = Limits(8192, 4 * 8192)


def simulate(shares, num_ranks=8, *, limits=LIMITS, steps=40, window=8, skip=8):
    """Packs of each step and rank, and how far a sample was ever behind the newest draw."""
    stream = drawn_loads(1, shares)
    windows: list[list[Load]] = [[] for _ in range(num_ranks)]
    packs, newest, behind = [], 0, 0
    for _ in range(steps):
        for held in windows:
            while sum(map(limits.share, held)) < window:
                held.append(next(stream))
                newest = held[-1].draw
        overdue = newest - 3 * sum(map(len, windows))
        step = [best_fit(windows, rank, limits, overdue=overdue) for rank in range(num_ranks)]
        for held, chosen in zip(windows, step, strict=True):
            for one in chosen:
                held.remove(one)
            behind = max([behind, *(newest - one.draw for one in held)])
        packs.append(step)
    return packs[skip:], behind / sum(map(len, windows))


def fill_and_balance(packs, limits):
    """Share of tokens filled, and mean over largest tower load of a step, averaged over steps."""
    tokens = [sum(one.tokens for one in pack) for step in packs for pack in step]
    loads = [[sum(one.patches for one in pack) for pack in step] for step in packs]
    balance = [sum(step) / len(step) / max(step) for step in loads if max(step)]
    return (
        sum(tokens) / (len(tokens) * limits.tokens),
        math.fsum(balance) / len(balance) if balance else 1.0,
    )


@pytest.mark.parametrize("shares", [MIXED, VISUAL, MOSTLY_CHAT, LONG, TEXT])
def test_eight_ranks_have_full_packs_and_equal_towers(shares):
    packs, _ = simulate(shares)
    fill, balance = fill_and_balance(packs, LIMITS)
    assert fill >= 0.98
    assert balance >= 0.90
    assert all(LIMITS.fits(pack) for step in packs for pack in step)


def test_a_stream_in_order_is_neither():
    """What the window is for: without it tokens are lost and towers wait."""
    stream = drawn_loads(1, MIXED)
    packs, queue = [], [next(stream) for _ in range(400)]
    for _ in range(30):
        step = []
        for _ in range(8):
            step.append(in_order(queue, LIMITS))
            queue = queue[len(step[-1]) :] + [next(stream) for _ in step[-1]]
        packs.append(step)
    fill, balance = fill_and_balance(packs, LIMITS)
    assert fill < 0.96
    assert balance < 0.85


def test_one_rank_fills_tokens():
    packs, _ = simulate(MIXED, 1, steps=60)
    assert fill_and_balance(packs, LIMITS)[0] >= 0.99


def test_patches_limit_packs_as_well():
    limits = Limits(8192, 8192)
    packs, _ = simulate({"chat": 0.2, "picture": 0.8}, limits=limits)
    patches = [sum(one.patches for one in pack) for step in packs for pack in step]
    assert sum(patches) / len(patches) >= 0.95 * 8192
    assert fill_and_balance(packs, limits)[1] >= 0.90


@pytest.mark.parametrize("shares", [MIXED, VISUAL, MOSTLY_CHAT])
def test_no_sample_waits_for_long(shares):
    _, behind = simulate(shares, steps=80)
    assert behind < 6  # times the samples in all windows


def test_every_rank_knows_its_own_pack_alone():
    """The choice of a rank is a function of the windows: the same wherever it is computed."""
    stream = drawn_loads(5, MIXED)
    windows = [list(itertools.islice(stream, 90)) for _ in range(4)]
    for rank in range(4):
        chosen = best_fit(windows, rank, LIMITS)
        assert chosen == best_fit([list(one) for one in windows], rank, LIMITS)
        assert all(one in windows[rank] for one in chosen)
        assert len({one.draw for one in chosen}) == len(chosen)


def test_a_sample_over_the_limits_is_a_pack_of_its_own():
    huge, small = Load(0, 9000, 0), Load(1, 10, 0)
    assert best_fit([[huge, small]], 0, LIMITS) == [huge]
    assert in_order([huge, small], LIMITS) == [huge]
    assert best_fit([[Load(0, 10, 40_000), small]], 0, LIMITS) == [Load(0, 10, 40_000)]


def test_the_best_sum_is_found():
    window = [Load(number, tokens, 0) for number, tokens in enumerate((500, 400, 300, 200, 90))]
    chosen = best_fit([window], 0, Limits(1000, 64))
    assert [one.tokens for one in chosen] == [500, 300, 200]


def test_a_rank_with_few_samples_does_what_it_can():
    windows = [[Load(0, 100, 400)], [Load(1, 8000, 0), Load(2, 50, 200)], []]
    assert best_fit(windows, 0, LIMITS) == windows[0]
    assert best_fit(windows, 1, LIMITS) == windows[1]
