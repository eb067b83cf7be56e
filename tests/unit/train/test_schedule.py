# SPDX-License-Identifier: Apache-2.0
import math

import pytest
from pydantic import ValidationError

from finesight.train.schedule import ScheduleConfig, lr_scale, schedule_step


def test_worked_example() -> None:
    config = ScheduleConfig(total_steps=10, warmup_steps=2, decay_steps=4, final_ratio=0.0)
    scales = [lr_scale(step, config) for step in range(10)]
    assert scales == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_decay_ends_at_the_final_ratio() -> None:
    config = ScheduleConfig(total_steps=100, warmup_steps=0, decay_steps=50, final_ratio=0.1)
    assert lr_scale(0, config) == 1.0
    assert lr_scale(100, config) == pytest.approx(0.1)
    assert lr_scale(500, config) == pytest.approx(0.1)


def test_phases_must_fit() -> None:
    with pytest.raises(ValidationError, match="exceed total_steps"):
        ScheduleConfig(total_steps=10, warmup_steps=6, decay_steps=5)


def test_with_a_time_budget() -> None:
    config = ScheduleConfig(total_steps=100, warmup_steps=5, decay_steps=40, total_minutes=10)
    assert schedule_step(3, 300.0, config) == 3  # the warm-up is counted in steps
    assert schedule_step(12, 0.0, config) == 5
    assert schedule_step(12, 180.0, config) == schedule_step(9000, 180.0, config) == 30
    assert schedule_step(12, 600.0, config) == 100
    assert schedule_step(3, 600.0, config) == 100  # a budget that is over ends the warm-up, too


def test_without_a_time_budget_the_step_counts() -> None:
    config = ScheduleConfig(total_steps=100, warmup_steps=5)
    assert schedule_step(77, 1e9, config) == 77


def test_a_cosine_falls_from_the_warm_up_to_the_end():
    config = ScheduleConfig(total_steps=6, warmup_steps=2, shape="cosine", final_ratio=0.2)
    cosine = [0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(5)]
    found = [lr_scale(step, config) for step in range(7)]
    assert found == pytest.approx([0.5, 1.0, *cosine])
    assert lr_scale(100, config) == pytest.approx(0.2)


def test_phases_over_epochs():
    config = ScheduleConfig(total_steps=100, warmup_steps=5, decay_steps=50, over_epochs=True)
    assert schedule_step(3, 1e6, config, epochs_done=0.5) == 3  # still the warm-up
    assert schedule_step(7, 1e6, config, epochs_done=0.01) == 5
    assert schedule_step(7, 1e6, config, epochs_done=0.75) == 75
    assert lr_scale(75, config) < 0.6


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"shape": "cosine", "decay_steps": 3}, "has no decay_steps"),
        ({"over_epochs": True, "total_minutes": 5.0}, "choose one"),
    ],
)
def test_settings_that_contradict(values, said):
    with pytest.raises(ValueError, match=said):
        ScheduleConfig(total_steps=100, warmup_steps=0, **values)
