# SPDX-License-Identifier: Apache-2.0
"""Token sampling: repetition penalty, temperature, top-k, top-p, draw.

The order is that of transformers: repetition penalty over prompt and answer, then temperature,
top-k, top-p, then the draw. Log-probabilities are those of the unmodified logits,
so that they do not depend on the temperature.

The draw uses one uniform number per token from the request's own generator, on the CPU. It
does not depend on the device or on other requests.

Legend: S sequences, V vocabulary. Parity: tests/parity/test_sampling_scores.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.conversation import Sampling

NEVER = float("-inf")
"""Logit of a token that cannot be drawn."""
LEAST_TEMPERATURE = 1e-30
"""Lower bound of the temperature: at this value only the best token can be drawn, below it float32 overflows."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One drawn token.

    Attributes:
        token_id: the token.
        logprob: natural logarithm of its probability under the unmodified logits; None if not requested.
        top: `(token_id, logprob)` of the likeliest tokens, best first.
    """

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Draws the tokens of one answer.

    Args:
        sampling: sampling parameters.
        prompt_ids: int64[L], tokens before the answer; the repetition penalty counts them as seen.
    """

    def __init__(self, sampling: Sampling, prompt_ids: Tensor) -> None:
        self.sampling = sampling
        self._seen = set(prompt_ids.tolist()) if sampling.repetition_penalty != 1.0 else set()
        self._generator = torch.Generator(device="cpu")
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the result is the argmax of the unmodified logits, without log-probabilities."""
        sampling = self.sampling
        is_untouched = sampling.repetition_penalty == 1.0 and sampling.logprobs is None
        return is_untouched and sampling.temperature == 0

    def pick(self, logits: Tensor) -> Pick:
        """Draw the next token.

        Args:
            logits: float[V], unmodified; not written to.
        """
        raw = logits.float()
        scores = self.scores(raw)
        token_id = int(scores.argmax()) if self.sampling.temperature == 0 else self._draw(scores)
        if self.sampling.repetition_penalty != 1.0:
            self._seen.add(token_id)
        if self.sampling.logprobs is None:
            return Pick(token_id)
        return _with_logprobs(raw, token_id, self.sampling.logprobs)

    def scores(self, logits: Tensor) -> Tensor:
        """Logits after penalty, temperature and truncation; excluded tokens are -inf.

        Args:
            logits: float32[V].
        """
        sampling = self.sampling
        scores = self._penalised(logits)
        if sampling.temperature == 0:
            return scores
        scores = scores / max(sampling.temperature, LEAST_TEMPERATURE)
        if sampling.top_k:
            scores = keep_top_k(scores, sampling.top_k)
        if sampling.top_p < 1:
            scores = keep_top_p(scores, sampling.top_p)
        return scores

    def _penalised(self, logits: Tensor) -> Tensor:
        if not self._seen:
            return logits
        penalty = self.sampling.repetition_penalty
        seen = torch.tensor(sorted(self._seen), device=logits.device)
        seen = seen[seen < logits.numel()]
        values = logits[seen]
        changed = torch.where(values < 0, values * penalty, values / penalty)
        return logits.index_put((seen,), changed)

    def _draw(self, scores: Tensor) -> int:
        """Inverse transform sampling with one uniform number."""
        # float64: in float32 the sum of 150,000 terms is off by more than the smallest of them.
        cumulative = scores.softmax(dim=0, dtype=torch.float64).cumsum(dim=0)
        uniform = torch.rand((), generator=self._generator, dtype=torch.float64).item()
        target = cumulative[-1] * uniform
        return int(torch.searchsorted(cumulative, target, right=True))


def pick_rows(logits: Tensor, samplers: Sequence[Sampler]) -> list[Pick]:
    """Draw the next token of several sequences.

    Args:
        logits: float[S, V], unmodified; not written to.
        samplers: one per row.
    """
    best = logits.argmax(dim=1).tolist()  # one transfer for all greedy rows
    return [
        Pick(best[row]) if sampler.is_plain_greedy else sampler.pick(logits[row])
        for row, sampler in enumerate(samplers)
    ]


def keep_top_k(scores: Tensor, top_k: int) -> Tensor:
    """Exclude all but the `top_k` best tokens; ties with the last of them stay."""
    threshold = scores.topk(min(top_k, scores.numel())).values[-1]
    return scores.masked_fill(scores < threshold, NEVER)


def keep_top_p(scores: Tensor, top_p: float) -> Tensor:
    """Exclude the least likely tokens with a total probability of at most 1 - top_p; the best one stays."""
    ascending, order = scores.sort()
    ruled_out = ascending.softmax(dim=0).cumsum(dim=0) <= 1 - top_p
    ruled_out[-1] = False
    return scores.masked_fill(ruled_out.new_zeros(scores.shape).scatter(0, order, ruled_out), NEVER)


def _with_logprobs(logits: Tensor, token_id: int, num_top: int) -> Pick:
    logprobs = logits.log_softmax(dim=0)
    best = logprobs.topk(min(num_top, logprobs.numel()))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return Pick(token_id, float(logprobs[token_id]), top)
