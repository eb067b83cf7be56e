# SPDX-License-Identifier: Apache-2.0
"""What a training minimises: objectives over one forward pass of the model.

The trainer knows no head and no target. It asks each objective how many targets a pack has, lets it compute sums of
losses, and divides each sum by the number of targets of the whole optimizer step. So a target weighs the same in
whichever pack it stands.

`ForwardPass` is the only place where training calls the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from finesight.data.loader import TrainBatch
from finesight.model.vl import VisionLanguageModel
from finesight.train.meters import Sum


class ForwardPass:
    """What the model computes for one pack. Visual tokens are computed once, when an objective first asks for them.

    Args:
        model: the network.
        pack: on the device of the model.
    """

    def __init__(self, model: VisionLanguageModel, pack: TrainBatch) -> None:
        self._model = model
        self.pack = pack

    @cached_property
    def visual_tokens(self) -> Tensor | None:
        """`[M, D]`, what the decoder reads of the pictures; None for a pack of text alone."""
        vision = self.pack.batch.vision
        return None if vision is None else self._model.encode_vision(vision)

    def hidden(self, *, reaches_vision: bool = True) -> Tensor:
        """`[T, D]`, states after the decoder's final norm.

        Args:
            reaches_vision: whether gradients go on into the vision tower.
        """
        visual = self.visual_tokens
        if visual is not None and not reaches_vision:
            visual = visual.detach()
        hidden: Tensor = self._model(self.pack.batch, vision_embeds=visual)
        return hidden

    def token_loss(
        self, hidden: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sum of the cross-entropies of rows of `hidden`, and the number of right guesses."""
        loss, _, is_right = self._model.lm_head.loss(hidden, targets, weights)
        return loss, is_right.sum()


@dataclass(frozen=True, slots=True)
class Losses:
    """What an objective found in one pack.

    Attributes:
        sums: by part, the scalar sum of the losses of its targets.
        values: for the log alone.
    """

    sums: dict[str, Tensor]
    values: dict[str, Sum] = field(default_factory=dict)


class Objective(Protocol):
    """One thing that is learned. An objective with weights of its own is an `nn.Module` as well."""

    @property
    def name(self) -> str:
        """Under which its weights are stored."""
        ...

    @property
    def parts(self) -> Mapping[str, float]:
        """Weight of each of its losses by name; each is normalised by its own number of targets."""
        ...

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Targets of each part in a pack that is still on the host; targets that weigh differently count by weight."""
        ...

    def __call__(self, forward: ForwardPass) -> Losses:
        """Losses of each part that has targets in the pack."""
        ...


class NextToken:
    """Predict the next token of what an assistant says.

    Args:
        weight: of the loss.
        balance: a token weighs as the length of its answer to the power `-balance`: 0 weighs all tokens alike, 1 all
            answers. A count is one token, a list of boxes a hundred; with 0 the count has a hundredth of the weight,
            with 0.5 ("square averaging", InternVL 2.5, arXiv 2412.05271) a tenth.
        reaches_vision: whether the vision tower learns from it.

    Worked example: answers of 1 and 4 tokens with balance 0.5 count `1 + 4 x 0.5 = 3` targets.
    """

    name = "tokens"

    def __init__(
        self, weight: float = 1.0, *, balance: float = 0.0, reaches_vision: bool = True
    ) -> None:
        self.parts = {"tokens": weight}
        self._balance = balance
        self._reaches_vision = reaches_vision

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """The sum of the weights of all learned tokens."""
        return {"tokens": float((pack.next_tokens.lengths**-self._balance).sum())}

    def __call__(self, forward: ForwardPass) -> Losses:
        """Loss `tokens` and, for the log, the share `token_acc` of right guesses."""
        learned = forward.pack.next_tokens
        hidden = forward.hidden(reaches_vision=self._reaches_vision)
        weights = learned.lengths**-self._balance if self._balance else None
        loss, right = forward.token_loss(hidden[learned.rows], learned.targets, weights)
        share = Sum(right, float(len(learned.rows)))
        return Losses({"tokens": loss}, {"token_acc": share})


def total_targets(objectives: list[Objective], packs: list[TrainBatch]) -> dict[str, float]:
    """Targets of each part in all packs of an optimizer step: what its loss is divided by.

    A run on several ranks adds up the counts of all ranks here, and nowhere else.
    """
    totals: dict[str, float] = {}
    for objective in objectives:
        for pack in packs:
            for part, number in objective.num_targets(pack).items():
                totals[part] = totals.get(part, 0.0) + number
    return totals


def normalised(losses: Losses, objective: Objective, totals: Mapping[str, float]) -> Tensor:
    """Weighted sum of an objective's losses, each over the number of its targets in the whole step."""
    parts = [objective.parts[part] * total / totals[part] for part, total in losses.sums.items()]
    return torch.stack(parts).sum()
