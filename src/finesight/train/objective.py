# SPDX-License-Identifier: Apache-2.0
"""Training objectives, computed from one forward pass of the model.

Each objective has a number of targets per pack and computes sums of losses. The trainer divides each sum by the number
of targets of the whole optimizer step, so the weight of a target does not depend on the size of its pack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from finesight.batch import PackedBatch
from finesight.data.loader import TrainBatch
from finesight.model.head import OutputHead
from finesight.model.lora import without_lora
from finesight.model.vl import VisionLanguageModel
from finesight.train.meters import Sum


class ForwardPass:
    """The model on one pack; visual tokens are computed once, on first use.

    Args:
        model: the network.
        pack: a pack on the device of the model.
    """

    def __init__(self, model: VisionLanguageModel, pack: TrainBatch) -> None:
        self._model = model
        self.pack = pack
        self._hidden: Tensor | None = None

    @property
    def embedding(self) -> Tensor:
        """`[V, D]`, the token embedding of the model."""
        return self._model.model.embed_tokens.weight

    @property
    def head(self) -> OutputHead:
        """The output head of the model."""
        return self._model.lm_head

    @cached_property
    def visual_tokens(self) -> Tensor | None:
        """`[M, D]`, output of the merger; None for a pack without pictures."""
        vision = self.pack.batch.vision
        return None if vision is None else self._model.encode_vision(vision)

    def hidden(self, *, reaches_vision: bool = True) -> Tensor:
        """`[T, D]`, states after the decoder's final norm; computed once, by the first call.

        Args:
            reaches_vision: whether gradients flow into the vision tower; later calls take the states as they are.
        """
        if self._hidden is None:
            visual = self.visual_tokens
            if visual is not None and not reaches_vision:
                visual = visual.detach()
            self._hidden = self._model(self.pack.batch, vision_embeds=visual)
        return self._hidden

    @torch.no_grad()
    def hidden_without_lora(self, text: PackedBatch) -> Tensor:
        """`[R, D]`, states of a pack without pictures, by the decoder without its adapters and without gradients."""
        with without_lora(self._model):
            hidden: Tensor = self._model(text)
        return hidden

    def token_loss(
        self, hidden: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sum of the cross-entropies of rows of `hidden`, and the number of correct predictions."""
        loss, _, is_right = self._model.lm_head.loss(hidden, targets, weights)
        return loss, is_right.sum()


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses of an objective for one pack.

    Attributes:
        sums: scalar sum of the losses of each part.
        values: other values, for the log only.
    """

    sums: dict[str, Tensor]
    values: dict[str, Sum] = field(default_factory=dict)


class Objective(Protocol):
    """A loss, or several. An objective with weights of its own is an `nn.Module`, too."""

    @property
    def name(self) -> str:
        """Prefix of the names of its weights."""
        ...

    @property
    def parts(self) -> Mapping[str, float]:
        """Weight of each loss by name; each loss is normalised by its own number of targets."""
        ...

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Sum of the target weights of each part, for a pack on the host."""
        ...

    def __call__(self, forward: ForwardPass) -> Losses:
        """Losses of the parts that have targets in the pack."""
        ...


class WholeStep(ABC):
    """An objective that compares samples of different packs of an optimizer step."""

    @abstractmethod
    def begin_step(self, passes: Sequence[ForwardPass]) -> None:
        """See all packs of a step, without gradients, before the objective is called for each of them.

        Args:
            passes: forward passes of the packs with targets, in the order of the calls.
        """


class NextToken:
    """Next-token prediction of the assistant messages.

    Args:
        weight: weight of the loss.
        balance: the weight of a token is the length of its answer to the power `-balance`: 0 weighs all tokens
            equally, 1 all answers, 0.5 is "square averaging" (InternVL 2.5, arXiv 2412.05271). A count is one token, a
            list of boxes a hundred: with 0 the count has a hundredth of the list's weight, with 0.5 a tenth.
        reaches_vision: whether the loss trains the vision tower.

    Worked example: answers of 1 and 4 tokens with balance 0.5 have `1 + 4 x 0.5 = 3` targets.
    """

    name = "tokens"

    def __init__(
        self, weight: float = 1.0, *, balance: float = 0.0, reaches_vision: bool = True
    ) -> None:
        self.parts = {"tokens": weight}
        self._balance = balance
        self._reaches_vision = reaches_vision

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Sum of the weights of all target tokens."""
        return {"tokens": float((pack.next_tokens.lengths**-self._balance).sum())}

    def __call__(self, forward: ForwardPass) -> Losses:
        """Loss `tokens` and, for the log, the accuracy `token_acc`."""
        learned = forward.pack.next_tokens
        hidden = forward.hidden(reaches_vision=self._reaches_vision)
        weights = learned.lengths**-self._balance if self._balance else None
        loss, right = forward.token_loss(hidden[learned.rows], learned.targets, weights)
        share = Sum(right, float(len(learned.rows)))
        return Losses({"tokens": loss}, {"token_acc": share})


def total_targets(objectives: list[Objective], packs: list[TrainBatch]) -> dict[str, float]:
    """Targets of each part in all packs of an optimizer step, the divisor of its loss."""
    totals: dict[str, float] = {}
    for objective in objectives:
        for pack in packs:
            for part, number in objective.num_targets(pack).items():
                totals[part] = totals.get(part, 0.0) + number
    return totals


def normalised(losses: Losses, objective: Objective, totals: Mapping[str, float]) -> Tensor:
    """Weighted sum of an objective's losses, each divided by its number of targets in the whole step."""
    parts = [objective.parts[part] * total / totals[part] for part, total in losses.sums.items()]
    return torch.stack(parts).sum()
