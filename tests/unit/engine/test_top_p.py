# SPDX-License-Identifier: Apache-2.0
"""The token that makes the sum reach top_p is kept, the next one is not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.conversation import Sampling
from finesight.engine.sampler import Sampler
from finesight.engine.truncation import NEVER

NO_PROMPT = torch.zeros(0, dtype=torch.int64)


def keep_top_p(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    return Sampler(Sampling(temperature=1.0, top_p=top_p), NO_PROMPT).scores(scores)


def kept(scores: torch.Tensor, top_p: float) -> int:
    return int(torch.isfinite(keep_top_p(scores, top_p)).sum())


@pytest.mark.parametrize(
    ("top_p", "count"),
    [
        (0.125, 1),  # one of eight equal tokens reaches an eighth
        (0.126, 2),
        (0.25, 2),
        (0.374, 3),
        (0.375, 3),
        (0.5, 4),
        (0.51, 5),
        (0.875, 7),
        (0.99, 8),
    ],
)
def test_of_eight_equal_tokens(top_p, count):
    assert kept(torch.zeros(8), top_p) == count


def test_the_sum_is_reached_exactly_by_the_second_token():
    """Halves, in float: two tokens of 1/2 - nothing, then two impossible ones."""
    scores = torch.tensor([0.0, NEVER, 0.0, NEVER])
    assert torch.isfinite(keep_top_p(scores, 0.5)).sum() == 1
    assert torch.isfinite(keep_top_p(scores, 0.75)).tolist() == [True, False, True, False]


def test_what_is_kept_keeps_its_score():
    scores = torch.tensor([0.3, 2.0, -1.0, 1.5])
    found = keep_top_p(scores, 0.7)
    assert found.tolist() == [NEVER, 2.0, NEVER, 1.5]


def test_top_p_of_one_keeps_everything():
    sampler = Sampler(Sampling(temperature=1.0, top_p=1.0), NO_PROMPT)
    assert torch.isfinite(sampler.scores(torch.tensor([9.0, -30.0, 0.0]))).all()


def test_top_p_comes_after_the_temperature():
    """At temperature 4 the best token alone no longer reaches 0.6."""
    logits = torch.tensor([2.0, 0.0, 0.0])
    cold = Sampler(Sampling(temperature=1.0, top_p=0.6), NO_PROMPT).scores(logits)
    warm = Sampler(Sampling(temperature=4.0, top_p=0.6), NO_PROMPT).scores(logits)
    assert torch.isfinite(cold).sum() == 1
    assert torch.isfinite(warm).sum() == 2


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-8, 8), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
)
def test_the_kept_set_is_the_smallest_that_reaches_top_p(values, top_p):
    scores = torch.tensor(values)
    chosen = torch.isfinite(keep_top_p(scores, top_p))
    probabilities = scores.double().softmax(0)
    total = float(probabilities[chosen].sum())
    least = float(probabilities[chosen].min())
    slack = 1e-5  # float32 sums
    assert total >= top_p - slack
    assert total - least <= top_p + slack
    if not bool(chosen.all()):
        assert least >= float(probabilities[~chosen].max())
