# SPDX-License-Identifier: Apache-2.0
"""Token sampling: constraint, penalties, temperature, truncation, draw.

The order is that of transformers: the tokens that a constraint excludes, penalties, temperature, top-k, top-p, min-p,
then the draw. Log-probabilities are those of the unmodified logits, so that they do not depend on the temperature or
on a constraint.

The draw uses one uniform number per token from the request's own generator, on the CPU. It
does not depend on the device or on other requests.

Legend: S sequences, V vocabulary. Parity: tests/parity/test_sampling_scores.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.engine.constraint import Constraint
from finesight.engine.penalties import RETRY_PENALTY, RETRY_TOKENS, SeenTokens, repeated
from finesight.engine.truncation import LEAST_TEMPERATURE, NEVER, candidates, draw
from finesight.errors import EngineError
from finesight.sampling import Sampling


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
    """The settings and the state by which the tokens of one answer are drawn.

    Args:
        sampling: sampling parameters.
        prompt_ids: int64[L], tokens before the answer; the repetition penalty counts them as seen.
        constraint: the grammar of the answer; None for free text.

    Attributes:
        error: why the constraint cannot be followed further; the newest token is then meaningless.
    """

    def __init__(
        self, sampling: Sampling, prompt_ids: Tensor, constraint: Constraint | None = None
    ) -> None:
        self.sampling = sampling
        self.constraint = constraint
        self.error: EngineError | None = None
        self._prompt_ids = prompt_ids
        self._seen: SeenTokens | None = None  # made when the size of the vocabulary is known
        self._loop: list[int] = []
        self._loop_penalty, self._loop_steps = 1.0, 0
        self._generator = torch.Generator(device="cpu")
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the result is the argmax of the unmodified logits, without log-probabilities."""
        sampling = self.sampling
        return not self.adjusts and sampling.logprobs is None and sampling.temperature == 0

    @property
    def _has_penalty(self) -> bool:
        sampling = self.sampling
        return sampling.repetition_penalty != 1.0 or bool(
            sampling.presence_penalty or sampling.frequency_penalty
        )

    def pick(self, logits: Tensor) -> Pick:
        """Draw the next token of this answer alone.

        Args:
            logits: float[V], unmodified; not written to.
        """
        return pick_rows(logits[None], [self])[0]

    def scores(self, logits: Tensor) -> Tensor:
        """Logits after constraint, penalties, temperature and truncation; excluded tokens are -inf.

        Args:
            logits: float32[V].
        """
        scores = logits.clone()
        self.adjust_(scores)
        if self.sampling.temperature == 0:
            return scores
        (found,) = candidates(scores[None], [self.sampling])
        scores = scores / max(self.sampling.temperature, LEAST_TEMPERATURE)
        if found.token_ids is None:
            return scores.masked_fill(~found.is_kept[0], NEVER)
        kept = found.token_ids[found.is_kept]
        return torch.full_like(scores, NEVER).scatter(0, kept, scores[kept])

    @property
    def adjusts(self) -> bool:
        """Whether constraint or penalties change the logits."""
        return self.constraint is not None or self._has_penalty or self._loop_steps > 0

    def adjust_(self, logits: Tensor) -> None:
        """Apply constraint and penalties in place.

        Args:
            logits: float32[V].
        """
        if self.constraint is not None:
            try:
                self.constraint.mask_(logits)
            except EngineError as error:
                self.error = error
        if self._has_penalty:
            if self._seen is None:
                self._seen = SeenTokens(self._prompt_ids, logits.numel(), logits.device)
            self._seen.penalise_(logits, self.sampling)
        if self._loop_steps:
            logits[self._loop] = repeated(logits[self._loop], self._loop_penalty)

    def uniform(self) -> float:
        """The next random number of this answer, from [0, 1)."""
        return torch.rand((), generator=self._generator, dtype=torch.float64).item()

    def accept(self, token_id: int) -> None:
        """Take note of the token that was drawn."""
        if self._seen is not None:
            self._seen.add(token_id)
        if self.constraint is not None and self.error is None:
            self.constraint.accept(token_id)
        self._loop_steps = max(0, self._loop_steps - 1)

    def rewind(self, dropped: Sequence[int], loop: Sequence[int], retry: int) -> None:
        """Take back the newest tokens of the answer, and make those of a loop less likely for a while.

        Args:
            dropped: the tokens that the answer loses.
            loop: tokens of one copy of what was repeated.
            retry: number of this retry, from 1.
        """
        if self._seen is not None:
            self._seen.remove(dropped)
        if self.constraint is not None:
            self.constraint.rewind(len(dropped))
        self._loop = sorted(set(loop))
        self._loop_penalty, self._loop_steps = RETRY_PENALTY**retry, RETRY_TOKENS


def pick_rows(logits: Tensor, samplers: Sequence[Sampler]) -> list[Pick]:
    """Draw the next token of several sequences; a row gives what it gives alone.

    Args:
        logits: float[S, V], unmodified; not written to.
        samplers: one per row; those whose constraint cannot be followed get an `error`.
    """
    others = [row for row, sampler in enumerate(samplers) if not sampler.is_plain_greedy]
    picks: dict[int, Pick] = {}
    if len(others) < len(samplers):
        best = logits.argmax(dim=1).tolist()  # one transfer for all greedy rows
        picks = {row: Pick(token_id) for row, token_id in enumerate(best)}
    if others:
        chosen = [samplers[row] for row in others]
        raw = (logits if len(others) == len(samplers) else logits[others]).float()
        if raw.device.type == "mps":  # which has no float64, and shares its memory with the CPU
            raw = raw.cpu()
        picks |= zip(others, _picks(raw, chosen), strict=True)
    return [picks[row] for row in range(len(samplers))]


def _picks(logits: Tensor, samplers: Sequence[Sampler]) -> list[Pick]:
    """Draw the next token of rows that are not plain greedy; float32[S, V]."""
    scores = logits.clone() if any(sampler.adjusts for sampler in samplers) else logits
    for sampler, row in zip(samplers, scores, strict=True):
        sampler.adjust_(row)
    drawn = [row for row, sampler in enumerate(samplers) if sampler.sampling.temperature > 0]
    if len(drawn) == len(samplers):
        tokens = _drawn(scores, samplers)
    else:
        tokens = scores.argmax(dim=1)
        if drawn:
            tokens[drawn] = _drawn(scores[drawn], [samplers[row] for row in drawn])
    picks = []
    for sampler, row, token_id in zip(samplers, logits, tokens.tolist(), strict=True):
        sampler.accept(token_id)
        num_top = sampler.sampling.logprobs
        picks.append(Pick(token_id) if num_top is None else _with_logprobs(row, token_id, num_top))
    return picks


def _drawn(scores: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Random tokens of rows; float32[S, V] to int64[S]."""
    uniforms = torch.tensor([sampler.uniform() for sampler in samplers], dtype=torch.float64)
    uniforms = uniforms.to(scores.device)
    tokens = torch.empty(len(scores), dtype=torch.int64, device=scores.device)
    for found in candidates(scores, [sampler.sampling for sampler in samplers]):
        tokens[found.rows] = draw(found, uniforms[found.rows])
    return tokens


def _with_logprobs(logits: Tensor, token_id: int, num_top: int) -> Pick:
    logprobs = logits.log_softmax(dim=0)
    best = logprobs.topk(min(num_top, logprobs.numel()))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return Pick(token_id, float(logprobs[token_id]), top)
