# SPDX-License-Identifier: Apache-2.0
"""The frames of a live video stay within their budgets, and none is lost without being counted."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from finesight.server.live_ring import Frame, FrameRing

gaps = st.lists(st.floats(0, 100) | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=120)


@given(
    gaps=gaps,
    sizes=st.lists(st.integers(0, 40), min_size=120, max_size=120),
    pair_tokens=st.integers(1, 50),
    num_pairs=st.integers(1, 20),
    max_bytes=st.integers(1, 400),
    window_seconds=st.floats(1, 2000),
)
def test_budgets_order_and_counts(gaps, sizes, pair_tokens, num_pairs, max_bytes, window_seconds):
    ring = FrameRing(
        pair_tokens=pair_tokens,
        max_tokens=num_pairs * pair_tokens,
        max_bytes=max_bytes,
        window_seconds=window_seconds,
    )
    for number, (seconds, size) in enumerate(zip(accumulate(gaps), sizes, strict=False), start=1):
        newest = Frame(seconds, bytes(size))
        before = ring.frames()
        ring.add(newest)
        kept = ring.frames()
        assert kept[-1] is newest
        assert ring.num_tokens <= num_pairs * pair_tokens
        assert ring.num_tokens >= pair_tokens * len(kept) / 2
        assert ring.num_bytes == sum(len(frame.jpeg) for frame in kept)
        assert ring.num_bytes <= max_bytes or len(kept) <= 2
        assert all(first.seconds <= second.seconds for first, second in pairwise(kept))
        assert {id(frame) for frame in kept[:-1]} <= {id(frame) for frame in before}
        assert len(kept) + ring.num_thinned + ring.num_expired == number
        # The partner of a frame inside the window may be a little older.
        assert all(frame.seconds >= seconds - window_seconds for frame in kept[1::2])


@given(steps=st.integers(100, 400), num_pairs=st.integers(8, 24))
def test_older_frames_are_never_denser_than_newer_ones_by_much(steps, num_pairs):
    ring = FrameRing(
        pair_tokens=10, max_tokens=10 * num_pairs, max_bytes=10**9, window_seconds=10**6
    )
    for step in range(steps):
        ring.add(Frame(step / 2, b""))
    times = [frame.seconds for frame in ring.frames()][::2]
    assert times[0] == 0  # the whole time is covered
    span = times[-1]
    newer = sum(seconds >= span / 2 for seconds in times)
    assert newer > len(times) - newer  # the newer half of the time has more than half of the pairs
    assert len(times) >= 0.7 * num_pairs - 1  # and the budget is used
