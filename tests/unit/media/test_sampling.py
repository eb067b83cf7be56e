# SPDX-License-Identifier: Apache-2.0
"""Which frames are shown: the reference's arithmetic to the last frame, true times, and changes."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from finesight.errors import UnsupportedMedia
from finesight.media.sampling import (
    adaptive_indices,
    frame_indices,
    frame_range,
    smart_nframes,
    timed_indices,
)


@pytest.mark.parametrize(
    ("total", "fps_in", "options", "expected"),
    [
        (300, 30.0, {}, 20),
        (300, 30.0, {"fps": 1.0}, 10),
        (300, 30.0, {"fps": 0.1}, 4),  # at least min_frames
        (300, 30.0, {"fps": 0.1, "min_frames": 7}, 8),  # rounded up
        (300, 30.0, {"fps": 10.0, "max_frames": 15}, 14),  # rounded down
        (300, 30.0, {"fps": 100.0}, 300),  # never more than there are
        (301, 30.0, {"fps": 100.0}, 300),
        (90_000, 25.0, {}, 768),
        (3, 30.0, {}, 2),  # fewer frames than min_frames
        (2, 30.0, {}, 2),
        (300, 30.0, {"nframes": 7}, 8),
        (300, 30.0, {"nframes": 5}, 4),  # Python rounds 2.5 to 2
        (300, 30.0, {"nframes": 300}, 300),
        (300, 29.97, {"fps": 2.0}, 20),
        (299, 30.0, {}, 18),
    ],
)
def test_number_of_frames(total, fps_in, options, expected):
    assert smart_nframes(total, fps_in, **options) == expected


@pytest.mark.parametrize(
    ("total", "options", "hint"),
    [
        (1, {}, "more"),
        (10, {"nframes": 12}, "fewer"),
        (10, {"nframes": 1}, "more"),
        (10, {"max_frames": 1}, "more"),
        (5, {"nframes": 6}, "fewer"),
    ],
)
def test_numbers_that_are_not_possible(total, options, hint):
    with pytest.raises(UnsupportedMedia, match=f"between 2 and {total} are possible") as caught:
        smart_nframes(total, 30.0, **options)
    assert hint in caught.value.hint


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="without fused multiply-add torch itself rounds otherwise",
)
def test_indices_are_those_of_torch():
    choose = random.Random(0)
    for _ in range(3000):
        total = choose.choice([choose.randint(2, 400), choose.randint(2, 200_000)])
        first = choose.choice([0, choose.randint(0, total - 2)])
        last = choose.choice([total - 1, choose.randint(first + 1, total - 1)])
        count = choose.randint(1, min(768, last - first + 1))
        expected = torch.linspace(first, last, count).round().long().tolist()
        assert frame_indices(first, last, count) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (0, 299)),
        (1.0, 2.0, (30, 60)),
        (1.01, 1.99, (31, 59)),
        (None, 99.0, (0, 299)),
        (-3.0, 1.0, (0, 30)),
        (9.9, None, (297, 299)),
        (2.0, 2.01, (60, 60)),
    ],
)
def test_parts_of_a_clip(start, end, expected):
    assert frame_range(300, 30.0, start_seconds=start, end_seconds=end) == expected


@pytest.mark.parametrize(("start", "end"), [(10.0, None), (99.0, None), (2.01, 2.02), (20.0, 30.0)])
def test_parts_without_a_frame(start, end):
    with pytest.raises(UnsupportedMedia, match=r"no frame begins between .*lasts 10\.00 s"):
        frame_range(300, 30.0, start_seconds=start, end_seconds=end)


def test_by_time_takes_the_nearest_frame_once():
    times = [0.0, 1.0, 2.0, 2.1, 2.2, 2.3, 3.0, 5.0, 8.0, 8.5]
    assert timed_indices(times, 2) == [0, 9]
    assert timed_indices(times, 4) == [0, 6, 7, 9]  # wanted 0, 2.83, 5.67, 8.5
    assert timed_indices(times, 10) == list(range(10))
    assert timed_indices([4.0], 1) == [0]
    # Wanted 0, 2.5, 5, 7.5 and 10 s: where there is no frame, the next free one serves.
    assert timed_indices([0.0, 10.0, 10.1, 10.2, 10.3, 10.4], 5) == [0, 1, 2, 3, 5]


# Where the picture changes


def clock(seconds: float, fps: float = 10.0) -> list[float]:
    return (np.arange(round(seconds * fps)) / fps).tolist()


def changes(times: list[float], *moments: float) -> list[float]:
    change = [0.0] * len(times)
    for moment in moments:
        change[min(range(len(times)), key=lambda index: abs(times[index] - moment))] = 1.0
    return change


def adapt(times, change, budget, minimum=4, most=4.0):
    found = adaptive_indices(times, change, budget=budget, minimum=minimum, most_per_second=most)
    assert found == sorted(set(found))
    assert min(minimum, len(times)) <= len(found) <= max(budget, 0)
    return found


def test_nothing_changes():
    times = clock(60)
    assert adapt(times, [0.0] * len(times), 120) == [0, 200, 399, 599]


def test_every_event_is_seen_before_any_is_seen_twice():
    times = clock(60)
    moments = [5.05 + 6 * number + step for number in range(9) for step in (0, 0.3, 0.6)]
    change = changes(times, *moments)
    for budget in (14, 16, 24, 40):
        shown = [times[index] for index in adapt(times, change, budget)]
        for number in range(9):
            start = 5 + 6 * number
            assert any(start <= moment <= start + 0.7 for moment in shown), (budget, number)


def test_more_events_than_frames_are_heard_throughout():
    times = clock(60)
    found = adapt(times, changes(times, *range(1, 60, 2)), 10)
    assert len(found) == 10
    assert {found[0], found[-1]} == {0, 599}
    assert max(np.diff(found)) < 120


def test_steady_motion_is_sampled_evenly_with_the_whole_budget():
    times = clock(30)
    found = adapt(times, [1.0] * len(times), 60)
    assert len(found) >= 56
    assert max(np.diff(found)) <= 8


def test_events_are_not_sampled_faster_than_asked():
    times = clock(20, fps=100)
    change = [float(8.0 <= time < 9.0) for time in times]
    inside = [index for index in adapt(times, change, 400) if 800 <= index < 900]
    assert 4 <= len(inside) <= 5


def test_long_still_stretches_of_a_changing_clip_are_looked_into():
    times = clock(100)
    found = adapt(times, changes(times, 3.0), 200)
    assert max(np.diff([times[index] for index in found])) <= 5.0
    assert len(found) % 2 == 0


def test_budgets_at_the_edge():
    times = clock(10)
    change = changes(times, 2, 4, 6, 8)
    assert adapt(times, change, 2, minimum=2) == [0, 99]
    assert len(adapt(times, change, 4)) == 4
    assert adapt([0.0, 0.1, 0.2], [0.0, 1.0, 1.0], 2, minimum=2) == [0, 2]
    assert adaptive_indices([0.0], [0.0], budget=4, minimum=4, most_per_second=4) == [0]
