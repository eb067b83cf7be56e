# SPDX-License-Identifier: Apache-2.0
"""Lines of a training on standard error, and its bar in a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from finesight.cli.train_progress import TrainProgress
from finesight.train.schedule import ScheduleConfig

VALUES = {"loss": 1.23456, "tokens_per_second": 900.0, "mfu": 0.4, "lr_scale": 1.0}


def shown(schedule, share, *, is_terminal):
    """What is written of one report."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=200)
    trainer = SimpleNamespace(schedule=schedule, share_done=share, state=SimpleNamespace(step=0))
    with TrainProgress(trainer, console) as progress:
        progress.report(20, VALUES)
    return out.getvalue()


@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        (ScheduleConfig(total_steps=100), "step 20/100  "),
        (ScheduleConfig(total_steps=100, total_minutes=50), "step 20, 31% of 50 minutes  "),
        (ScheduleConfig(total_steps=100, over_epochs=True), "step 20, 31% of the epochs  "),
    ],
)
def test_a_line_says_how_far_the_run_is(schedule, end):
    text = shown(schedule, 0.31, is_terminal=False)
    assert text == f"{end}loss 1.235  tokens_per_second 900  mfu 0.4  lr_scale 1\n"


def test_a_terminal_gets_a_bar_with_the_time_left():
    text = shown(ScheduleConfig(total_steps=100), 0.2, is_terminal=True)
    assert "20%" in text
    assert "-:--:--" in text or "0:0" in text
    assert "lr_scale" in text
