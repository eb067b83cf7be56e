# SPDX-License-Identifier: Apache-2.0
"""Schema of training recipes; each section is defined in the module that uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from finesight.config.settings import Settings
from finesight.data.loader import LoaderConfig
from finesight.errors import ConfigError
from finesight.train.contrastive import ContrastiveSection
from finesight.train.guard import GuardConfig
from finesight.train.optim import OptimConfig
from finesight.train.parallel import ParallelSection
from finesight.train.schedule import ScheduleConfig


class ModelSection(Settings):
    """Configuration and initial weights of the model."""

    folder: Path = Field(
        description="folder with config.json, tokenizer.json and preprocessor_config.json"
    )
    start_from: Path | None = Field(
        None,
        description="initial weights: a folder of safetensors, a folder of --export-parts, or a run folder, whose "
        "averaged weights are used",
    )
    seed: int = Field(0, description="seed of the random initialisation")


class LoraGroup(Settings):
    """Layers whose adapters have another rank or scale."""

    targets: tuple[str, ...] = Field(
        min_length=1, description="as lora.targets; layers of an earlier group are left out"
    )
    rank: int | None = Field(None, ge=1, description="rank; None takes lora.rank")
    alpha: float | None = Field(None, gt=0, description="scale times rank; None takes lora.alpha")


class LoraSection(Settings):
    """Low-rank adapters; the layers under them should be frozen by an optimizer rule."""

    rank: int = Field(16, ge=1, description="rank of every adapter")
    alpha: float = Field(
        16.0, gt=0, description="an adapter's output is multiplied by alpha / rank"
    )
    targets: tuple[str, ...] = Field(
        ("model.layers.*",),
        min_length=1,
        description="linear layers with an adapter: language, merger, vision, or shell patterns of their names",
    )
    group: tuple[LoraGroup, ...] = Field(
        (), description="layers, besides those of targets, with another rank or alpha"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of an adapter's inputs that are zeroed in training"
    )
    dora: bool = Field(False, description="learn the length of each row of the weights, too (DoRA)")
    rslora: bool = Field(False, description="multiply by alpha / sqrt(rank) instead")
    base: Literal["float32", "bfloat16", "int8", "int4"] = Field(
        "float32",
        description="format of the frozen weights. All but float32 load them from model.start_from at every start and "
        "leave them out of checkpoints; int8 and int4 round the language model (QLoRA), the rest is in run.precision",
    )


class LossSection(Settings):
    """Weights of the losses. A loss is the mean over its targets in a step; with weight 0 it is not computed."""

    tokens: float = Field(1.0, ge=0, description="next-token prediction")
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="weight of short answers against long ones: 0 weighs all tokens equally, 1 all answers, 0.5 is "
        "square averaging",
    )
    reaches_vision: bool = Field(
        True,
        description="whether the next-token loss trains the vision tower; False for a tower that is not trained yet",
    )
    align: float = Field(
        0.0,
        ge=0,
        description="squared error between visual tokens and the decoder's embeddings of the characters or the object "
        "in their cells",
    )
    language: float = Field(
        0.0,
        ge=0,
        description="divergence from the decoder without adapters, on texts of sources with learn = false",
    )
    contrastive: float = Field(
        0.0, ge=0, description="comparison of pictures with their texts; see [contrastive]"
    )
    characters: float = Field(
        0.0, ge=0, description="dense supervision: characters in the cell of each visual token"
    )
    objects: float = Field(
        0.0, ge=0, description="dense supervision: object over the centre of the cell"
    )
    boxes: float = Field(
        0.0, ge=0, description="dense supervision: edges of that object, relative to the centre"
    )

    @model_validator(mode="after")
    def _learns_something(self) -> LossSection:
        dense = (self.characters, self.objects, self.boxes)
        weights = (self.tokens, self.align, self.contrastive, *dense)
        if not any(weights):
            raise ConfigError(
                "every weight of [loss] is 0: there is nothing to learn",
                hint="set loss.tokens, align, contrastive, characters, objects or boxes above 0",
            )
        return self


class RunSection(Settings):
    """Device, precision, checkpoints, log and evaluations."""

    folder: Path = Field(description="folder for checkpoints and the log")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="autocast dtype; weights stay float32"
    )
    device: str = Field("cpu", description="torch device; auto uses CUDA if available")
    accumulate: int = Field(1, ge=1, description="packs per optimizer step")
    gradient_checkpointing: bool = Field(
        False,
        description="recompute each block in the backward pass: less memory, a third more time",
    )
    average_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights")
    checkpoint_minutes: float = Field(5.0, gt=0, description="time between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="number of newest checkpoints to keep")
    export_saves: bool = Field(
        False,
        description="whether each checkpoint is also written as a model folder, exports/step_N in the run's folder",
    )
    log_every: int = Field(20, ge=1, description="steps between log lines")
    evaluate_every: int = Field(
        0, ge=0, description="steps between evaluations; 0 evaluates only at the end"
    )
    loggers: tuple[Literal["tensorboard", "wandb", "wandb_offline"], ...] = Field(
        (), description="loggers besides log.jsonl; they write into the folder of the run"
    )
    guard: GuardConfig = GuardConfig()
    max_minutes: float | None = Field(
        None, gt=0, description="stop and save after this time; None has no limit"
    )


class HeldBackSection(Settings):
    """Records of the first source that are not trained on: the run ends if their loss no longer falls.

    The weights of the lowest loss are kept.
    """

    path: Path = Field(description="folder of shards")
    only: Path | None = Field(
        None, description="JSON file with the numbers of the records; None takes all"
    )
    patience: int = Field(
        3, ge=1, description="evaluations without a lower loss after which the run ends"
    )


class _Sections(Settings):
    """Sections that all kinds of training recipes share."""

    model: ModelSection
    data: LoaderConfig
    optim: OptimConfig
    schedule: ScheduleConfig
    loss: LossSection = LossSection()
    lora: LoraSection | None = None
    contrastive: ContrastiveSection = ContrastiveSection()
    parallel: ParallelSection = ParallelSection()
    run: RunSection

    @model_validator(mode="after")
    def _has_adapters_to_compare(self) -> Self:
        if self.loss.language and self.lora is None:
            raise ConfigError(
                f"loss.language is {self.loss.language:g} without [lora]",
                hint="the loss compares the decoder with and without adapters: add [lora], or set loss.language = 0",
            )
        if self.loss.language and all(source.learn for source in self.data.source):
            raise ConfigError(
                f"loss.language is {self.loss.language:g}, but every source has learn = true: no text is compared",
                hint="set learn = false for the sources whose texts only keep the language",
            )
        return self

    @model_validator(mode="after")
    def _has_epochs_to_follow(self) -> Self:
        if self.schedule.over_epochs and self.data.epochs is None:
            raise ConfigError(
                "schedule.over_epochs is true, but data.epochs is not given",
                hint="set data.epochs to the number of epochs",
            )
        return self

    @model_validator(mode="after")
    def _has_classes_to_align(self) -> Self:
        if self.loss.align and not (self.data.characters or self.data.objects):
            raise ConfigError(
                f"loss.align is {self.loss.align:g}, but data.characters and data.objects are empty",
                hint="name the characters or objects that visual tokens learn, or set loss.align = 0",
            )
        return self


class PretrainRecipe(_Sections):
    """One pre-training run."""

    kind: Literal["pretrain"] = Field(description="kind of recipe")


class SftRecipe(_Sections):
    """Supervised fine-tuning: next-token prediction of the assistant's messages, with an early stop."""

    kind: Literal["sft"] = Field(description="kind of recipe")
    epochs: float | None = Field(
        None,
        gt=0,
        description="passes over the records of the first source; they replace schedule.total_steps, of which warm-up "
        "and decay keep their shares. None takes the steps",
    )
    held_back: HeldBackSection | None = None


TrainRecipe: TypeAlias = Annotated[PretrainRecipe | SftRecipe, Field(discriminator="kind")]
"""All recipes of `finesight train`."""
