# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest

from finesight.cli.train_run import _share_done
from finesight.train.schedule import ScheduleConfig


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(None, "/200"), (50.0, ", 31% of 50 minutes"), (7.5, ", 31% of 7.5 minutes")],
)
def test_progress_counts_what_ends_the_run(minutes, shown):
    schedule = ScheduleConfig(total_steps=200, warmup_steps=5, total_minutes=minutes)
    trainer = SimpleNamespace(schedule=schedule, schedule_step=62)
    assert _share_done(trainer) == shown
