# SPDX-License-Identifier: Apache-2.0
"""Tokens are drawn as asked, and the same seed draws the same."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from finesight.conversation import Sampling
from finesight.engine.sampler import Sampler
from finesight.engine.truncation import NEVER

NO_PROMPT = torch.zeros(0, dtype=torch.int64)
LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0, 0.5])


def draw(sampling: Sampling, count: int = 1, logits: torch.Tensor = LOGITS) -> list[int]:
    sampler = Sampler(sampling, NO_PROMPT)
    return [sampler.pick(logits).token_id for _ in range(count)]


def scores(logits: torch.Tensor, **options) -> torch.Tensor:
    return Sampler(Sampling(temperature=1.0, **options), NO_PROMPT).scores(logits)


def test_greedy_takes_the_best():
    assert draw(Sampling(temperature=0)) == [1]


def test_greedy_minds_the_penalty():
    sampler = Sampler(Sampling(temperature=0, repetition_penalty=2.0), torch.tensor([1]))
    assert sampler.pick(LOGITS).token_id == 2, "3.0 / 2 is under 2.0"
    assert sampler.pick(LOGITS).token_id == 1, "2.0 / 2 is under 1.5"


def test_penalty_pushes_negative_logits_down():
    sampler = Sampler(Sampling(repetition_penalty=2.0), torch.tensor([3, 3, 900]))
    assert sampler.scores(LOGITS).tolist() == [1.0, 3.0, 2.0, -2.0, 0.5]


def test_logits_are_left_alone():
    before = LOGITS.clone()
    draw(Sampling(temperature=0.5, repetition_penalty=1.3, top_k=2, top_p=0.9), 5)
    assert torch.equal(LOGITS, before)


@pytest.mark.parametrize("temperature", [1e-6, 1e-40, 1e-300, 5e-324])
def test_a_tiny_temperature_takes_the_best(temperature):
    sampling = Sampling(temperature=temperature, seed=3, top_k=4, top_p=0.9)
    assert draw(sampling, 10) == [1] * 10
    assert draw(sampling, 10, -LOGITS - 5) == [3] * 10
    assert set(draw(sampling, 50, torch.tensor([0.0, 2.0, 2.0, 1.0]))) == {1, 2}  # a tie is drawn


@pytest.mark.parametrize("seed", [-(2**63), 2**64 - 1])
def test_the_ends_of_the_seeds(seed):
    assert draw(Sampling(temperature=1.0, seed=seed), 3) == draw(
        Sampling(temperature=1.0, seed=seed), 3
    )


def test_same_seed_same_tokens():
    sampling = Sampling(temperature=1.0, seed=11)
    assert draw(sampling, 30) == draw(sampling, 30)
    assert draw(sampling, 30) != draw(Sampling(temperature=1.0, seed=12), 30)


def test_no_seed_differs():
    assert draw(Sampling(temperature=2.0), 60) != draw(Sampling(temperature=2.0), 60)


def test_draws_follow_the_probabilities():
    counts = Counter(draw(Sampling(temperature=1.0, seed=0), 4000))
    for token, probability in enumerate(LOGITS.softmax(0).tolist()):
        spread = math.sqrt(probability * (1 - probability) / 4000)
        assert abs(counts[token] / 4000 - probability) < 5 * spread


def test_impossible_token_is_never_drawn():
    logits = torch.tensor([NEVER, 0.0, NEVER, 0.0, NEVER])
    assert set(draw(Sampling(temperature=1.0, seed=3), 300, logits)) == {1, 3}


@pytest.mark.parametrize(("top_k", "kept"), [(1, {1}), (2, {1, 2}), (9, {0, 1, 2, 3, 4})])
def test_top_k(top_k, kept):
    found = scores(LOGITS, top_k=top_k)
    assert {i for i, value in enumerate(found.tolist()) if value > NEVER} == kept


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    found = scores(probabilities.log(), top_p=0.7)
    assert torch.isfinite(found).tolist() == [True, True, False, False]


def test_tiny_top_p_keeps_the_best():
    assert torch.isfinite(scores(LOGITS, top_p=1e-6)).tolist() == [False, True, False, False, False]


def test_tiny_temperature_is_greedy():
    assert draw(Sampling(temperature=1e-6, seed=0), 5) == [1] * 5


def test_logprobs_are_of_the_untouched_logits():
    sampling = Sampling(temperature=0.1, top_k=1, repetition_penalty=1.5, logprobs=2)
    pick = Sampler(sampling, torch.tensor([2])).pick(LOGITS)
    expected = LOGITS.log_softmax(0)
    assert pick.logprob == pytest.approx(float(expected[pick.token_id]))
    assert [token for token, _ in pick.top] == [1, 2]
    assert pick.top[1][1] == pytest.approx(float(expected[2]))


def test_no_logprobs_unless_asked():
    pick = Sampler(Sampling(), NO_PROMPT).pick(LOGITS)
    assert (pick.logprob, pick.top) == (None, ())


def test_zero_alternatives_still_give_the_token_itself():
    pick = Sampler(Sampling(logprobs=0), NO_PROMPT).pick(LOGITS)
    assert pick.logprob is not None
    assert pick.top == ()
