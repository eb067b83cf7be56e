# SPDX-License-Identifier: Apache-2.0
"""What a training recipe says. Each part is defined beside the code that obeys it.

`TrainRecipe` is a recipe of any kind that `finesight train` takes; its kind stands in `kind`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

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
    """Weights of the losses; 0 leaves a loss out of the computation. Each is a mean over its targets in a step."""

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
        description="whether the next-token loss trains the vision tower; False: do not train an immature tower on it",
    )
    characters: float = Field(
        0.0, ge=0, description="dense supervision: characters in the cell of each visual token"
    )
    objects: float = Field(0.0, ge=0, description="dense supervision: object over the cell")
    boxes: float = Field(0.0, ge=0, description="dense supervision: edges of that object")

    @model_validator(mode="after")
    def _learns_something(self) -> LossSection:
        if not (self.tokens or self.characters or self.objects or self.boxes):
            raise ConfigError(
                "every weight of [loss] is 0: there is nothing to learn",
                hint="give loss.tokens, loss.characters, loss.objects or loss.boxes a weight",
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
    gradient_checkpointing: bool = Field(
        False,
        description="recompute each block in the backward pass: less memory, a third more time",
    )
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


TrainRecipe: TypeAlias = PretrainRecipe
"""A recipe of any kind that `finesight train` takes. A further kind joins as
`Annotated[PretrainRecipe | Other, Field(discriminator="kind")]`, which `finesight.config.load` reads as well."""
