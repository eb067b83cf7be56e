# SPDX-License-Identifier: Apache-2.0
"""Direct preference optimisation (DPO) on packs of pairs: a better and a worse answer to one prompt.

The score of an answer is the difference of its log-probabilities under the trained model and under the reference, and
the loss makes the score of the better answer larger than that of the worse one. The vision tower is frozen: its tokens
are computed once a pair, for both answers and both models, and so is the prompt of each model.

Legend: P pairs of a pack, A = 2 P answers (better, worse, better, ...), R target tokens.
Source: Rafailov et al. 2023 (arXiv 2305.18290); "ipo": Azar et al. 2023 (arXiv 2310.12036); "robust": Chowdhury et al.
2024 (arXiv 2403.00409); "hinge": Zhao et al. 2023 (arXiv 2305.10425). Parity: tests/interop/test_trl.py.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from finesight.config.settings import Settings
from finesight.data.answers import AnswerTargets
from finesight.data.loader import TrainBatch
from finesight.errors import ConfigError
from finesight.model.head import OutputHead
from finesight.model.vl import VisionLanguageModel
from finesight.train.meters import Sum
from finesight.train.objective import ForwardPass, Losses

__all__ = ["DpoSection", "Preference", "answer_sums", "answers_of", "pair_losses"]

ReferenceKind = Literal["adapters", "copy"]
"""The reference: the model without its adapters, or a frozen copy of the initial decoder."""


_ROWS_PER_CHUNK = 128
"""Rows whose logits are in memory at a time: 78 MB of float32 for a vocabulary of 151,936."""


class DpoSection(Settings):
    """The loss of preference pairs, and its reference model."""

    loss: Literal["sigmoid", "robust", "ipo", "hinge"] = Field(
        "sigmoid", description="loss of a pair; see finesight.train.preference"
    )
    beta: float = Field(
        0.1,
        gt=0,
        description="how strongly the model is held to the reference: a score is beta times the difference of "
        "log-probabilities; for ipo, the regularisation",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="assumed share of pairs with exchanged answers; only for robust",
    )
    tokens: float = Field(
        0.0, ge=0, description="weight of next-token prediction of the better answers"
    )
    reference: ReferenceKind = Field(
        "adapters",
        description="reference model: adapters is the model without [lora]; copy is a frozen copy of the initial "
        "decoder, for training without adapters, whole on each of several ranks",
    )

    @model_validator(mode="after")
    def _smooths_what_can_be_smoothed(self) -> DpoSection:
        if self.label_smoothing and self.loss != "robust":
            raise ConfigError(
                f"dpo.label_smoothing is {self.label_smoothing:g}, but dpo.loss = {self.loss!r} has none",
                hint='set dpo.loss = "robust", or leave label_smoothing out',
            )
        return self


class Preference:
    """DPO loss of the pairs of a pack, and for the log the scores of their answers.

    Args:
        config: the loss.
        reference: the reference model, with the vision tower of the trained one; None is the trained model without
            its adapters.
    """

    name = "dpo"

    def __init__(self, config: DpoSection, reference: VisionLanguageModel | None = None) -> None:
        self.parts = {"dpo": 1.0} | ({"tokens": config.tokens} if config.tokens else {})
        self._config = config
        self._reference = reference

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Number of pairs, and of tokens of the better answers."""
        lengths = answers_of(pack).lengths
        found = {"dpo": len(lengths) / 2}
        return found | ({"tokens": float(lengths[::2].sum())} if self._config.tokens else {})

    def __call__(self, forward: ForwardPass) -> Losses:
        """Losses `dpo` and `tokens`; values `reward_chosen`, `reward_rejected`, `reward_margin`, `reward_acc`, `kl`."""
        answers = answers_of(forward.pack)
        head = forward.head if self._reference is None else self._reference.lm_head
        found = forward.log_probs(answers)
        rows = forward.reference_rows(answers, self._reference)
        with torch.no_grad():
            reference = head.log_probs(rows, answers.targets)
            kl = kl_sum(forward.head, forward.hidden()[answers.rows], head, rows)
        scores = answer_sums(found - reference, answers)
        chosen, rejected = scores[::2], scores[1::2]
        losses = pair_losses(
            chosen, rejected, answers.lengths[::2], answers.lengths[1::2], self._config
        )
        sums = {"dpo": losses.sum()}
        if self._config.tokens:
            sums["tokens"] = -answer_sums(found, answers)[::2].sum()
        values = self._rewards(scores.detach()) | {"kl": Sum(kl, float(len(found)))}
        return Losses(sums, values)

    def _rewards(self, scores: Tensor) -> dict[str, Sum]:
        """Values for the log, of the log-probabilities of the answers relative to the reference, float32[A]."""
        rewards = self._config.beta * scores
        margin = rewards[::2] - rewards[1::2]
        number = float(len(margin))
        return {
            "reward_chosen": Sum(rewards[::2].sum(), number),
            "reward_rejected": Sum(rewards[1::2].sum(), number),
            "reward_margin": Sum(margin.sum(), number),
            "reward_acc": Sum((margin > 0).sum(), number),
        }


def pair_losses(
    chosen: Tensor,
    rejected: Tensor,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    config: DpoSection,
) -> Tensor:
    """float32[P], the loss of each pair.

    Args:
        chosen: float32[P], log-probability of the better answer by the model, less that by the reference.
        rejected: float32[P], of the worse answer.
        chosen_lengths: float32[P], tokens of the better answer.
        rejected_lengths: float32[P], of the worse answer.
        config: the loss.
    """
    if (
        config.loss == "ipo"
    ):  # means per token, as the authors of IPO advise for answers of different lengths
        gap = chosen / chosen_lengths - rejected / rejected_lengths
        return (gap - 1 / (2 * config.beta)).square()
    margin = config.beta * (chosen - rejected)
    if config.loss == "hinge":
        return torch.relu(1 - margin)
    right = -functional.logsigmoid(margin)
    if config.loss == "sigmoid":
        return right
    noise = config.label_smoothing
    wrong = -functional.logsigmoid(-margin)
    return ((1 - noise) * right - noise * wrong) / (1 - 2 * noise)


def kl_sum(
    head: OutputHead, rows: Tensor, reference_head: OutputHead, reference_rows: Tensor
) -> Tensor:
    """Sum over the rows of KL(model || reference), a scalar; call it without gradients.

    Args:
        head: output head of the model.
        rows: `[R, D]`, its states.
        reference_head: output head of the reference.
        reference_rows: `[R, D]`, its states.
    """
    total = rows.new_zeros((), dtype=torch.float32)
    pairs = zip(rows.split(_ROWS_PER_CHUNK), reference_rows.split(_ROWS_PER_CHUNK), strict=True)
    for one, other in pairs:
        found = head(one).float().log_softmax(-1)
        wanted = reference_head(other).float().log_softmax(-1)
        total += (found.exp() * (found - wanted)).sum()
    return total


def answer_sums(values: Tensor, answers: AnswerTargets) -> Tensor:
    """float32[A], sums of values of tokens over each answer."""
    zeros = values.new_zeros(len(answers.lengths))
    return zeros.index_add(0, answers.answers, values)


def answers_of(pack: TrainBatch) -> AnswerTargets:
    """The answers of a pack of `finesight.data.answers`."""
    assert pack.answers is not None, "the loader makes packs of answers for this recipe"
    return pack.answers
