# SPDX-License-Identifier: Apache-2.0
"""Early stop: the loss on held-back records during a run, and the weights where it was lowest.

The loss is that of next-token prediction, a mean over all target tokens of the held-back records, by the averaged
weights. It is computed before the first step, every `run.evaluate_every` steps and at the end. `best.safetensors` in
the run's folder holds the trained weights of the lowest loss, with step and loss in its header; `held_back.json` holds
all losses. A resumed run drops the losses of steps that it will repeat. A run without a checkpoint ignores both files,
which may be of another recipe.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from finesight import files
from finesight.batch import EncodedSample, PackedBatch, pack
from finesight.data.encode import TrainingEncoder
from finesight.data.loader import LoaderConfig
from finesight.data.mixture import as_drawn
from finesight.data.next_token import next_token_targets
from finesight.data.shards import ShardSet
from finesight.errors import DataError
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.train.checkpoint import BEST_FILE
from finesight.train.loop import MODEL, Trainer
from finesight.train.recipe import HeldBackSection, SftRecipe, TrainRecipe

HISTORY_FILE = "held_back.json"
LOSS, ACCURACY = "held_back_loss", "held_back_token_acc"
MOST_RECORDS = 500
"""Held-back records of which the loss is computed; of more, evenly spaced ones."""


class Evaluated(NamedTuple):
    """The loss after a number of steps."""

    step: int
    loss: float


class EarlyStop:
    """Evaluates the held-back records for `Trainer.run`, keeps the best weights and stops the run.

    Args:
        trainer: the run, resumed or new.
        section: held-back records and patience.
        data: how the run encodes and packs its records.
        processor: of the model.

    Attributes:
        history: losses so far, in the order of steps.

    Raises:
        DataError: the held-back records or the files of an earlier start cannot be read.
    """

    def __init__(
        self,
        trainer: Trainer,
        section: HeldBackSection,
        data: LoaderConfig,
        processor: Processor,
    ) -> None:
        self._trainer = trainer
        self._patience = section.patience
        self._folder = trainer.settings.folder
        self._batches = list(_batches(section, data, processor))
        self._best: Evaluated | None = None
        self.history: list[Evaluated] = []
        if step := trainer.state.step:
            self._best = read_best(self._folder)
            self.history = [each for each in read_history(self._folder) if each.step <= step]

    @classmethod
    def of(cls, trainer: Trainer, recipe: TrainRecipe) -> EarlyStop | None:
        """That of a recipe; None if it holds nothing back."""
        if not isinstance(recipe, SftRecipe) or recipe.held_back is None:
            return None
        processor = Processor.from_folder(recipe.model.folder)
        return cls(trainer, recipe.held_back, recipe.data, processor)

    @property
    def best(self) -> Evaluated | None:
        """The lowest loss of a step that was reached; None before the first evaluation."""
        return self._best

    @property
    def is_over(self) -> bool:
        """Whether the loss has not fallen for as many evaluations as the patience."""
        if self._best is None:
            return False
        later = [each for each in self.history if each.step > self._best.step]
        return len(later) >= self._patience

    def __call__(self, model: VisionLanguageModel) -> dict[str, float]:
        """Loss and token accuracy of the averaged weights; called again for the same step, the loss alone."""
        step = self._trainer.state.step
        if self.history and self.history[-1].step == step:
            return {LOSS: self.history[-1].loss}
        loss, accuracy = self._loss(model)
        self.history.append(Evaluated(step, loss))
        if self._best is None or loss < self._best.loss:
            self._best = self.history[-1]
            _save_best(self._trainer, model, self._best)
        files.write_json(self._folder / HISTORY_FILE, self.history, error=DataError, parents=True)
        if self.is_over:
            self._trainer.stop()
        return {LOSS: loss, ACCURACY: accuracy}

    @torch.no_grad()
    def _loss(self, model: VisionLanguageModel) -> tuple[float, float]:
        """Mean cross-entropy over all targets, and the share of targets that are predicted right."""
        settings = self._trainer.settings
        device = torch.device(settings.device)
        dtype = getattr(torch, settings.precision)
        total = right = number = 0.0
        for batch in self._batches:
            learned = next_token_targets(batch)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                hidden: Tensor = model(batch.to(device))
                rows, targets = learned.rows.to(device), learned.targets.to(device)
                loss, _, is_right = model.lm_head.loss(hidden[rows], targets)
            total += float(loss)
            right += float(is_right.sum())
            number += len(learned.rows)
        return total / number, right / number


def read_history(run_folder: Path) -> list[Evaluated]:
    """Held-back losses of a run; empty if it has none.

    Raises:
        DataError: the file cannot be read.
    """
    path = run_folder / HISTORY_FILE
    if not path.is_file():
        return []
    try:
        return [Evaluated(int(step), float(loss)) for step, loss in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="delete it; the run then evaluates again"
        ) from error


def read_best(run_folder: Path) -> Evaluated | None:
    """Step and loss of the best weights of a run; None if it keeps none.

    Raises:
        DataError: the file cannot be read.
    """
    path = run_folder / BEST_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header: Mapping[str, str] = file.metadata()
        return Evaluated(int(header["step"]), float(header["loss"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="delete it; the run then keeps new best weights"
        ) from error


def _save_best(trainer: Trainer, model: VisionLanguageModel, evaluated: Evaluated) -> None:
    """Write the averages of all trained weights of the model, atomically."""
    tensors = {
        f"{MODEL}.{name}": value.detach().contiguous()
        for name, value in model.named_parameters()
        if f"{MODEL}.{name}" in trainer.average.tensors
    }
    header = {"step": str(evaluated.step), "loss": repr(evaluated.loss)}
    path = trainer.settings.folder / BEST_FILE
    try:
        with files.whole_file(path, error=None, parents=True) as draft:
            save_file(tensors, draft, metadata=header)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"the best weights {path} cannot be written: {error}",
            hint="free disk space, then run the same command: it resumes from the last checkpoint",
        ) from error


def _batches(
    section: HeldBackSection, data: LoaderConfig, processor: Processor
) -> Iterator[PackedBatch]:
    """The held-back records in packs, without augmentation.

    Raises:
        DataError: no record has a target.
    """
    plain = data.model_copy(
        update={
            "jitter": 0.0,
            "squeeze": 0.0,
            "letter_pixels": None,
            "video_share": 0.0,
            "spelled_share": 0.0,
        }
    )
    encoder = TrainingEncoder(plain, processor)
    records = ShardSet(section.path, only=section.only)
    as_trained = data.source[0]  # the records that are held back are of the first source
    spacing = max(1, -(-len(records) // MOST_RECORDS))
    ready: list[EncodedSample] = []
    num_tokens = num_targets = 0
    for number in range(0, len(records), spacing):
        record = as_drawn(records[number], as_trained)
        sample = encoder.encode(record, np.random.default_rng(number)).sample
        tokens = sample.input_ids.numel()
        if ready and num_tokens + tokens > data.pack_tokens:
            yield pack(ready)
            ready, num_tokens = [], 0
        ready.append(sample)
        num_tokens += tokens
        num_targets += len(next_token_targets(pack([sample])).rows)
    if not num_targets:
        raise DataError(
            f"none of the held-back records in {section.path} has an answer to learn",
            hint="mark answers as assistant messages; finesight data check FILE shows each row",
        )
    yield pack(ready)
