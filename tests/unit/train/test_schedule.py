# SPDX-License-Identifier: Apache-2.0
import pytest
from pydantic import ValidationError

from finesight.train.schedule import ScheduleConfig, lr_scale


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
