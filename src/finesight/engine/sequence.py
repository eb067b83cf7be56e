# SPDX-License-Identifier: Apache-2.0
"""The state of one request during generation: prompt, KV cache blocks, answer so far."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, count

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, EncodedSample, VisionInput
from finesight.conversation import Reply, Usage
from finesight.engine.block_pool import BlockKeys
from finesight.engine.sampler import Pick, Sampler
from finesight.engine.transcript import Transcript
from finesight.model.adapters import Adapter

_arrivals = count()


class Sequence:
    """One encoded request. Sequences are ordered by priority, then arrival.

    Args:
        sample: prompt and media, up to the start of the answer.
        sampler: draws its tokens.
        transcript: collects its answer.
        block_size: tokens of a block of the KV cache.
        priority: higher ones come first.
        on_end: called when its media are dropped.
        adapter: computes it; None is the model alone.

    Attributes:
        adapter: see above.
        token_ids: prompt and answer so far.
        blocks: its blocks of the KV cache, in the order of its tokens.
        keys: keys of its complete blocks.
        num_cached: tokens whose keys and values are in the cache.
        num_reused: tokens that another request had computed.
        num_preemptions: how often its blocks were taken away.
        num_drafted: guessed tokens that were checked.
        num_accepted: guessed tokens that were right.
        drafts: guesses of the next tokens of the answer, for the next forward pass.
        features: visual tokens of its media that are in use, by index of the medium.
    """

    def __init__(
        self,
        sample: EncodedSample,
        sampler: Sampler,
        transcript: Transcript,
        *,
        block_size: int,
        priority: int = 0,
        on_end: Callable[[], None] | None = None,
        adapter: Adapter | None = None,
    ) -> None:
        self._on_end = on_end
        self.adapter = adapter
        self.sample = sample
        self.sampler = sampler
        self.transcript = transcript
        self.token_ids: list[int] = sample.input_ids.tolist()
        self.num_prompt_tokens = len(self.token_ids)
        self.blocks: list[int] = []
        self.keys = BlockKeys(sample, block_size, adapter.digest if adapter else "")
        self.num_cached = 0
        self.num_reused = 0
        self.num_preemptions = 0
        self.num_drafted = 0
        self.num_accepted = 0
        self.drafts: list[int] = []
        self.features: dict[int, Tensor] = {}
        self._order = (-priority, next(_arrivals))
        self._visual_places: list[int] = sample.visual_index.tolist()
        self._item_ends = list(accumulate(item.num_visual_tokens for item in sample.vision))

    def __lt__(self, other: Sequence) -> bool:
        """Whether it comes before another one."""
        return self._order < other._order

    @property
    def adapter_name(self) -> str | None:
        """Name of its adapter."""
        return self.adapter.name if self.adapter else None

    @property
    def num_tokens(self) -> int:
        """Tokens of prompt and answer so far."""
        return len(self.token_ids)

    @property
    def max_tokens(self) -> int:
        """Maximum length of prompt and answer together."""
        return self.num_prompt_tokens + self.sampler.sampling.max_new_tokens

    @property
    def is_prefilling(self) -> bool:
        """Whether more tokens than the last one are not in the KV cache yet."""
        return self.num_cached + 1 < self.num_tokens

    @property
    def is_finished(self) -> bool:
        """Whether the answer has ended."""
        return self.transcript.finish_reason is not None

    def end(self) -> None:
        """Drop the media, whose patches take memory; called when it is finished, failed or cancelled."""
        self.sample = replace(self.sample, vision=())
        self.features.clear()
        if self._on_end is not None:
            self._on_end()
            self._on_end = None

    def __del__(self) -> None:
        """Drop the media of a sequence that was never answered, such as one that the queue refused."""
        if self._on_end is not None:
            self._on_end()

    def push(self, pick: Pick) -> str:
        """Add the next token of the answer and return the text that is now final.

        If the answer goes back (`Transcript.rewound`), the sampler follows; the cache follows by `Scheduler.rewind`.
        """
        shown = self.transcript.push(pick)
        back = self.transcript.rewound
        if back is None:
            self.token_ids.append(pick.token_id)
        else:
            self.sampler.rewind(back.dropped, back.loop, back.retry)
            self.token_ids[self.num_prompt_tokens :] = self.transcript.token_ids
        return shown

    def tokens(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        """Token ids and positions of `[start, end)`, drafts included.

        Returns:
            int64[T] token ids and int64[3, T] position ids.
        """
        prompt = self.num_prompt_tokens
        if end <= prompt:
            return self.sample.input_ids[start:end], self.sample.position_ids[:, start:end]
        first = max(start, prompt)
        answer = torch.tensor([*self.token_ids[first:], *self.drafts][: end - first])
        places = torch.arange(first, end) + self.sample.rope_delta
        if start >= prompt:
            return answer, places.expand(3, -1)
        return (
            torch.cat([self.sample.input_ids[start:], answer]),
            torch.cat([self.sample.position_ids[:, start:], places.expand(3, -1)], dim=1),
        )

    def visual_range(self, start: int, end: int) -> tuple[int, int]:
        """First and one past the last visual token, counted over all media, among the tokens `[start, end)`."""
        return bisect_left(self._visual_places, start), bisect_left(self._visual_places, end)

    def media_between(self, first: int, last: int) -> list[tuple[int, VisionInput, int, int]]:
        """Media that hold the visual tokens `[first, last)`.

        Returns:
            Index, medium, and which of its own visual tokens, as first and one past the last.
        """
        found = []
        for index, (item, stop) in enumerate(zip(self.sample.vision, self._item_ends, strict=True)):
            begin = stop - item.num_visual_tokens
            if begin < last and first < stop:
                found.append((index, item, max(first, begin) - begin, min(last, stop) - begin))
        return found

    def so_far(self) -> EncodedSample:
        """The prompt with the answer's tokens appended."""
        return extended(self.sample, self.transcript.token_ids)

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
                cached_tokens=min(self.num_reused, self.num_prompt_tokens),
                drafted_tokens=self.num_drafted,
                accepted_tokens=self.num_accepted,
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
