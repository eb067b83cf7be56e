# SPDX-License-Identifier: Apache-2.0
"""Forward and backward passes of the packs of an optimizer step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from finesight.data.loader import TrainBatch
from finesight.model.vl import VisionLanguageModel
from finesight.train.meters import Meters, Sum
from finesight.train.objective import (
    Blank,
    ForwardPass,
    Objective,
    Targets,
    WholeStep,
    normalised,
)
from finesight.train.parallel import Ranks


@dataclass(frozen=True, slots=True)
class Gradients:
    """Computes the gradients of the losses.

    Attributes:
        model: the network.
        objectives: losses.
        ranks: the ranks of the run.
        device: device of the network.
        precision: autocast dtype.
        blank: see `ForwardPass`.
    """

    model: VisionLanguageModel
    objectives: Sequence[Objective]
    ranks: Ranks
    device: torch.device
    precision: torch.dtype
    blank: Blank | None = None

    def add(self, packs: Sequence[TrainBatch], targets: Targets) -> Meters:
        """Add the gradients of the packs of a step to the parameters; returns values for the log.

        Args:
            packs: packs of this rank.
            targets: their targets, and those of all ranks.
        """
        meters = Meters()
        self._begin(packs, targets)
        for index, pack in enumerate(packs):
            self._backward(self._forward(pack, targets.sees[index]), targets, index, meters)
        return meters

    def _begin(self, packs: Sequence[TrainBatch], targets: Targets) -> None:
        """Show all packs to the objectives that compare samples of different packs."""
        for place, objective in enumerate(self.objectives):
            if isinstance(objective, WholeStep):
                shown = zip(packs, targets.runs, targets.sees, strict=True)
                passes = [self._forward(pack, sees) for pack, runs, sees in shown if runs[place]]
                with self._autocast():
                    objective.begin_step(passes)

    def _forward(self, pack: TrainBatch, sees: bool) -> ForwardPass:
        """A pass of a pack, whose rank or another one has pictures at the same time if it `sees`."""
        blank = self.blank
        if blank is not None and not sees:
            blank = replace(blank, vision=None)
        return ForwardPass(self.model, pack.to(self.device), blank)

    def _autocast(self) -> torch.autocast:
        is_on = self.precision != torch.float32
        return torch.autocast(self.device.type, dtype=self.precision, enabled=is_on)

    def _backward(self, forward: ForwardPass, targets: Targets, index: int, meters: Meters) -> None:
        """Add the gradients of one pack, the `index`-th of the step, and its values for the log."""
        losses: list[Tensor] = []
        with self._autocast():
            for objective, count, runs in zip(
                self.objectives, targets.own[index], targets.runs[index], strict=True
            ):
                if runs:
                    found = objective(forward)
                    if found.sums:
                        losses.append(normalised(found, objective, targets.totals))
                    else:  # another rank has targets
                        losses += forward.nothing()
                    sums = {
                        part: Sum(one.detach(), count[part]) for part, one in found.sums.items()
                    }
                    meters.add(sums | found.values)
        if losses:
            loss = torch.stack(losses).sum()
            if loss.requires_grad:  # not of text alone, if only the vision tower is trained
                (loss / self.ranks.sizes.sequence).backward()
            meters.add({"loss": Sum(loss.detach())})
