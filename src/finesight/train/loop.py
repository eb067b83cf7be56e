# SPDX-License-Identifier: Apache-2.0
"""The training loop, with checkpoints and a log.

`Trainer` has all state of a run: weights of the model and the objectives, optimizers, averaged weights, position in the
data. A killed run resumes from its newest checkpoint, with the same packs as an uninterrupted run.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from finesight import files
from finesight.data.loader import PackStream, TrainBatch, read_packs
from finesight.errors import DataError
from finesight.model.vl import VisionLanguageModel
from finesight.train.checkpoint import (
    TrainState,
    averaged_weights,
    checkpoints,
    load_checkpoint,
    load_fitting,
    save_checkpoint,
)
from finesight.train.ema import averaged, num_updates, restore
from finesight.train.meters import Meters, Sum
from finesight.train.objective import (
    ForwardPass,
    Objective,
    WholeStep,
    normalised,
    total_targets,
)
from finesight.train.optim import OptimConfig, Optimizers
from finesight.train.recipe import RunSection
from finesight.train.schedule import ScheduleConfig, lr_scale, schedule_step

Evaluate = Callable[[VisionLanguageModel], dict[str, float]]
"""Scores a model; returns the scores by name."""

Report = Callable[[int, dict[str, float]], None]
"""Called with a step and its values by name."""

MODEL = "model"
"""Name of the model in `Trainer.weights`, beside the names of the objectives."""


class Trainer:
    """One training run.

    Args:
        model: the network, in float32 on the run's device.
        objectives: losses to minimise; those that are modules are trained and saved with the model.
        data: stream of packs.
        optim: rules over the names of all weights: `model.*`, and `<objective>.*`.
        schedule: learning-rate schedule.
        run: device, precision, checkpoints, log and evaluations.
        saves_frozen: whether checkpoints have the frozen weights, too; False if every start loads them elsewhere.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        objectives: Sequence[Objective],
        data: PackStream,
        *,
        optim: OptimConfig,
        schedule: ScheduleConfig,
        run: RunSection,
        saves_frozen: bool = True,
    ) -> None:
        self.model = model
        self._saves_frozen = saves_frozen
        self.objectives = list(objectives)
        self.schedule = schedule
        self.settings = run
        self.notes: list[str] = []  # for the user, about the start of the run
        owned = {one.name: one for one in objectives if isinstance(one, nn.Module)}
        self.weights = nn.ModuleDict({MODEL: model, **owned}).to(run.device)
        self.optimizers = Optimizers(self.weights, optim)
        self.average = averaged(self.weights, run.average_decay)
        self.state = TrainState(step=0, cursor={}, samples=0, average_updates=0, seconds=0.0)
        self.checkpoint_folder = run.folder / "checkpoints"
        self._data = data
        self._device = torch.device(run.device)
        self._unread_loss: Tensor | None = None
        self._must_stop = False
        model.set_gradient_checkpointing(run.gradient_checkpointing)

    @property
    def schedule_step(self) -> int:
        """Effective step of the schedule; the run ends at `total_steps`."""
        return schedule_step(self.state.step, self.state.seconds, self.schedule)

    @property
    def was_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._must_stop

    def stop(self) -> None:
        """Let `run` end after the current step, with a checkpoint; may be called from a signal handler."""
        self._must_stop = True

    def resume(self) -> bool:
        """Resume from the newest checkpoint; returns whether there is one.

        Raises:
            DataError: it cannot be read, does not fit, or was written by a version with other objectives.
        """
        saved = checkpoints(self.checkpoint_folder)
        if not saved:
            return False
        state, parts = load_checkpoint(saved[-1])
        missing = {"weights", "average"} - parts.keys()
        if missing:
            raise DataError(
                f"checkpoint {saved[-1]} has {', '.join(sorted(parts))} but not {', '.join(sorted(missing))}: "
                "an earlier version wrote it, with other temporary heads",
                hint="start a new run from its weights: another run.folder, and model.start_from = this run",
            )
        load_fitting(self.weights, self._loaded() | parts["weights"], saved[-1])
        average = self._loaded() | averaged_weights(parts)
        load_fitting(self.average.module, average, saved[-1])
        restore(self.average, state.average_updates)
        self.optimizers.load_state_tensors(parts.get("optimizer", {}))
        self.state = state
        return True

    def save(self) -> Path:
        """Write a checkpoint.

        Raises:
            DataError: the last loss is not finite, or the checkpoint cannot be written.
        """
        self._check_last_loss()
        weights: dict[str, Tensor] = dict(self.weights.named_parameters())
        for name in self._loaded():
            del weights[name]
        parts: dict[str, dict[str, Tensor]] = {
            "weights": weights,
            "average": {
                name: value
                for name, value in self.average.module.named_parameters()
                if name in weights and weights[name].requires_grad
            },
            "optimizer": self.optimizers.state_tensors(),
        }
        return save_checkpoint(
            self.checkpoint_folder, self.state, parts, keep=self.settings.keep_checkpoints
        )

    def _loaded(self) -> dict[str, Tensor]:
        """Weights that are not in checkpoints, because every start loads them."""
        return {
            name: value
            for name, value in self.weights.named_parameters()
            if not (self._saves_frozen or value.requires_grad)
        }

    def step(self, packs: list[TrainBatch]) -> dict[str, Sum]:
        """One optimizer step over one or more packs.

        The only device synchronisation is the check of the previous loss, which must be finite. The last loss is
        checked by `save`.

        Returns:
            Losses, accuracies, the gradient norm and the learning-rate factor, on the device.

        Raises:
            DataError: the previous loss is not finite, or the packs have no target.
        """
        self._check_last_loss()
        totals = total_targets(self.objectives, packs)
        if not any(totals.values()):
            raise DataError(
                f"step {self.state.step} has no target for any loss of the recipe",
                hint="records without a picture need the next-token loss: set loss.tokens above 0, or remove them",
            )
        meters = Meters()
        self._begin_step(packs)
        for pack in packs:
            self._backward(pack, totals, meters)
        scale = lr_scale(self.schedule_step, self.schedule)
        loss = torch.as_tensor(meters.sums["loss"].total)
        norm = self.optimizers.step(scale)
        self.average.update_parameters(self.weights)
        self._unread_loss = loss
        return {
            **meters.sums,
            "loss": Sum(loss),
            "grad_norm": Sum(norm),
            "lr_scale": Sum(scale),
        }

    def _begin_step(self, packs: list[TrainBatch]) -> None:
        """Show all packs to the objectives that compare samples of different packs."""
        for objective in self.objectives:
            if isinstance(objective, WholeStep):
                counted = [one for one in packs if any(objective.num_targets(one).values())]
                with self._autocast():
                    objective.begin_step(
                        [ForwardPass(self.model, one.to(self._device)) for one in counted]
                    )

    def _autocast(self) -> torch.autocast:
        dtype = getattr(torch, self.settings.precision)
        return torch.autocast(self._device.type, dtype=dtype, enabled=dtype != torch.float32)

    def _backward(self, pack: TrainBatch, totals: dict[str, float], meters: Meters) -> None:
        """Add the gradients of one pack, and its values for the log."""
        counts = [objective.num_targets(pack) for objective in self.objectives]
        forward = ForwardPass(self.model, pack.to(self._device))
        losses: list[Tensor] = []
        with self._autocast():
            for objective, count in zip(self.objectives, counts, strict=True):
                if any(count.values()):
                    found = objective(forward)
                    losses.append(normalised(found, objective, totals))
                    sums = {
                        part: Sum(one.detach(), count[part]) for part, one in found.sums.items()
                    }
                    meters.add(sums | found.values)
        if losses:
            loss = torch.stack(losses).sum()
            if loss.requires_grad:  # not of text alone, if only the vision tower is trained
                loss.backward()
            meters.add({"loss": Sum(loss.detach())})

    def _check_last_loss(self) -> None:
        loss, self._unread_loss = self._unread_loss, None
        if loss is not None and not torch.isfinite(loss):
            raise DataError(
                f"the loss of step {self.state.step} is {float(loss)}",
                hint="lower the learning rate; the run resumes from its last checkpoint",
            )

    def packs(self) -> Iterator[list[TrainBatch]]:
        """Groups of packs, one group per optimizer step, from the current position in the data."""
        group: list[TrainBatch] = []
        for pack in read_packs(self._data.at(self.state.cursor)):
            group.append(pack)
            if len(group) == self.settings.accumulate:
                yield group
                group = []
        if group:  # the end of the last epoch
            yield group

    def check_data(self) -> None:
        """Read a record of every source at the current position; see `PackStream.check`."""
        self._data.at(self.state.cursor).check()

    def run(self, *, report: Report, evaluate: Evaluate | None = None) -> None:
        """Train until the schedule or the time limit ends, or `stop` is called.

        Args:
            report: called with step and mean values every `log_every` steps, and with the scores of each evaluation.
            evaluate: scores the model with averaged weights.

        Raises:
            DataError: a loss is not finite, a checkpoint or the log cannot be written, or another process trains in
                the run's folder.
        """
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        with files.lock(self.settings.folder / "train.lock", error=DataError):
            self._run(report, evaluate)

    def _run(self, report: Report, evaluate: Evaluate | None) -> None:
        settings = self.settings
        began = saved = time.monotonic()
        end = began + 60 * (settings.max_minutes or math.inf)
        earlier, meters = self.state.seconds, Meters()
        for group in self.packs():
            is_done = self.schedule_step >= self.schedule.total_steps
            if self._must_stop or is_done or time.monotonic() > end:
                break
            meters.add(self.step(group))
            self._advance(group, earlier + time.monotonic() - began)
            step = self.state.step
            if step % settings.log_every == 0:
                self._report(report, meters.means() | self._rates())
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
        model = self.average.module.get_submodule(MODEL)
        assert isinstance(model, VisionLanguageModel)
        return evaluate(model)

    def _advance(self, group: list[TrainBatch], seconds: float) -> None:
        self.state = TrainState(
            step=self.state.step + 1,
            cursor=group[-1].cursor,
            samples=self.state.samples + sum(pack.num_samples for pack in group),
            average_updates=num_updates(self.average),
            seconds=seconds,
        )

    def _rates(self) -> dict[str, float]:
        return {"samples": self.state.samples, "seconds": round(self.state.seconds, 1)}

    def _report(self, report: Report, values: dict[str, float]) -> None:
        with (self.settings.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": self.state.step, **values}) + "\n")
        report(self.state.step, values)


def of_model(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the model among those of `Trainer.weights`."""
    return {
        name.removeprefix(f"{MODEL}."): value
        for name, value in tensors.items()
        if name.startswith(f"{MODEL}.")
    }
