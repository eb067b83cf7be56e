# SPDX-License-Identifier: Apache-2.0
"""Penalties follow their definitions: repetition over prompt and answer, presence and frequency over the answer."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.conversation import Sampling
from finesight.engine.penalties import SeenTokens
from finesight.engine.sampler import Sampler

CPU = torch.device("cpu")


def by_definition(logits, prompt, answer, sampling):
    counts = Counter(answer)
    scores = []
    for token, value in enumerate(logits):
        value = torch.tensor(value)
        if token in counts or token in prompt:
            penalty = sampling.repetition_penalty
            value = value * penalty if value < 0 else value / penalty
        value = value - sampling.frequency_penalty * counts[token]
        scores.append(float(value - sampling.presence_penalty * (counts[token] > 0)))
    return scores


TOKENS = st.lists(st.integers(0, 11), max_size=12)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    prompt=st.lists(st.integers(0, 15), max_size=12),  # ids beyond the vocabulary too
    answer=TOKENS,
    dropped=TOKENS,
    penalties=st.tuples(
        st.sampled_from([1.0, 1.3, 0.7]),
        st.sampled_from([0.0, 0.5, -1.0]),
        st.sampled_from([0.0, 0.25, -0.5]),
    ),
    seed=st.integers(0, 99),
)
def test_penalties_are_those_of_their_definitions(prompt, answer, dropped, penalties, seed):
    repetition, presence, frequency = penalties
    sampling = Sampling(
        repetition_penalty=repetition, presence_penalty=presence, frequency_penalty=frequency
    )
    logits = torch.randn(12, generator=torch.Generator().manual_seed(seed))
    seen = SeenTokens(torch.tensor(prompt, dtype=torch.int64), 12, CPU)
    for token in [*answer, *dropped]:
        seen.add(token)
    seen.remove(dropped)
    found = logits.clone()
    seen.penalise_(found, sampling)
    expected = by_definition(logits.tolist(), set(prompt), answer, sampling)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_presence_and_frequency_do_not_count_the_prompt():
    logits = torch.tensor([1.0, 2.0, 3.0])
    sampler = Sampler(Sampling(presence_penalty=2.0, frequency_penalty=2.0), torch.tensor([2, 2]))
    assert sampler.pick(logits).token_id == 2
    assert sampler.scores(logits).tolist() == [1.0, 2.0, -1.0]
    assert sampler.pick(logits).token_id == 1


def test_a_negative_penalty_makes_the_same_more_likely():
    logits = torch.tensor([1.0, 1.5])
    sampler = Sampler(Sampling(frequency_penalty=-0.3), torch.tensor([0]))
    for count in range(3):
        assert sampler.scores(logits).tolist() == pytest.approx([1.0, 1.5 + 0.3 * count])
        assert sampler.pick(logits).token_id == 1
