# SPDX-License-Identifier: Apache-2.0
"""Losses of pairs and of sampled answers against values worked out by hand; parity with TRL is in tests/interop."""

from __future__ import annotations

import math

import pytest
import torch

from finesight.data.answers import AnswerTargets, PolicyTargets
from finesight.model.head import OutputHead
from finesight.train.policy import GrpoSection, advantages, policy_losses, token_kl
from finesight.train.preference import DpoSection, answer_sums, kl_sum, pair_losses

ANSWERS = AnswerTargets(
    rows=torch.tensor([3, 4, 3]),
    targets=torch.tensor([1, 2, 0]),
    answers=torch.tensor([0, 0, 1]),
    lengths=torch.tensor([2.0, 1.0]),
)


def loss(chosen, rejected, **section) -> float:
    lengths = torch.tensor([2.0]), torch.tensor([4.0])
    given = torch.tensor([chosen]), torch.tensor([rejected])
    return float(pair_losses(*given, *lengths, DpoSection(**section)))


def test_losses_of_a_pair() -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    assert loss(3.0, -1.0, beta=0.5) == pytest.approx(-math.log(sigmoid(2.0)))
    assert loss(3.0, -1.0, beta=0.5, loss="hinge") == 0.0
    assert loss(1.0, 0.0, beta=0.5, loss="hinge") == pytest.approx(0.5)
    assert loss(3.0, -1.0, beta=0.5, loss="ipo") == pytest.approx((1.5 + 0.25 - 1.0) ** 2)
    wanted = (-0.8 * math.log(sigmoid(2.0)) + 0.2 * math.log(sigmoid(-2.0))) / 0.6
    robust = loss(3.0, -1.0, beta=0.5, loss="robust", label_smoothing=0.2)
    assert robust == pytest.approx(wanted)


def test_values_of_tokens_are_added_up_by_answer() -> None:
    assert answer_sums(torch.tensor([1.0, 2.0, 4.0]), ANSWERS).tolist() == [3.0, 4.0]


def test_divergence_is_exact() -> None:
    torch.manual_seed(0)
    head, other = (OutputHead(8, 30, tied_to=None) for _ in range(2))
    rows, others = torch.randn(200, 8), torch.randn(200, 8)
    with torch.no_grad():
        found = head(rows).log_softmax(-1)
        wanted = torch.nn.functional.kl_div(
            other(others).log_softmax(-1), found, reduction="sum", log_target=True
        )
        assert float(kl_sum(head, rows, other, others)) == pytest.approx(float(wanted), rel=1e-5)
        assert float(kl_sum(head, rows, head, rows)) == pytest.approx(0.0, abs=1e-4)


def test_the_ratio_is_clipped_where_it_has_gone_far_enough() -> None:
    found = torch.tensor([0.5, -0.5, 0.5]).log1p().requires_grad_()
    policy = PolicyTargets(
        advantages=torch.tensor([1.0, -1.0]), sampled=torch.zeros(3), reference=torch.zeros(0)
    )
    losses, values = policy_losses(found, ANSWERS, policy, GrpoSection(kl=0.0, clip_high=0.3))
    assert losses.tolist() == pytest.approx([-1.3, -0.5, 1.5])
    assert values["clipped"].total == 1
    losses.sum().backward()
    assert found.grad is not None
    assert found.grad.tolist() == pytest.approx([0.0, -0.5, 1.5])


def test_the_estimate_of_the_divergence_is_that_of_schulman() -> None:
    assert token_kl(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.0, math.e - 2])


def test_log_probabilities_of_a_temperature() -> None:
    torch.manual_seed(0)
    head = OutputHead(8, 30, tied_to=None)
    rows, targets = torch.randn(5, 8), torch.arange(5)
    found = head.log_probs(rows, targets, temperature=0.5)
    wanted = (2 * head(rows)).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(found, wanted)


def test_advantages_are_relative_to_the_group() -> None:
    rewards = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    spread = math.sqrt(0.5)
    found = advantages(rewards, scale="group")
    torch.testing.assert_close(found[0], torch.tensor([0.5, -0.5]) / (spread + 1e-4))
    assert found[1].tolist() == [0.0, 0.0]
    assert advantages(rewards, scale="none")[0].tolist() == [0.5, -0.5]
