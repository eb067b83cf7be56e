# SPDX-License-Identifier: Apache-2.0
"""What a pre-training recipe says. Each part is defined beside the code that obeys it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finesight.data.loader import LoaderConfig
from finesight.errors import ConfigError
from finesight.train.optim import OptimConfig
from finesight.train.schedule import ScheduleConfig


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSection(_Section):
    """Where the network comes from."""

    folder: Path = Field(
        description="folder with config.json, tokenizer.json and preprocessor_config.json"
    )
    start_from: Path | None = Field(
        None,
        description="folder of safetensors to start from, or a run folder whose averaged weights are taken",
    )
    seed: int = Field(0, description="seed of the weights when starting from nothing")


class LossSection(_Section):
    """Weights of the losses; 0 leaves a part out of the computation."""

    tokens: float = Field(1.0, ge=0, description="next token")
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how far short answers are kept from drowning in long ones: 0 weighs all tokens alike, 1 all "
        "answers, 0.5 lies between (square averaging)",
    )
    reaches_vision: bool = Field(
        True,
        description="whether the next-token loss trains the vision tower; False protects a young one",
    )
    characters: float = Field(0.0, ge=0, description="temporary head: characters in each cell")
    objects: float = Field(0.0, ge=0, description="temporary head: object over each cell")
    boxes: float = Field(0.0, ge=0, description="temporary head: edges of that object")
    places: float = Field(
        0.0,
        ge=0,
        description="temporary head inside the decoder: place, row and column of each cell, edges of its object and of "
        "the object that an answer speaks of; needs `tokens`",
    )

    names: float = Field(
        0.0,
        ge=0,
        description="temporary head inside the decoder: name of each cell's object, as tokens; needs `tokens`",
    )
    looks: float = Field(
        0.0,
        ge=0,
        description="attention of the decoder: whether it looks at the name asked for and at the object that it writes "
        "about; needs `tokens`",
    )

    @model_validator(mode="after")
    def _decoder_runs(self) -> LossSection:
        for name in ("places", "names", "looks"):
            if getattr(self, name) and not self.tokens:
                raise ConfigError(
                    f"loss.{name} is {getattr(self, name)}, but loss.tokens is 0: the decoder that it trains "
                    "does not run",
                    hint=f"give loss.tokens a weight, or set loss.{name} = 0",
                )
        return self


class RunSection(_Section):
    """Length, precision and what is written."""

    folder: Path = Field(description="where checkpoints and the log go")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="autocast dtype; weights stay float32"
    )
    device: str = Field("cpu", description="torch device; auto takes CUDA where it is")
    accumulate: int = Field(1, ge=1, description="packs per optimizer step")
    average_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights")
    checkpoint_minutes: float = Field(5.0, gt=0, description="time between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="newest checkpoints kept")
    log_every: int = Field(20, ge=1, description="steps between log lines")
    evaluate_every: int = Field(
        0, ge=0, description="steps between evaluations; 0 only evaluates at the end"
    )
    max_minutes: float | None = Field(
        None, gt=0, description="stop and save after this time; None runs all steps"
    )


class PretrainRecipe(_Section):
    """One pre-training run."""

    kind: Literal["pretrain"] = Field(description="what this recipe is for")
    model: ModelSection
    data: LoaderConfig
    optim: OptimConfig
    schedule: ScheduleConfig
    loss: LossSection = LossSection()
    run: RunSection
