# SPDX-License-Identifier: Apache-2.0
"""What holds for every clip, budget and pattern of change."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finesight.errors import UnsupportedMedia
from finesight.media.sampling import (
    adaptive_indices,
    frame_indices,
    frame_range,
    smart_nframes,
    timed_indices,
)

FPS = st.floats(0.2, 240.0)


@st.composite
def clocks(draw, min_size: int = 1) -> list[float]:
    steps = draw(st.lists(st.floats(0.001, 20.0), min_size=min_size, max_size=120))
    return np.cumsum(steps).tolist()


@given(st.integers(2, 100_000), FPS, st.floats(0.01, 60.0), st.integers(1, 40), st.integers(2, 900))
def test_number_of_frames_is_even_and_possible(total, source_fps, fps, least, most):
    count = smart_nframes(total, source_fps, fps=fps, min_frames=least, max_frames=min(most, total))
    assert count % 2 == 0
    assert 2 <= count <= min(most, total)
    assert count >= min(least, most - 1, total - 1)


@given(st.integers(0, 50_000), st.integers(1, 50_000), st.integers(2, 800))
def test_indices_span_the_clip(first, length, count):
    count = min(count, length + 1)
    found = frame_indices(first, first + length, count)
    assert found[0] == first
    assert found[-1] == first + length
    # Where nearly every frame is taken, float32 rounds now and then two ways to one frame, as torch
    # does: 32,621 to 32,919 in 298 steps.
    least = int(length >= 2 * count)
    assert all(later - before >= least for before, later in pairwise(found))


@given(st.integers(1, 5_000), FPS, st.floats(0, 100), st.floats(0.001, 100))
def test_parts_lie_inside_the_clip(total, fps, start, length):
    try:
        first, last = frame_range(total, fps, start_seconds=start, end_seconds=start + length)
    except UnsupportedMedia:
        return
    assert 0 <= first <= last < total
    assert first / fps >= min(start, total / fps) - 1e-6
    assert last / fps <= start + length + 1e-6


@given(clocks(min_size=2), st.data())
def test_by_time_gives_as_many_frames_as_asked(times, data):
    count = data.draw(st.integers(2, len(times)))
    found = timed_indices(times, count)
    assert len(set(found)) == count
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] == len(times) - 1


@given(clocks(), st.integers(2, 60), st.integers(2, 8), st.floats(0.5, 10.0), st.data())
def test_adaptive_keeps_its_budget(times, budget, minimum, rate, data):
    change = data.draw(
        st.lists(st.sampled_from([0.0, 0.0, 1.0, 3.0]), min_size=len(times), max_size=len(times))
    )
    found = adaptive_indices(times, change, budget=budget, minimum=minimum, most_per_second=rate)
    assert found == sorted(set(found))
    assert len(found) <= min(budget, len(times))
    assert len(found) >= min(minimum, budget, len(times))
    assert 0 <= found[0] <= found[-1] < len(times)
    if not any(change):
        assert len(found) - min(minimum, budget, len(times)) in (0, 1)
