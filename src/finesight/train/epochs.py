# SPDX-License-Identifier: Apache-2.0
"""Number of optimizer steps of a number of epochs, from the lengths of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from finesight.batch import EncodedSample
from finesight.data.encode import TrainingEncoder
from finesight.data.loader import LoaderConfig
from finesight.data.mixture import as_drawn
from finesight.data.shards import ShardSet
from finesight.errors import ConfigError, RecordInvalid
from finesight.processor.processor import Processor
from finesight.train.recipe import SftRecipe
from finesight.train.schedule import ScheduleConfig

MOST_MEASURED = 64
"""Records of each source that are encoded to measure their lengths, evenly spaced."""

FILLED = 0.97
"""Share of a pack that is filled when its samples are chosen from a window of ready ones."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean lengths of the samples of a mixture.

    Attributes:
        tokens: of a sample, text and visual.
        patches: of a sample.
        longest_tokens: of the longest measured sample.
        num_records: records of the first source.
        share: share of the draws that the first source has.
    """

    tokens: float
    patches: float
    longest_tokens: int
    num_records: int
    share: float

    def steps_per_epoch(self, data: LoaderConfig, accumulate: int) -> float:
        """Optimizer steps in which every record of the first source is drawn once."""
        by_tokens = data.pack_tokens / self.tokens
        by_patches = data.pack_patches / self.patches if self.patches else by_tokens
        fitting = min(by_tokens, by_patches)
        # Without a window to choose from, half a sample of each pack stays empty on average.
        samples = max(1.0, FILLED * fitting if data.window else fitting - 0.5)
        return self.num_records / self.share / (samples * accumulate)


def measure(data: LoaderConfig, processor: Processor) -> Lengths:
    """Encode some records of each source; the loader counts and reports those that cannot be encoded.

    Raises:
        DataError: a source has no data, or it is corrupt.
        RecordInvalid: none of the records of a source can be encoded.
    """
    encoder = TrainingEncoder(data, processor)
    means: list[tuple[float, float]] = []
    longest = 0
    sizes = []
    for source in data.source:
        records = ShardSet(source.path, only=source.only)
        sizes.append(len(records))
        spacing = max(1, -(-len(records) // MOST_MEASURED))
        samples: list[EncodedSample] = []
        for number in range(0, len(records), spacing):
            record = as_drawn(records[number], source)
            try:
                samples.append(encoder.encode(record, np.random.default_rng(number)).sample)
            except RecordInvalid:
                if not samples and number + spacing >= len(records):
                    raise
        lengths = [sample.input_ids.numel() for sample in samples]
        counts = [sum(item.patches.shape[0] for item in sample.vision) for sample in samples]
        means.append((sum(lengths) / len(lengths), sum(counts) / len(counts)))
        longest = max(longest, *lengths)
    weights = np.array([source.weight for source in data.source])
    if data.weigh_by == "tokens":
        weights = weights / np.array([tokens for tokens, _ in means])
    shares = weights / weights.sum()
    tokens, patches = shares @ np.array(means)
    return Lengths(float(tokens), float(patches), longest, sizes[0], float(shares[0]))


def with_steps(recipe: SftRecipe, processor: Processor) -> SftRecipe:
    """The recipe with the steps of its epochs; warm-up and decay keep their shares of the run.

    Raises:
        ConfigError: both epochs and a time budget are given.
        DataError: a source has no data, or it is corrupt.
    """
    if recipe.epochs is None:
        return recipe
    if recipe.schedule.total_minutes is not None:
        raise ConfigError(
            f"epochs = {recipe.epochs:g} and schedule.total_minutes = {recipe.schedule.total_minutes:g} are both given",
            hint="give one of them; run.max_minutes stops a run of a number of epochs after a time",
        )
    lengths = measure(recipe.data, processor)
    steps = recipe.epochs * lengths.steps_per_epoch(recipe.data, recipe.run.accumulate)
    schedule = scaled(recipe.schedule, max(1, ceil(steps)))
    return recipe.model_copy(update={"epochs": None, "schedule": schedule})


def scaled(schedule: ScheduleConfig, total_steps: int) -> ScheduleConfig:
    """The schedule with another number of steps; warm-up and decay keep their shares, rounded down."""
    factor = total_steps / schedule.total_steps
    return schedule.model_copy(
        update={
            "total_steps": total_steps,
            "warmup_steps": int(schedule.warmup_steps * factor),
            "decay_steps": int(schedule.decay_steps * factor),
        }
    )
