# SPDX-License-Identifier: Apache-2.0
"""Defaults of fine-tuning: the recipe for a model, its data and a few choices.

As in the report's SFT the vision tower is frozen. The decoder gets LoRA adapters. The merger is trained at a lower
rate, except for large models, whose merger already suits their decoder.

Small data sets are repeated: about 1,000 samples are drawn, but at most ten and at least one epoch. The rate rises
linearly over 5 % of the run and then falls linearly to 5 % of its peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch

from finesight.config.model import ModelConfig
from finesight.data.loader import LoaderConfig
from finesight.data.mixture import SourceConfig
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.train.epochs import Lengths, measure
from finesight.train.optim import GroupRule, OptimConfig
from finesight.train.recipe import (
    HeldBackSection,
    LoraSection,
    LossSection,
    ModelSection,
    RunSection,
    SftRecipe,
)
from finesight.train.schedule import ScheduleConfig

SAMPLES, FEWEST_EPOCHS, MOST_EPOCHS = 1000, 1.0, 10.0
FEWEST_SAMPLES = 8
"""Samples of an optimizer step, at least; longer samples are accumulated over several packs."""
EVALUATIONS = 8
"""Evaluations of the held-back loss in a run."""
PATIENCE = 3
WARMUP, FINAL = 0.05, 0.05


@dataclass(frozen=True, slots=True)
class Preset:
    """Defaults for decoders up to a size.

    Attributes:
        below: parameters of the decoder; the first preset that is larger applies.
        rate: peak learning rate of adapters.
        full_rate: peak learning rate of all weights.
        merger_rate: share of the rate at which the merger is trained; 0 freezes it.
        pack_tokens: tokens of a pack.
        checkpoint_minutes: time between checkpoints.
    """

    below: float
    rate: float
    full_rate: float
    merger_rate: float
    pack_tokens: int
    checkpoint_minutes: float


PRESETS = (
    Preset(5e7, 1e-3, 1e-4, 0.5, 1024, 0.5),
    Preset(1e9, 1e-3, 1e-4, 0.3, 2048, 1.0),
    Preset(5e9, 2e-4, 1e-5, 0.1, 4096, 5.0),
    Preset(float("inf"), 1e-4, 1e-5, 0.0, 8192, 10.0),
)
RANK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SftChoices:
    """What the user chose; None takes the default for the model.

    Attributes:
        epochs: passes over the training records.
        rate: peak learning rate of the decoder's weights or adapters.
        lora_rank: rank of the adapters.
        is_full: whether all weights of the decoder are trained, without adapters.
        minutes: time budget of the training instead of epochs.
        seed: of order, augmentation and adapters.
        device: torch device.
    """

    epochs: float | None = None
    rate: float | None = None
    lora_rank: int | None = None
    is_full: bool = False
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"


def sft_recipe(
    model_folder: Path,
    run_folder: Path,
    sources: tuple[SourceConfig, ...],
    held_back: HeldBackSection | None,
    choices: SftChoices,
) -> SftRecipe:
    """The recipe of a fine-tuning run.

    Args:
        model_folder: the model to fine-tune.
        run_folder: folder of the run.
        sources: shards; the first has the user's records.
        held_back: records of the early stop; None trains to the end.
        choices: of the user.

    Raises:
        DataError: a source has no data, or it is corrupt.
    """
    processor = Processor.from_folder(model_folder)
    preset = preset_for(processor.model_config)
    data = LoaderConfig(
        source=sources,
        pack_tokens=preset.pack_tokens,
        pack_patches=4 * preset.pack_tokens,
        jitter=0.3,
        seed=choices.seed,
    )
    lengths = measure(data, processor)
    longest = max(preset.pack_tokens, lengths.longest_tokens)
    data = data.model_copy(update={"pack_tokens": longest, "pack_patches": 4 * longest})
    accumulate = max(1, ceil(FEWEST_SAMPLES * lengths.tokens / data.pack_tokens))
    steps = _steps(choices, data, lengths, accumulate)
    is_full = choices.is_full
    rate = choices.rate or (preset.full_rate if is_full else preset.rate)
    return SftRecipe(
        kind="sft",
        model=ModelSection(folder=model_folder, start_from=model_folder, seed=choices.seed),
        data=data,
        optim=OptimConfig(group=_rules(preset, rate, is_full=is_full), betas=(0.9, 0.99)),
        schedule=_schedule(steps, choices.minutes),
        loss=LossSection(tokens=1.0),
        lora=None if is_full else _lora(choices.lora_rank or RANK),
        held_back=held_back,
        run=RunSection(
            folder=run_folder,
            device=choices.device,
            accumulate=accumulate,
            average_decay=round(min(max(1 - 10 / steps, 0.5), 0.999), 3),
            checkpoint_minutes=preset.checkpoint_minutes,
            log_every=max(1, steps // 20),
            evaluate_every=max(1, ceil(steps / EVALUATIONS)) if held_back else 0,
        ),
    )


def preset_for(config: ModelConfig) -> Preset:
    """Defaults for the size of a model's decoder."""
    with torch.device("meta"):
        model = VisionLanguageModel(config)
    size = sum(value.numel() for value in model.parameters())
    size -= sum(value.numel() for value in model.visual.parameters())
    return next(preset for preset in PRESETS if size < preset.below)


def default_epochs(num_records: int) -> float:
    """Epochs for a number of training records.

    Worked example: 5.6 for 180 records, 2 for 500, 1 for 10,000.
    """
    return round(min(max(SAMPLES / num_records, FEWEST_EPOCHS), MOST_EPOCHS), 1)


def _steps(choices: SftChoices, data: LoaderConfig, lengths: Lengths, accumulate: int) -> int:
    epochs = choices.epochs or default_epochs(lengths.num_records)
    return max(4, ceil(epochs * lengths.steps_per_epoch(data, accumulate)))


def _schedule(steps: int, minutes: float | None) -> ScheduleConfig:
    warmup = max(1, round(WARMUP * steps))
    return ScheduleConfig(
        total_steps=steps,
        warmup_steps=warmup,
        decay_steps=steps - warmup,
        total_minutes=minutes,
        final_ratio=FINAL,
    )


def _lora(rank: int) -> LoraSection:
    return LoraSection(rank=rank, alpha=float(rank), targets=("model.layers.*",))


def _rules(preset: Preset, rate: float, *, is_full: bool) -> tuple[GroupRule, ...]:
    """The merger at its share of the rate, the tower frozen, then the decoder or its adapters."""
    shares = {"model.visual.merger.*": preset.merger_rate, "model.visual.*": 0.0}
    if is_full:
        shares["*"] = 1.0
    else:
        shares |= {"model.model.layers.*.lora_?.weight": 1.0, "*": 0.0}
    return tuple(
        GroupRule(match=match, algorithm="adamw" if share else "frozen", lr=rate * share)
        for match, share in shares.items()
    )
