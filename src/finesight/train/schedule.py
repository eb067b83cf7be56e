# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules: warm-up, then a stable phase and a linear decay (WSD), or half a cosine.

In contrast to a cosine schedule, the stable phase does not depend on the length of the run: a run can be prolonged, or
started from weights alone after a short warm-up, and the decay is added for a release. Either follows the steps, a time
budget or the epochs.
Sources: WSD, Hu et al. 2024, MiniCPM, arXiv 2404.06395; cosine, Loshchilov and Hutter 2017, SGDR, arXiv 1608.03983.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from finesight.config.settings import Settings


class ScheduleConfig(Settings):
    """Shape, and lengths of the phases in steps, or as shares of a time budget or of the epochs."""

    shape: Literal["wsd", "cosine"] = Field(
        "wsd",
        description="wsd: stable, then a linear decay over decay_steps; cosine: falls from the warm-up on",
    )
    total_steps: int = Field(ge=1, description="optimizer steps of the whole run")
    warmup_steps: int = Field(
        50, ge=0, description="steps over which the rate rises linearly from 0"
    )
    decay_steps: int = Field(0, ge=0, description="last steps, over which the rate falls linearly")
    total_minutes: float | None = Field(
        None,
        gt=0,
        description="time budget: the phases keep their shares of total_steps, at any speed, and the run ends after "
        "this time",
    )
    over_epochs: bool = Field(
        False,
        description="the phases keep their shares of total_steps over data.epochs, however many steps these have",
    )
    final_ratio: float = Field(
        0.02, ge=0, le=1, description="final rate, relative to the peak rate"
    )

    @model_validator(mode="after")
    def _fits(self) -> ScheduleConfig:
        if self.warmup_steps + self.decay_steps > self.total_steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} + decay_steps {self.decay_steps} "
                f"exceed total_steps {self.total_steps}"
            )
        if self.shape == "cosine" and self.decay_steps:
            raise ValueError(
                f"shape cosine has no decay_steps, but {self.decay_steps} are given: it falls from the warm-up on"
            )
        if self.over_epochs and self.total_minutes is not None:
            raise ValueError(
                f"total_minutes = {self.total_minutes:g} and over_epochs = true are both given: choose one"
            )
        return self


def schedule_step(
    step: int, seconds: float, config: ScheduleConfig, *, epochs_done: float = 0.0
) -> int:
    """Effective step of the schedule; with a time budget or epochs, the fraction that is done x total steps.

    Args:
        step: optimizer steps done.
        seconds: training time so far, including that before a resume.
        config: the schedule.
        epochs_done: share of all epochs that is done.

    Worked example, 100 steps in 10 minutes: after 3 minutes it is 30, for any number of steps done. The warm-up is
    counted in steps; a time budget that is over ends it, too.
    """
    if config.over_epochs:
        share = epochs_done
    elif config.total_minutes is not None:
        share = seconds / (60 * config.total_minutes)
        if share >= 1:
            return config.total_steps
    else:
        return step
    if step < config.warmup_steps:
        return step
    return max(int(config.total_steps * share), config.warmup_steps)


def lr_scale(step: int, config: ScheduleConfig) -> float:
    """Factor on every group's peak learning rate at `step`, counted from 0.

    Worked example, 10 steps with 2 of warm-up and 4 of decay to 0: 0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25. As a
    cosine without warm-up, 4 steps: 1, 0.85, 0.5, 0.15.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    remaining = config.total_steps - step
    if config.shape == "cosine":
        share = max(remaining, 0) / max(config.total_steps - config.warmup_steps, 1)
        return config.final_ratio + (1 - config.final_ratio) * 0.5 * (1 - math.cos(math.pi * share))
    if config.decay_steps and remaining < config.decay_steps:
        share = max(remaining, 0) / config.decay_steps
        return config.final_ratio + (1 - config.final_ratio) * share
    return 1.0
