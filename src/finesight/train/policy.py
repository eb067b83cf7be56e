# SPDX-License-Identifier: Apache-2.0
"""Group relative policy optimisation (GRPO) on packs of sampled answers.

Several answers to a prompt are sampled and rewarded. An answer's advantage is its reward relative to the others of its
group; there is no value network. The loss raises the probability of tokens of answers with a positive advantage, within
a clipped range around the probability when they were sampled, and holds the model to a reference.

Legend: A answers of a pack, R tokens of all answers, G answers of a group.
Source: Shao et al. 2024, DeepSeekMath (arXiv 2402.03300); `length = "token"`: Yu et al. 2025, DAPO (arXiv 2503.14476);
"constant" and `scale = "none"`: Liu et al. 2025, Dr. GRPO (arXiv 2503.20783); `kl_correction`: DeepSeek-V3.2 (arXiv
2512.02556). Parity: tests/interop/test_trl.py.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from finesight.config.settings import Settings
from finesight.data.answers import AnswerTargets, PolicyTargets
from finesight.data.loader import TrainBatch
from finesight.model.vl import VisionLanguageModel
from finesight.train.meters import Sum
from finesight.train.objective import ForwardPass, Losses
from finesight.train.preference import ReferenceKind, answers_of

__all__ = ["GrpoSection", "Policy", "advantages", "policy_losses"]

_LEAST_SPREAD = 1e-4
"""Added to the standard deviation of a group, as TRL does."""


class GrpoSection(Settings):
    """The loss of sampled answers, and how they are sampled."""

    prompts: int = Field(8, ge=1, description="prompts of a round of sampling")
    answers: int = Field(8, ge=2, description="answers sampled for each prompt")
    steps: int = Field(
        1, ge=1, description="optimizer steps into which the prompts of a round are split"
    )
    passes: int = Field(1, ge=1, description="times that the answers of a round are learned from")
    max_new_tokens: int = Field(256, ge=1, description="most tokens of an answer")
    temperature: float = Field(
        1.0, gt=0, description="of sampling; the loss divides the logits by it as well"
    )
    max_sequences: int = Field(16, ge=1, description="answers that are sampled at the same time")
    clip_low: float = Field(
        0.2, ge=0, lt=1, description="how far the ratio of probabilities may fall below 1"
    )
    clip_high: float = Field(0.2, ge=0, description="how far it may rise above 1")
    kl: float = Field(
        0.04,
        ge=0,
        description="weight of the divergence from the reference; 0 needs no reference",
    )
    kl_correction: bool = Field(
        True,
        description="whether the divergence of a token is multiplied by its ratio of probabilities, so that its "
        "gradient has no bias (DeepSeek-V3.2)",
    )
    length: Literal["token", "answer", "constant"] = Field(
        "token",
        description="what the loss is divided by: token is the number of tokens of the step (DAPO); answer averages "
        "each answer first (GRPO as first published); constant is max_new_tokens times the answers (Dr. GRPO)",
    )
    scale: Literal["group", "none"] = Field(
        "group", description="whether advantages are divided by the spread of the group's rewards"
    )
    skip_truncated: bool = Field(
        False, description="whether answers that reached max_new_tokens are left out of the loss"
    )
    reference: ReferenceKind = Field(
        "adapters", description="reference model of the divergence, as in [dpo]"
    )


class Policy:
    """Clipped objective of sampled answers, with a divergence from the reference.

    Args:
        config: the loss.
        reference: the reference model, see `finesight.train.preference`; it is read by `targets`.
    """

    name = "grpo"

    def __init__(self, config: GrpoSection, reference: VisionLanguageModel | None = None) -> None:
        self.parts = {"grpo": 1.0}
        self._config = config
        self._reference = reference

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """What the loss is divided by: tokens, answers, or the tokens of answers of the greatest length."""
        lengths = answers_of(pack).lengths
        if self._config.length == "token":
            return {"grpo": float(lengths.sum())}
        most = self._config.max_new_tokens if self._config.length == "constant" else 1
        return {"grpo": float(len(lengths) * most)}

    def __call__(self, forward: ForwardPass) -> Losses:
        """Loss `grpo`; values `kl` and `clipped`, and those of the round."""
        answers, policy = answers_of(forward.pack), forward.pack.policy
        assert policy is not None
        found = forward.log_probs(answers, temperature=self._config.temperature)
        losses, values = policy_losses(found, answers, policy, self._config)
        if self._config.length == "answer":
            losses = losses / answers.lengths[answers.answers]
        of_round = {name: Sum(*value) for name, value in policy.values.items()}
        return Losses({"grpo": losses.sum()}, values | of_round)

    @torch.no_grad()
    def targets(
        self, forward: ForwardPass, scores: Tensor, sampled: Tensor | None = None
    ) -> PolicyTargets:
        """Targets of a pack of sampled answers.

        Args:
            forward: the pass of the model that sampled them.
            scores: float32[A], their advantages.
            sampled: float32[R], log-probabilities of their tokens by that model, if they are known.
        """
        answers = answers_of(forward.pack)
        temperature = self._config.temperature
        if sampled is None:
            sampled = forward.log_probs(answers, temperature=temperature)
        reference = sampled[:0]
        if self._config.kl:
            head = forward.head if self._reference is None else self._reference.lm_head
            rows = forward.reference_rows(answers, self._reference)
            reference = head.log_probs(rows, answers.targets, temperature=temperature)
        return PolicyTargets(scores, sampled, reference)


def policy_losses(
    found: Tensor, answers: AnswerTargets, policy: PolicyTargets, config: GrpoSection
) -> tuple[Tensor, dict[str, Sum]]:
    """The loss of each token, and values for the log.

    Args:
        found: float32[R], log-probability of each token by the model.
        answers: tokens of the answers.
        policy: advantages and log-probabilities by other models.
        config: clipping, and the weight of the divergence.

    Returns:
        float32[R], with the gradient of `found`; the values `clipped` and, with a divergence, `kl`.
    """
    ratio = (found - policy.sampled).exp()
    gain = policy.advantages[answers.answers]
    inside = ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
    losses = -torch.minimum(ratio * gain, inside * gain)
    number = float(len(found))
    is_clipped = (ratio * gain > inside * gain).sum()
    values = {"clipped": Sum(is_clipped, number)}
    if config.kl:
        divergence = token_kl(policy.reference - found)
        if config.kl_correction:
            divergence = divergence * ratio
        losses = losses + config.kl * divergence
        values["kl"] = Sum(divergence.detach().sum(), number)
    return losses, values


def token_kl(gap: Tensor) -> Tensor:
    """Estimate of the divergence from the reference for each token, at least 0.

    Args:
        gap: float32[R], log-probability of the token by the reference, less that by the model.

    Source: Schulman 2020, "Approximating KL divergence", estimator k3.
    """
    return gap.exp() - gap - 1


def advantages(rewards: Tensor, *, scale: Literal["group", "none"]) -> Tensor:
    """Rewards relative to their group.

    Args:
        rewards: float32[P, G].
        scale: whether they are divided by the standard deviation of the group.

    Returns:
        float32[P, G]; 0 in a group whose rewards are equal.
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if scale == "none":
        return centred
    return centred / (rewards.std(dim=1, keepdim=True) + _LEAST_SPREAD)
