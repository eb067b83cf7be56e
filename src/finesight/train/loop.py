# SPDX-License-Identifier: Apache-2.0
"""The training loop: packs in, checkpoints and a log out.

Everything that changes is in `Trainer`: weights, temporary heads, optimizers, average, place in the data. A run that is
killed goes on from its newest checkpoint and sees the same packs as an unbroken run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from finesight.data.loader import PackStream, TrainBatch, read_packs
from finesight.data.mixture import Cursor, Mixture
from finesight.errors import DataError
from finesight.model.vl import VisionLanguageModel
from finesight.text.tokenizer import Tokenizer
from finesight.train.checkpoint import (
    TrainState,
    checkpoints,
    load_checkpoint,
    load_fitting,
    save_checkpoint,
)
from finesight.train.dense import DenseHeads, NameHead, PlaceHead
from finesight.train.ema import WeightAverage
from finesight.train.learner import Learner, moved, weighted
from finesight.train.meters import Meters
from finesight.train.optim import Optimizers
from finesight.train.recipe import PretrainRecipe
from finesight.train.schedule import lr_scale, schedule_step

Evaluate = Callable[[VisionLanguageModel], dict[str, float]]
"""Takes the model with averaged weights, gives named scores; handed in by the caller."""


class Trainer:
    """One run, from its recipe.

    Args:
        recipe: what to do.
        model: the network, in float32 on the run's device.
    """

    def __init__(self, recipe: PretrainRecipe, model: VisionLanguageModel) -> None:
        self.recipe = recipe
        stream = PackStream(recipe.data, recipe.model.folder)
        with torch.random.fork_rng(devices=[]):  # the same heads whatever was drawn before
            torch.manual_seed(recipe.model.seed)
            heads = DenseHeads(
                model.config.text.hidden_size,
                num_characters=len(stream.vocabulary.characters) + 2,
                num_objects=len(stream.vocabulary.objects) + 1,
            ).to(recipe.run.device)
            place_head = PlaceHead(model.config.text.hidden_size).to(recipe.run.device)
            name_head = NameHead(
                model.config.text.hidden_size,
                _name_tokens(recipe.data.objects, Tokenizer.from_folder(recipe.model.folder)),
            ).to(recipe.run.device)
        self.learner = Learner(model, heads, place_head, name_head)
        self.optimizers = Optimizers(self.learner, recipe.optim)
        self.average = WeightAverage(self.learner, recipe.run.average_decay)
        self.state = TrainState(step=0, cursor={}, samples=0, average_updates=0, seconds=0.0)
        self.checkpoint_folder = recipe.run.folder / "checkpoints"
        self._is_told_to_stop = False

    @property
    def model(self) -> VisionLanguageModel:
        """The network being trained."""
        return self.learner.model

    @property
    def place(self) -> int:
        """Where the run stands in its schedule; at `total_steps` it is over."""
        return schedule_step(self.state.step, self.state.seconds, self.recipe.schedule)

    def stop(self) -> None:
        """Ask a run to end after its present step, with a checkpoint; may be called from a signal handler."""
        self._is_told_to_stop = True

    def resume(self) -> bool:
        """Go on from the newest checkpoint, if there is one."""
        saved = checkpoints(self.checkpoint_folder)
        if not saved:
            return False
        self.state, parts = load_checkpoint(saved[-1])
        missing = {"learner", "average"} - parts.keys()
        if missing:
            raise DataError(f"checkpoint {saved[-1]} lacks {', '.join(sorted(missing))}")
        load_fitting(self.learner, parts["learner"], saved[-1])
        self.average.load(parts["average"], self.state.average_updates)
        self.optimizers.load_state_tensors(parts.get("optimizer", {}))
        return True

    def save(self) -> Path:
        """Write a checkpoint."""
        parts: dict[str, dict[str, Tensor]] = {
            "learner": {name: value.detach() for name, value in self.learner.named_parameters()},
            "average": self.average.tensors,
            "optimizer": self.optimizers.state_tensors(),
        }
        return save_checkpoint(
            self.checkpoint_folder, self.state, parts, keep=self.recipe.run.keep_checkpoints
        )

    def step(self, train_batches: list[TrainBatch]) -> dict[str, float]:
        """One optimizer step over one or more packs.

        Returns:
            Means of losses and shares, the gradient norm and the learning-rate factor.

        Raises:
            DataError: the loss is not finite; nothing was updated.
        """
        weights = self.recipe.loss
        device = torch.device(self.recipe.run.device)
        dtype = getattr(torch, self.recipe.run.precision)
        meters = Meters()
        for train_batch in train_batches:
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                results = self.learner(moved(train_batch, device), weights)
                loss = weighted(results, weights)
            (loss / len(train_batches)).backward()
            meters.add(
                {
                    **{name: float(value.detach()) for name, value in results.items()},
                    "loss": float(loss.detach()),
                }
            )
        values = meters.means()
        if not values["loss"] < float("inf"):
            raise DataError(
                f"loss is {values['loss']} at step {self.state.step}",
                hint="lower the learning rate",
            )
        scale = lr_scale(self.place, self.recipe.schedule)
        values["grad_norm"] = self.optimizers.step(scale)
        values["lr_scale"] = scale
        self.average.update()
        return values

    def check_data(self) -> None:
        """Open every source and read a record at the present place, as the loader's workers will.

        Raises:
            ConfigError: the place was saved with another number of sources or workers.
            DataError: there is no data, or it is broken.
        """
        stream = self._stream()
        mixture = Mixture(self.recipe.data.source, seed=self.recipe.data.seed)
        for place in stream.places:
            next(mixture.stream(Cursor(**place)))

    def _stream(self) -> PackStream:
        cursor = dict(self.state.cursor) or None
        return PackStream(self.recipe.data, self.recipe.model.folder, cursor)

    def packs(self) -> Iterator[list[TrainBatch]]:
        """Groups of packs, one group per optimizer step, from the present place in the data on."""
        group: list[TrainBatch] = []
        for train_batch in read_packs(self._stream()):
            group.append(train_batch)
            if len(group) == self.recipe.run.accumulate:
                yield group
                group = []

    def run(
        self, *, report: Callable[[int, dict[str, float]], None], evaluate: Evaluate | None = None
    ) -> None:
        """Train to the end of the schedule, until the time is up, or until `stop` is called.

        Args:
            report: called with step and mean values every `log_every` steps and at each evaluation.
            evaluate: scores the averaged model.
        """
        settings, total = self.recipe.run, self.recipe.schedule.total_steps
        began = saved = time.monotonic()
        earlier, meters = self.state.seconds, Meters()
        for group in self.packs():
            if self._is_told_to_stop or self.place >= total:
                break
            if _is_over(began, settings.max_minutes):
                break
            meters.add(self.step(group))
            self._advance(group, earlier + time.monotonic() - began)
            step = self.state.step
            if step % settings.log_every == 0:
                self._report(report, meters.means() | self._rates())
                meters = Meters()
            if time.monotonic() - saved > 60 * settings.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
            if evaluate and settings.evaluate_every and step % settings.evaluate_every == 0:
                self._report(report, self.evaluated(evaluate))
        self.save()
        if evaluate:
            self._report(report, self.evaluated(evaluate))

    def evaluated(self, evaluate: Evaluate) -> dict[str, float]:
        """Scores of the averaged weights."""
        with self.average.applied():
            self.learner.eval()
            scores = evaluate(self.model)
            self.learner.train()
        return scores

    def _advance(self, group: list[TrainBatch], seconds: float) -> None:
        self.state = TrainState(
            step=self.state.step + 1,
            cursor=group[-1].cursor,
            samples=self.state.samples + sum(train_batch.num_samples for train_batch in group),
            average_updates=self.average.updates,
            seconds=seconds,
        )

    def _rates(self) -> dict[str, float]:
        return {"samples": self.state.samples, "seconds": round(self.state.seconds, 1)}

    def _report(
        self, report: Callable[[int, dict[str, float]], None], values: dict[str, float]
    ) -> None:
        self.recipe.run.folder.mkdir(parents=True, exist_ok=True)
        with (self.recipe.run.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": self.state.step, **values}) + "\n")
        report(self.state.step, values)


def _name_tokens(names: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    """Token ids of names as they stand inside a sentence."""
    return [tokenizer.encode(f" {name}") for name in dict.fromkeys(names)]


def _is_over(began: float, max_minutes: float | None) -> bool:
    return max_minutes is not None and time.monotonic() - began > 60 * max_minutes
