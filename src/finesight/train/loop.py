# SPDX-License-Identifier: Apache-2.0
"""The training loop, with checkpoints and a log.

`Trainer` has all state of a run: weights of the model and the objectives, optimizers, averaged weights, position in the
data. A killed run resumes from its newest checkpoint, with the same packs as an uninterrupted run.

In a run of several ranks each computes packs of its own, and every decision is the same on all of them: they add up
their counts of targets, and follow the clock of the first.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, nn

from finesight import files
from finesight.data.loader import PackStream, TrainBatch, read_packs
from finesight.errors import DataError
from finesight.model.vl import VisionLanguageModel
from finesight.train import random_state
from finesight.train.checkpoint import (
    TrainState,
    averaged_weights,
    checkpoints,
    folder_of,
    load_checkpoint,
    load_fitting,
)
from finesight.train.checkpoint_writer import Writer
from finesight.train.ema import Average, copy_with
from finesight.train.gradients import Gradients
from finesight.train.guard import Guard, first_nonfinite
from finesight.train.loggers import Logger, open_loggers
from finesight.train.meters import Meters, Sum
from finesight.train.objective import Blank, Objective, Targets
from finesight.train.optim import OptimConfig, Optimizers
from finesight.train.parallel import Ranks, check_joined, whole
from finesight.train.rates import Rates
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
        data: stream of packs; None for a subclass with packs of its own.
        optim: rules over the names of all weights: `model.*`, and `<objective>.*`.
        schedule: learning-rate schedule.
        run: device, precision, checkpoints, log and evaluations.
        saves_frozen: whether checkpoints have the frozen weights, too; False if every start loads them elsewhere.
        ranks: the ranks of the run, over which the model is divided in place; None is one process.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        objectives: Sequence[Objective],
        data: PackStream | None,
        *,
        optim: OptimConfig,
        schedule: ScheduleConfig,
        run: RunSection,
        saves_frozen: bool = True,
        ranks: Ranks | None = None,
    ) -> None:
        self.model = model
        self.ranks = ranks or Ranks()
        self._saves_frozen = saves_frozen
        self.objectives = list(objectives)
        self.schedule = schedule
        self.settings = run
        self.notes: list[str] = []  # for the user, about the start of the run
        owned = {one.name: one for one in objectives if isinstance(one, nn.Module)}
        self._device, precision = torch.device(run.device), getattr(torch, run.precision)
        empty: Blank | None = None
        self._undivided = model
        check_joined(self.ranks)
        if self.ranks.mesh is not None:
            from finesight.train.parallel_weights import blank, divide, without_values

            torch.manual_seed(
                self.ranks.rank
            )  # for dropout; the same weights are on all ranks already
            empty = blank(model.config).to(self._device)
            self._undivided = without_values(model)
            divide(model, self.ranks, precision)
        self._gradients = Gradients(
            model, self.objectives, self.ranks, self._device, precision, empty
        )
        self.weights = nn.ModuleDict({MODEL: model, **owned}).to(run.device)
        self.optimizers = Optimizers(self.weights, optim, self.ranks)
        self.average = Average(self.weights, run.average_decay)
        self.state = TrainState(step=0, cursor={}, samples=0, average_updates=0, seconds=0.0)
        self.checkpoint_folder = run.folder / "checkpoints"
        self.writer = Writer(self.checkpoint_folder, run.keep_checkpoints, self.ranks)
        self._data = data
        self.guard = Guard(run.guard)
        self._stop_asked = self._must_stop = False
        self._loggers: list[Logger] = []
        model.set_gradient_checkpointing(run.gradient_checkpointing)

    @property
    def schedule_step(self) -> int:
        """Effective step of the schedule; the run ends at `total_steps`."""
        done = self.state.cursor.get("share_done", 0.0)
        return schedule_step(self.state.step, self.state.seconds, self.schedule, epochs_done=done)

    @property
    def share_done(self) -> float:
        """Share of the schedule that is done."""
        return min(self.schedule_step / self.schedule.total_steps, 1.0)

    @property
    def pack_tokens(self) -> int:
        """Most tokens of a pack."""
        assert self._data is not None
        return self._data.pack_tokens

    @property
    def was_stopped(self) -> bool:
        """Whether `stop` was called, on any rank."""
        return self._must_stop

    def stop(self) -> None:
        """Let `run` end after the current step, with a checkpoint; may be called from a signal handler.

        One rank is enough: all end after the same step.
        """
        self._stop_asked = True

    @property
    def division(self) -> dict[str, Tensor] | None:
        """All parameters by name, in a run of several ranks; see `load_checkpoint`."""
        return None if self.ranks.mesh is None else dict(self.weights.named_parameters())

    def resume(self) -> bool:
        """Resume from the newest checkpoint; returns whether there is one.

        Raises:
            DataError: it cannot be read, does not fit, or was written by a version with other objectives.
        """
        saved = checkpoints(self.checkpoint_folder)
        if not saved:
            return False
        state, parts = load_checkpoint(saved[-1], self.division)
        missing = {"weights", "average"} - parts.keys()
        if missing:
            raise DataError(
                f"checkpoint {saved[-1]} has {', '.join(sorted(parts))} but not {', '.join(sorted(missing))}: "
                "an earlier version wrote it, with other temporary heads",
                hint="start a new run from its weights: another run.folder, and model.start_from = this run",
            )
        load_fitting(self.weights, self._loaded() | averaged_weights(parts), saved[-1])
        self.average.restart(state.average_updates)
        load_fitting(self.weights, self._loaded() | parts["weights"], saved[-1])
        self.optimizers.load_state_tensors(parts.get("optimizer", {}))
        random_state.restore(parts.get("random", {}), self.ranks.rank, state.step)
        self.state = state
        return True

    def save(self) -> Path:
        """Write a checkpoint, and wait until it is complete.

        Raises:
            DataError: the checkpoint cannot be written.
        """
        self._begin_save()
        return self.writer.wait() or folder_of(self.checkpoint_folder, self.state)

    def _begin_save(self) -> None:
        weights: dict[str, Tensor] = dict(self.weights.named_parameters())
        for name in self._loaded():
            del weights[name]
        parts: dict[str, dict[str, Tensor]] = {
            "weights": weights,
            "average": self.average.tensors,
            "optimizer": self.optimizers.state_tensors(),
            "random": random_state.current(self.ranks.rank),
        }
        self.writer.begin(self.state, parts)

    def _loaded(self) -> dict[str, Tensor]:
        """Weights that are not in checkpoints, because every start loads them."""
        return {
            name: value
            for name, value in self.weights.named_parameters()
            if not (self._saves_frozen or value.requires_grad)
        }

    def step(self, packs: list[TrainBatch]) -> dict[str, Sum]:
        """One optimizer step over one or more packs.

        The only device synchronisation is the check of loss and gradients before the update.

        Returns:
            Losses, accuracies, the gradient norm and the learning-rate factor, on the device; `skipped` if the weights
            were not updated.

        Raises:
            DataError: the guard stops the run, or the packs have no target.
        """
        targets = Targets.of(self.objectives, packs, self.ranks)
        if not any(targets.totals.values()):
            raise DataError(
                f"step {self.state.step} has no target for any loss of the recipe",
                hint="records without a picture need the next-token loss: set loss.tokens above 0, or remove them",
            )
        meters = self._gradients.add(packs, targets)
        scale = lr_scale(self.schedule_step, self.schedule)
        loss = torch.as_tensor(meters.sums["loss"].total)

        def allows(norm: Tensor) -> bool:
            whole_loss, *_ = self.ranks.sums([float(loss) * self.ranks.counts])
            values = {"loss": whole_loss, "grad_norm": float(norm)}
            return self.guard.allows(
                self.state.step, packs, values, lambda: self._first_nonfinite(packs, targets)
            )

        norm = self.optimizers.step(scale, allows)
        if not self.guard.has_allowed:
            return {"skipped": Sum(1.0)} if self.ranks.is_first else {}
        self.average.update()
        values = {"loss": Sum(loss), "grad_norm": Sum(norm), "lr_scale": Sum(scale)}
        if not self.ranks.counts:
            return {}  # the first rank of those that share the pack has the same values
        if not self.ranks.is_first:
            values = {"loss": Sum(loss, 0.0)}  # the losses of all ranks add up to one value
        return {**meters.sums, **values}

    def _first_nonfinite(self, packs: list[TrainBatch], targets: Targets) -> str:
        """The first layer that gives values that are not finite when the step is computed again."""
        with first_nonfinite(self.weights) as found:
            self._gradients.add(packs, targets)
        return f"first in {found[0]}" if found else "a second pass gives no such value"

    def packs(self) -> Iterator[list[TrainBatch]]:
        """Groups of packs of this rank, one group per optimizer step, from the current position in the data."""
        assert self._data is not None
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
        assert self._data is not None
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
        with self.ranks.watched(), ExitStack() as locked:
            if self.ranks.is_first:
                self.settings.folder.mkdir(parents=True, exist_ok=True)
                lock = files.lock(self.settings.folder / "train.lock", error=DataError)
                locked.enter_context(lock)
            self._run(report, evaluate)

    def _run(self, report: Report, evaluate: Evaluate | None) -> None:
        settings = self.settings
        began = saved = time.monotonic()
        end = began + 60 * (settings.max_minutes or math.inf)
        earlier, meters = self.state.seconds, Meters()
        rates = Rates(
            self.model,
            pack_tokens=self.pack_tokens,
            dtype=getattr(torch, settings.precision),
            num_packs=self.ranks.num_packs,
            num_ranks=self.ranks.sizes.num_ranks,
        )
        if self.ranks.is_first:
            self._loggers = open_loggers(
                settings.loggers, settings.folder, settings.model_dump(mode="json")
            )
        for group in rates.watch(self.packs()):
            is_late, must_save = self._agreed(
                time.monotonic() > end, time.monotonic() - saved > 60 * settings.checkpoint_minutes
            )
            if must_save:
                self._begin_save()
                saved = time.monotonic()
            is_done = self.schedule_step >= self.schedule.total_steps
            if self._must_stop or is_done or is_late:
                break
            meters.add(self.step(group))
            self._note(group)
            self._advance(group, earlier + time.monotonic() - began)
            step = self.state.step
            if step % settings.log_every == 0:
                self._report(report, meters.means(self.ranks) | rates.read() | self._rates())
            if evaluate and settings.evaluate_every and step % settings.evaluate_every == 0:
                self._report(report, self.evaluated(evaluate))
        self.save()
        if evaluate:
            self._report(report, self.evaluated(evaluate))

    def _note(self, group: list[TrainBatch]) -> None:
        """Write what the guard found and which records were skipped to the log; each rank names its own records."""
        notes = self.guard.notes if self.ranks.counts else []
        for note in (*notes, *(message for pack in group for message in pack.skipped)):
            with (self.settings.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": self.state.step, "note": note}) + "\n")
        self.guard.notes.clear()

    def _agreed(self, is_late: bool, must_save: bool) -> tuple[bool, bool]:
        """The two decisions of the first rank, and whether one was asked to stop or has failed to save.

        Raises:
            DataError: the last checkpoint could not be written.
        """
        own = (
            self._stop_asked,
            self.writer.has_failed,
            is_late and self.ranks.is_first,
            must_save and self.ranks.is_first,
        )
        stops, failed, late, saves = map(bool, self.ranks.sums(list(map(float, own))))
        self._must_stop = stops
        if failed:
            self.writer.wait()
        return late, saves

    def evaluated(self, evaluate: Evaluate) -> dict[str, float]:
        """Scores of the averaged weights, on the first rank, which has a whole copy of them; none on others."""
        named = dict(self.weights.named_parameters()) | self.average.tensors
        tensors = {name: whole(value) for name, value in of_model(named).items()}
        scores: dict[str, float] = {}
        if self.ranks.is_first:
            model = copy_with(self._undivided, tensors)
            assert isinstance(model, VisionLanguageModel)
            scores = evaluate(model)
        self.ranks.wait()
        return scores

    def _advance(self, group: list[TrainBatch], seconds: float) -> None:
        samples = sum(pack.num_samples for pack in group)
        added, seconds = self.ranks.sums(
            [samples * self.ranks.counts, seconds * self.ranks.is_first]
        )
        self.state = TrainState(
            step=self.state.step + 1,
            cursor=group[-1].cursor,
            samples=self.state.samples + int(added),
            average_updates=self.average.updates,
            seconds=seconds,
        )

    def _rates(self) -> dict[str, float]:
        return {"samples": self.state.samples, "seconds": round(self.state.seconds, 1)}

    def _report(self, report: Report, values: dict[str, float]) -> None:
        """Write a line of the log, on the first rank."""
        if not self.ranks.is_first:
            return
        with (self.settings.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": self.state.step, **values}) + "\n")
        for logger in self._loggers:
            logger(self.state.step, values)
        report(self.state.step, values)


def of_model(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the model among those of `Trainer.weights`."""
    return {
        name.removeprefix(f"{MODEL}."): value
        for name, value in tensors.items()
        if name.startswith(f"{MODEL}.")
    }
