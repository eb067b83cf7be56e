# SPDX-License-Identifier: Apache-2.0
"""Truncated scores are those of a full sort, and a row in a batch is what it is alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finesight.conversation import Sampling
from finesight.engine import truncation
from finesight.engine.sampler import Pick, Sampler, pick_rows
from finesight.engine.truncation import NEVER

NO_PROMPT = torch.zeros(0, dtype=torch.int64)


def by_full_sort(scores: torch.Tensor, sampling: Sampling) -> set[int]:
    """Kept tokens, from the definitions: a plain sort, and a loop over it."""
    order = sorted(
        range(len(scores)), key=lambda token: (float(scores[token]), token), reverse=True
    )
    order = [token for token in order if scores[token] > NEVER]
    weights = (scores - scores.max()).exp().double()
    if 0 < sampling.top_k < len(order):
        least = scores[order[sampling.top_k - 1]]
        order = [token for token in order if scores[token] >= least]
    # The sum of whole rows is the row's own; that of what top-k keeps is added up best first.
    whole = float(weights.sum()) if not sampling.top_k else sum(float(weights[i]) for i in order)
    kept, mass = set(), 0.0
    for token in order:
        if sampling.top_p < 1 and mass >= sampling.top_p * whole:
            break
        mass += float(weights[token])
        if weights[token].float() >= torch.tensor(sampling.min_p):
            kept.add(token)
    return kept


def kept(scores: torch.Tensor, sampling: Sampling) -> set[int]:
    found = Sampler(sampling, NO_PROMPT).scores(scores)
    return set((found > NEVER).nonzero().squeeze(1).tolist())


LIMITS = st.builds(
    Sampling,
    temperature=st.just(1.0),
    top_k=st.sampled_from([0, 0, 1, 2, 3, 7, 8, 9, 40, 500]),
    top_p=st.sampled_from([1.0, 1.0, 0.999999, 0.99, 0.9, 0.75, 0.5, 0.25, 0.1, 1e-6]),
    min_p=st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.5, 1.0]),
)
ROWS = st.one_of(
    st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=90),
    # Whole numbers: ties everywhere, and sums that float64 holds exactly.
    st.lists(st.sampled_from([0.0, 1.0, 2.0, NEVER]), min_size=1, max_size=90).filter(
        lambda row: max(row) > NEVER
    ),
)


@given(row=ROWS, sampling=LIMITS)
@pytest.mark.parametrize("block", [1, 3, 32])
@pytest.mark.parametrize("taken", [(2,), (1, 4, 16), (64, 1024)], ids=str)
def test_the_kept_tokens_are_those_of_a_full_sort(taken, block, row, sampling):
    scores = torch.tensor(row)
    before = truncation._NUM_BEST, truncation._BLOCK
    truncation._NUM_BEST, truncation._BLOCK = taken, block
    try:
        assert kept(scores, sampling) == by_full_sort(scores, sampling)
    finally:
        truncation._NUM_BEST, truncation._BLOCK = before


@pytest.mark.parametrize("spread", [0.01, 1.0, 6.0])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_p=0.9),
        Sampling(temperature=1.0, top_p=0.5, min_p=0.001),
        Sampling(temperature=1.0, top_k=300, top_p=0.95),
        Sampling(temperature=1.0, min_p=0.2),
    ],
    ids=lambda sampling: f"k{sampling.top_k}-p{sampling.top_p}-m{sampling.min_p}",
)
def test_a_large_vocabulary_takes_as_many_as_needed(sampling, spread):
    generator = torch.Generator().manual_seed(3)
    scores = spread * torch.randn(20_001, generator=generator)
    scores[::7] = scores[0]  # a tie of thousands
    assert kept(scores, sampling) == by_full_sort(scores, sampling)


def test_the_draw_is_that_of_the_whole_vocabulary():
    """Truncation only removes tokens: with the same random number, the kept ones are drawn as from their own sum."""
    generator = torch.Generator().manual_seed(5)
    logits = 3 * torch.randn(3_000, generator=generator)
    sampling = Sampling(temperature=1.0, top_p=0.8, seed=9)
    drawn = [Sampler(sampling, NO_PROMPT).pick(logits).token_id]
    scores = Sampler(sampling, NO_PROMPT).scores(logits)
    free = Sampler(Sampling(temperature=1.0, seed=9), NO_PROMPT)
    assert drawn == [free.pick(scores).token_id]


SETTINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 0, 3, 50]),
    top_p=st.sampled_from([1.0, 0.9, 0.3]),
    min_p=st.sampled_from([0.0, 0.05]),
    repetition_penalty=st.sampled_from([1.0, 1.3, 0.7]),
    presence_penalty=st.sampled_from([0.0, 0.5]),
    frequency_penalty=st.sampled_from([0.0, -0.2]),
    logprobs=st.sampled_from([None, 0, 4]),
    seed=st.integers(0, 9),
)


@given(
    st.lists(SETTINGS, min_size=1, max_size=6), st.sampled_from([7, 333, 5_003]), st.integers(0, 99)
)
def test_a_row_gives_the_same_alone_and_among_others(chosen, vocab_size, seed):
    """Bit for bit, log-probabilities included, over several tokens."""
    generator = torch.Generator().manual_seed(seed)
    prompt = torch.randint(0, vocab_size, (40,), generator=generator)
    logits = 4 * torch.randn(5, len(chosen), vocab_size, generator=generator)
    logits[:, :, ::3] = logits[:, :, :1]  # ties
    together = [Sampler(each, prompt) for each in chosen]
    batched = [pick_rows(step, together) for step in logits]
    for row, sampling in enumerate(chosen):
        alone = Sampler(sampling, prompt)
        picks: list[Pick] = [alone.pick(step[row]) for step in logits]
        assert picks == [step[row] for step in batched]
