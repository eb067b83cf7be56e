# SPDX-License-Identifier: Apache-2.0
"""The state of one request during generation: prompt, KV cache blocks, answer so far."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, EncodedSample
from finesight.conversation import Reply, Usage
from finesight.engine.sampler import Pick, Sampler
from finesight.engine.transcript import Transcript


class Sequence:
    """One encoded request.

    Args:
        sample: prompt and media, up to the start of the answer.
        sampler: draws its tokens.
        transcript: collects its answer.

    Attributes:
        blocks: its blocks of the KV cache, in the order of its tokens.
        num_cached: tokens whose keys and values are in the cache.
    """

    def __init__(self, sample: EncodedSample, sampler: Sampler, transcript: Transcript) -> None:
        self.sample = sample
        self.sampler = sampler
        self.transcript = transcript
        self.blocks: tuple[int, ...] = ()
        self.num_cached = 0

    @property
    def max_tokens(self) -> int:
        """Maximum length of prompt and answer together."""
        return self.sample.input_ids.numel() + self.sampler.sampling.max_new_tokens

    @property
    def needs_prefill(self) -> bool:
        """Whether its prompt is not in the KV cache yet."""
        return self.num_cached == 0

    def next_tokens(self) -> tuple[Tensor, Tensor]:
        """Tokens that are not in the cache yet: the prompt, later the last token of the answer.

        Returns:
            int64[T] token ids and int64[3, T] position ids.
        """
        if self.needs_prefill:
            return self.sample.input_ids, self.sample.position_ids
        position = self.num_cached + self.sample.rope_delta
        newest = self.transcript.token_ids[-1]
        return torch.tensor([newest]), torch.full((3, 1), position)

    def so_far(self) -> EncodedSample:
        """The prompt with the answer's tokens appended."""
        return extended(self.sample, self.transcript.token_ids)

    def push(self, pick: Pick) -> str:
        """Add the next token of the answer and return the text that is now final.

        If the answer goes back (`Transcript.rewound`), the sampler and the cache follow.
        """
        shown = self.transcript.push(pick)
        back = self.transcript.rewound
        if back is not None:
            self.sampler.rewind(back.dropped, back.loop, back.retry)
            # The newest token that is left is read again for the logits of the next.
            num_tokens = self.sample.input_ids.numel() + len(self.transcript.token_ids)
            self.num_cached = num_tokens - 1
        return shown

    def reply(self) -> Reply:
        """The finished answer."""
        transcript, sample = self.transcript, self.sample
        assert transcript.finish_reason is not None
        return Reply(
            text=transcript.text,
            token_ids=tuple(transcript.token_ids),
            finish_reason=transcript.finish_reason,
            usage=Usage(
                prompt_tokens=sample.input_ids.numel(),
                visual_tokens=sample.visual_index.numel(),
                completion_tokens=len(transcript.token_ids),
            ),
            media=sample.media,
            logprobs=tuple(transcript.logprobs),
            notes=(*transcript.notes, *self._cut_notes()),
        )

    def _cut_notes(self) -> list[str]:
        """A note if the answer ended before its grammar did."""
        constraint, reason = self.sampler.constraint, self.transcript.finish_reason
        if constraint is None or reason in ("stop", "tool_calls") or constraint.is_complete:
            return []
        sampling, num_tokens = self.sampler.sampling, len(self.transcript.token_ids)
        return [
            f"the answer ended after {num_tokens} tokens ({reason}) inside its {sampling.constraint}: "
            "it is not complete"
        ]


def extended(sample: EncodedSample, answer: list[int]) -> EncodedSample:
    """A sample with the tokens of its answer appended, which are not training targets."""
    if not answer:
        return sample
    tokens = torch.tensor(answer)
    start = sample.input_ids.numel() + sample.rope_delta
    positions = torch.arange(start, start + len(answer)).expand(3, -1)
    return replace(
        sample,
        input_ids=torch.cat([sample.input_ids, tokens]),
        labels=torch.cat([sample.labels, torch.full_like(tokens, IGNORE_INDEX)]),
        position_ids=torch.cat([sample.position_ids, positions], dim=1),
    )
