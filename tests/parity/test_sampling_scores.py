# SPDX-License-Identifier: Apache-2.0
"""Penalty, temperature, top-k, top-p and min-p against transformers' own processors, in its order."""

from __future__ import annotations

import pytest
import torch

from finesight.conversation import Sampling
from finesight.engine.sampler import Sampler

transformers = pytest.importorskip("transformers")

CASES = [
    Sampling(temperature=0.7),
    Sampling(temperature=1.0, top_k=5),
    Sampling(temperature=1.0, top_p=0.8),
    Sampling(temperature=1.3, top_p=0.01),
    Sampling(temperature=0.7, top_k=20, top_p=0.9),
    Sampling(temperature=0.1, top_p=0.001, top_k=1, repetition_penalty=1.05),
    Sampling(temperature=1.0, repetition_penalty=1.3),
    Sampling(temperature=2.0, repetition_penalty=0.8, top_k=50, top_p=0.95),
    Sampling(temperature=1.0, min_p=0.05),
    Sampling(temperature=1.5, top_k=30, top_p=0.9, min_p=0.02, repetition_penalty=1.1),
]


def reference_scores(sampling: Sampling, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    steps = [transformers.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)]
    steps.append(transformers.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        steps.append(transformers.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(transformers.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        steps.append(transformers.MinPLogitsWarper(sampling.min_p))
    return transformers.LogitsProcessorList(steps)(ids[None], logits[None].clone())[0]


@pytest.mark.parametrize("sampling", CASES)
def test_probabilities_equal(sampling):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        logits = 4 * torch.randn(500, generator=generator)
        ids = torch.randint(0, 500, (60,), generator=generator)
        ours = Sampler(sampling, ids).scores(logits)
        theirs = reference_scores(sampling, ids, logits)
        # Exact: the same operations in the same order on float32.
        assert torch.equal(ours.softmax(0), theirs.softmax(0))
