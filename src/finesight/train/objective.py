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

from finesight.batch import PackedBatch, VisionBatch
from finesight.data.loader import TextOnly, TrainBatch
from finesight.model.head import OutputHead
from finesight.model.lora import without_lora
from finesight.model.vl import VisionLanguageModel
from finesight.train.meters import Sum
from finesight.train.parallel import Ranks, whole


class ForwardPass:
    """The model on one pack; visual tokens are computed once, on first use.

    In a run of several ranks, every rank must run the same parts of the model in the same order: the ranks gather the
    weights of each part together. So a pack without pictures runs the vision tower on a blank grid if another rank has
    pictures; its visual tokens have no place in the pack, and get no gradient. And an objective runs on all ranks if
    one of them has a target.

    Args:
        model: the network.
        pack: a pack on the device of the model.
        blank: what a pack without pictures runs in their place, in a run of several ranks.
    """

    def __init__(
        self, model: VisionLanguageModel, pack: TrainBatch, blank: Blank | None = None
    ) -> None:
        self._model = model
        self._blank = blank
        self.pack = pack
        self._hidden: Tensor | None = None

    @property
    def embedding(self) -> Tensor:
        """`[V, D]`, the token embedding of the model; all ranks must read it at the same place."""
        return whole(self._model.model.embed_tokens.weight)

    @property
    def head(self) -> OutputHead:
        """The output head of the model."""
        return self._model.lm_head

    @cached_property
    def visual_tokens(self) -> Tensor | None:
        """`[M, D]`, output of the merger.

        For a pack without pictures None, or `[0, D]` if another rank has pictures.
        """
        vision = self.pack.batch.vision
        if vision is not None:
            return self._model.encode_vision(vision)
        if self._blank is None or self._blank.vision is None:
            return None
        # no token of the grid is used: the tower gets a gradient of zero
        return self._model.encode_vision(self._blank.vision)[:0]

    @property
    def text_only(self) -> TextOnly | None:
        """The samples of the pack without pictures and targets.

        If there are none, None, or one token without rows in a run of several ranks.
        """
        found = self.pack.text_only
        return self._blank.text if found is None and self._blank is not None else found

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

    def nothing(self) -> list[Tensor]:
        """A loss of zero on each output that was computed: its gradients of zero run through the model as others do."""
        outputs = (self.__dict__.get("visual_tokens"), self._hidden)
        return [each[:0].sum() for each in outputs if each is not None]

    @torch.no_grad()
    def hidden_without_lora(self, text: PackedBatch) -> Tensor:
        """`[R, D]`, states of a pack without pictures, by the decoder without its adapters and without gradients."""
        with without_lora(self._model):
            hidden: Tensor = self._model(text)
        return hidden

    def token_loss(
        self, hidden: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Sum of the cross-entropies of rows of `hidden`, that of each row, and the number of correct predictions.

        Those of each row are None if several ranks share the rows.
        """
        exchange = self._model.model.exchange
        if exchange is not None:  # each rank of the pack computes a part of the rows
            hidden, targets = exchange.share(hidden), exchange.share(targets)
            weights = None if weights is None else exchange.share(weights)
        loss, row_losses, is_right = self._model.lm_head.loss(hidden, targets, weights)
        if exchange is None:
            return loss, row_losses, is_right.sum()
        return exchange.sum(loss), None, exchange.sum(is_right.sum())


@dataclass(frozen=True, slots=True)
class Blank:
    """What a rank computes for a pack that lacks what the packs of other ranks have.

    Attributes:
        vision: a grid of 2 x 2 patches of zeros; None if no rank has a picture.
        text: a pack of one token, without rows.
    """

    vision: VisionBatch | None
    text: TextOnly

    def to(self, device: torch.device) -> Blank:
        """Copy on a device."""
        text = TextOnly(self.text.batch.to(device), self.text.rows.to(device))
        return Blank(None if self.vision is None else self.vision.to(device), text)


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
        """Losses of the parts that have targets in the pack.

        In a run of several ranks it is called on all of them if one has a target. On a pack without targets it must
        run the same parts of the model; it may return no sums.
        """
        ...


class WholeStep(ABC):
    """An objective that compares samples of different packs of an optimizer step."""

    @abstractmethod
    def begin_step(self, passes: Sequence[ForwardPass]) -> None:
        """See all packs of a step, without gradients, before the objective is called for each of them.

        Args:
            passes: forward passes of the packs with targets on this or another rank, in the order of the calls.
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
        """Loss `tokens` and, for the log, the accuracy `token_acc` and the mean loss of each source."""
        learned = forward.pack.next_tokens
        hidden = forward.hidden(reaches_vision=self._reaches_vision)
        weights = learned.lengths**-self._balance if self._balance else None
        loss, row_losses, right = forward.token_loss(hidden[learned.rows], learned.targets, weights)
        share = Sum(right, float(len(learned.rows)))
        return Losses(
            {"tokens": loss}, {"token_acc": share, **_by_source(forward.pack, row_losses)}
        )


def _by_source(pack: TrainBatch, row_losses: Tensor | None) -> dict[str, Sum]:
    """Sum of the losses of the targets of each source, for the log; the mean weighs all tokens equally."""
    names = sorted(set(pack.sources))
    if not names or row_losses is None:
        return {}
    index = torch.tensor([names.index(one) for one in pack.sources], device=row_losses.device)
    rows = index[pack.batch.sample_ids[pack.next_tokens.rows]]
    zeros = row_losses.new_zeros(len(names))
    sums = zeros.index_add(0, rows, row_losses)
    counts = zeros.index_add(0, rows, torch.ones_like(row_losses))
    return {f"tokens/{name}": Sum(sums[at], counts[at]) for at, name in enumerate(names)}


@dataclass(frozen=True, slots=True)
class Targets:
    """Numbers of targets of an optimizer step, over the packs of all ranks.

    Attributes:
        totals: by part; the divisor of its loss.
        own: targets by part of each objective, for each pack of this rank.
        runs: whether each objective has a target at all, for each pack of this rank and those that other ranks compute
            at the same time.
        sees: whether one of these packs has a picture, for each pack of this rank.
    """

    totals: dict[str, float]
    own: list[list[dict[str, float]]]
    runs: list[list[bool]]
    sees: list[bool]

    @classmethod
    def of(
        cls, objectives: Sequence[Objective], packs: Sequence[TrainBatch], ranks: Ranks
    ) -> Targets:
        """Count the targets of the packs of this rank, and sum them over the ranks."""
        own = [[objective.num_targets(pack) for objective in objectives] for pack in packs]
        counts = [
            counted.get(part, 0.0) if ranks.counts else 0.0
            for of_pack in own
            for objective, counted in zip(objectives, of_pack, strict=True)
            for part in objective.parts
        ]
        is_alone = ranks.mesh is None  # and then never runs a blank grid
        pictures = [float(is_alone or pack.batch.vision is not None) for pack in packs]
        sums = ranks.sums([*counts, *pictures])
        found, sees = iter(sums), [number > 0 for number in sums[len(counts) :]]
        totals: dict[str, float] = {}
        runs: list[list[bool]] = []
        for _ in packs:
            by_part = [{part: next(found) for part in objective.parts} for objective in objectives]
            runs.append([any(of_objective.values()) for of_objective in by_part])
            for part, number in (pair for one in by_part for pair in one.items()):
                totals[part] = totals.get(part, 0.0) + number
        return cls(totals, own, runs, sees)


def normalised(losses: Losses, objective: Objective, totals: Mapping[str, float]) -> Tensor:
    """Weighted sum of an objective's losses, each divided by its number of targets in the whole step."""
    parts = [
        objective.parts[part] * total / (totals[part] or 1.0)  # without a target the sum is zero
        for part, total in losses.sums.items()
    ]
    return torch.stack(parts).sum()
