# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedule: warm up, stay, decay (WSD).

WSD is chosen over cosine because its long flat part has no end written into it: a run can be prolonged, or resumed from
weights alone after a short warm-up, and the decay is run when a model is to be shipped.
Source: Hu et al. 2024, MiniCPM, arXiv 2404.06395.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ScheduleConfig(BaseModel):
    """Steps of the three phases."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total_steps: int = Field(ge=1, description="optimizer steps of the whole run")
    warmup_steps: int = Field(
        50, ge=0, description="steps over which the rate rises linearly from 0"
    )
    decay_steps: int = Field(0, ge=0, description="last steps, over which the rate falls linearly")
    final_ratio: float = Field(0.02, ge=0, le=1, description="rate at the end over the peak rate")

    @model_validator(mode="after")
    def _fits(self) -> ScheduleConfig:
        if self.warmup_steps + self.decay_steps > self.total_steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} + decay_steps {self.decay_steps} "
                f"exceed total_steps {self.total_steps}"
            )
        return self


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
