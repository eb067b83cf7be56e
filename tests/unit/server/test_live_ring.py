# SPDX-License-Identifier: Apache-2.0
"""Which frames of a live video are kept, in examples worked by hand."""

from __future__ import annotations

from finesight.server.live_ring import Frame, FrameRing


def ring(**options):
    return FrameRing(
        **{"pair_tokens": 10, "max_tokens": 40, "max_bytes": 10**6, "window_seconds": 1e6} | options
    )


def seconds(ring):
    return [frame.seconds for frame in ring.frames()]


def test_nothing_is_removed_within_the_budget():
    kept = ring()
    for number in range(8):
        kept.add(Frame(number, b"x"))
    assert seconds(kept) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert (kept.num_tokens, kept.num_bytes, kept.num_thinned) == (40, 8, 0)


def test_a_quarter_becomes_free_at_once_and_the_oldest_gaps_grow_first():
    kept = ring()
    for number in range(9):
        kept.add(Frame(number, b"x"))
    # Pairs begin at 0, 2, 4, 6, 8. Ratios of gap to age: 4 / 6, 4 / 4, 4 / 2 for those at 2, 4, 6.
    # Without that at 2: 6 / 4, 4 / 2 for those at 4, 6. Three pairs are then left.
    assert seconds(kept) == [0, 1, 6, 7, 8]
    assert (kept.num_tokens, kept.num_thinned) == (30, 4)


def test_pairs_keep_their_frames_while_others_are_removed():
    kept = ring()
    for number in range(200):
        kept.add(Frame(number, b"x"))
        times = seconds(kept)
        assert all(
            second == first + 1 for first, second in zip(times[::2], times[1::2], strict=False)
        )


def test_frames_expire():
    kept = ring(window_seconds=3)
    for number in range(8):
        kept.add(Frame(number, b"x"))
    assert seconds(kept) == [4, 5, 6, 7]
    assert (kept.num_expired, kept.num_thinned) == (4, 0)


def test_large_files_count_too():
    kept = ring(max_bytes=100, max_tokens=1000)
    for number in range(8):
        kept.add(Frame(number, bytes(20)))
    assert kept.num_bytes <= 100
    kept.add(Frame(8, bytes(500)))
    assert seconds(kept) == [8]  # the newest frame is kept whatever its size


def test_a_budget_of_one_pair_has_the_newest_pair():
    kept = ring(max_tokens=10)
    for number in range(5):
        kept.add(Frame(number, b"x"))
    assert seconds(kept) == [4]
    kept.add(Frame(5, b"x"))
    assert seconds(kept) == [4, 5]
