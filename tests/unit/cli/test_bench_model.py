# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from finesight.cli.bench_model import (
    Comparison,
    bench_load,
    bench_windows,
    best_in_turns,
    compare_with_transformers,
    shortened_3b,
)


def test_a_speed_is_met_from_below_and_a_cost_from_above():
    faster = Comparison("vision", 2.0, 3.0, 1.2, at_least=True)
    assert faster.ratio == 1.5
    assert faster.is_met
    heavier = Comparison("memory", 3.0, 2.0, 1.05, at_least=False)
    assert heavier.ratio == 1.5
    assert not heavier.is_met
    assert str(heavier) == "memory: 3 against 2, ratio 1.50 (bar <= 1.05)"


def test_sides_take_turns_and_the_first_round_does_not_count():
    calls = []
    best = best_in_turns([lambda: calls.append("a"), lambda: calls.append("b")], 2)
    assert calls == ["a", "b"] * 3
    assert all(0 <= seconds < 1 for seconds in best)


@pytest.mark.parametrize(("blocks", "full"), [(32, (7, 15, 23, 31)), (8, (7,)), (2, (1,))])
def test_a_shortened_shape_keeps_one_full_block_in_eight(blocks, full):
    config = shortened_3b(blocks=blocks, layers=3)
    assert config.vision.full_attention_layers == full
    assert config.text.num_hidden_layers == 3
    assert config.text.hidden_size == 2048


def report(comparisons):
    for comparison in comparisons:
        print(comparison)  # noqa: T201  # what `make bench` is for
    assert all(comparison.is_met for comparison in comparisons)


@pytest.mark.bench
def test_speed_beside_transformers():
    report(compare_with_transformers())


@pytest.mark.bench
def test_windowed_blocks_are_linear_in_patches():
    report([bench_windows()])


@pytest.mark.bench
def test_loading_beside_reading():
    report(bench_load())
