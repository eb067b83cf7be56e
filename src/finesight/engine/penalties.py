# SPDX-License-Identifier: Apache-2.0
"""Penalties on tokens that were already seen, in one row of logits.

Only the logits of seen tokens are read and written, so the cost depends on the length of the text and not on
the vocabulary.

| penalty | counts | change of the logit |
|---|---|---|
| repetition | prompt and answer | divided by the penalty if positive, else multiplied |
| frequency | answer | minus the penalty for each occurrence |
| presence | answer | minus the penalty once |

Legend: U different tokens seen, V vocabulary. Source: Keskar et al. 2019 (CTRL) for the repetition penalty, the
OpenAI API reference for the others.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from finesight.sampling import Sampling

RETRY_PENALTY = 1.3
"""Repetition penalty on the tokens of a loop after an answer went back, to the power of the number of retries."""
RETRY_TOKENS = 64
"""Number of tokens for which this penalty holds."""


class SeenTokens:
    """The different tokens of prompt and answer, and how often the answer contains each.

    Args:
        prompt_ids: int64[L], tokens before the answer; ids beyond the vocabulary are ignored.
        vocab_size: number of logits.
        device: of the logits.
    """

    def __init__(self, prompt_ids: Tensor, vocab_size: int, device: torch.device) -> None:
        self._ids = prompt_ids[prompt_ids < vocab_size].unique().to(device)  # int64[U]
        self._counts = torch.zeros(len(self._ids), device=device)  # float32[U]
        self._num_prompt = len(self._ids)
        self._places = {token: place for place, token in enumerate(self._ids.tolist())}

    def add(self, token_id: int) -> None:
        """Count one more token of the answer."""
        place = self._places.get(token_id)
        if place is not None:
            self._counts[place] += 1
            return
        self._places[token_id] = len(self._ids)
        self._ids = torch.cat([self._ids, self._ids.new_tensor([token_id])])
        self._counts = torch.cat([self._counts, self._counts.new_ones(1)])

    def remove(self, token_ids: Iterable[int]) -> None:
        """Take back tokens of the answer."""
        for token_id in token_ids:
            self._counts[self._places[token_id]] -= 1

    def penalise_(self, logits: Tensor, sampling: Sampling) -> None:
        """Apply the penalties of a sampling in place.

        Args:
            logits: float32[V].
            sampling: the three penalties.
        """
        values = logits[self._ids]
        if sampling.repetition_penalty != 1.0:
            changed = repeated(values, sampling.repetition_penalty)
            is_seen = self._counts > 0
            is_seen[: self._num_prompt] = True
            values = torch.where(is_seen, changed, values)
        if sampling.frequency_penalty:
            values = values - sampling.frequency_penalty * self._counts
        if sampling.presence_penalty:
            values = values - sampling.presence_penalty * (self._counts > 0)
        logits[self._ids] = values


def repeated(values: Tensor, penalty: float) -> Tensor:
    """Logits after the repetition penalty."""
    return torch.where(values < 0, values * penalty, values / penalty)
