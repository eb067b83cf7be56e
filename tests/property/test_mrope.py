# SPDX-License-Identifier: Apache-2.0
"""M-RoPE positions against a slow literal twin in exact fractions."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from finesight.processor.mrope import VisionSpan, mrope_position_ids
from tests.support.paper_positions import paper_positions

CELLS = st.integers(1, 6)


@st.composite
def spans(draw):
    rows, columns = draw(CELLS), draw(CELLS)
    if draw(st.booleans()):
        return VisionSpan((1, rows, columns))
    # Quarters and thirds of a second: half of them stand on a position, half between two.
    steps = draw(st.lists(st.integers(0, 40), min_size=1, max_size=5))
    unit = draw(st.sampled_from([0.25, 1 / 3, 0.5, 1.001]))
    times, now = [], 0.0
    for step in steps:
        times.append(now)
        now += step * unit
    return VisionSpan((len(times), rows, columns), tuple(times))


RUNS = st.lists(st.integers(1, 9) | spans(), min_size=1, max_size=6)


@given(runs=RUNS, tokens_per_second=st.sampled_from([1, 2, 4, 25]))
def test_equal_to_the_literal_twin(runs, tokens_per_second):
    positions, delta = mrope_position_ids(runs, tokens_per_second=tokens_per_second)
    plain = [run if isinstance(run, int) else (run.cells, run.position_seconds) for run in runs]
    expected, expected_delta = paper_positions(plain, tokens_per_second)
    assert torch.equal(positions, torch.tensor(expected).T)
    assert delta == expected_delta


@given(runs=RUNS)
def test_no_position_is_taken_twice_by_text(runs):
    positions, delta = mrope_position_ids([*runs, 2], tokens_per_second=2)
    assert (positions[:, -2] > positions[:, :-2].max()).all()
    assert int(positions[0, -1]) + 1 == positions.shape[1] + delta
