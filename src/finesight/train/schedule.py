# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedule: warm up, stay, decay (WSD).

WSD is chosen over cosine because its long flat part has no end written into it: a run can be prolonged, or resumed from
weights alone after a short warm-up, and the decay is run when a model is to be shipped.
Source: Hu et al. 2024, MiniCPM, arXiv 2404.06395.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ScheduleConfig(BaseModel):
    """Steps of the three phases, or their shares of a stretch of time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total_steps: int = Field(ge=1, description="optimizer steps of the whole run")
    warmup_steps: int = Field(
        50, ge=0, description="steps over which the rate rises linearly from 0"
    )
    decay_steps: int = Field(0, ge=0, description="last steps, over which the rate falls linearly")
    total_minutes: float | None = Field(
        None,
        gt=0,
        description="length of the whole run by the clock: the phases keep their shares of total_steps, whatever a "
        "step takes, and the run ends with the time; for machines held for a fixed time",
    )
    final_ratio: float = Field(0.02, ge=0, le=1, description="rate at the end over the peak rate")

    @model_validator(mode="after")
    def _fits(self) -> ScheduleConfig:
        if self.warmup_steps + self.decay_steps > self.total_steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} + decay_steps {self.decay_steps} "
                f"exceed total_steps {self.total_steps}"
            )
        return self


def schedule_step(step: int, seconds: float, config: ScheduleConfig) -> int:
    """Place in the schedule: the step itself, or, by the clock, the step that such a share of the time stands for.

    Args:
        step: optimizer steps done.
        seconds: time trained so far, over all sessions of the run.
        config: the schedule.

    Worked example, 100 steps in 10 minutes: after 3 minutes the place is 30, however many steps were done; but the
    warm-up is always counted in steps.
    """
    if config.total_minutes is None or step < config.warmup_steps:
        return step
    return max(int(config.total_steps * seconds / (60 * config.total_minutes)), config.warmup_steps)


def lr_scale(step: int, config: ScheduleConfig) -> float:
    """Factor on every group's peak learning rate at `step`, counted from 0.

    Worked example, 10 steps with 2 of warm-up and 4 of decay to 0: 0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    left = config.total_steps - step
    if config.decay_steps and left < config.decay_steps:
        share = max(left, 0) / config.decay_steps
        return config.final_ratio + (1 - config.final_ratio) * share
    return 1.0
