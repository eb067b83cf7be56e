# SPDX-License-Identifier: Apache-2.0
"""Prefill and decode of several sequences over one KV cache.

The only file of the engine that calls the model. Pictures are encoded one by one, which bounds memory and
allows progress reports; the vision tower does not mix them in any case.

Legend: S sequences, T tokens of a step, M visual tokens, D decoder width, V vocabulary.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor

from finesight.attention_plan import AttentionPlan
from finesight.batch import EncodedSample, PackedBatch
from finesight.engine.request import OnStage
from finesight.engine.sequence import Sequence
from finesight.engine.vision import visual_tokens
from finesight.errors import PromptTooLong
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel

_BLOCK_MULTIPLE = 256
"""The varlen kernel needs block sizes that are a multiple of this if several sequences share a cache."""


class Runner:
    """Runs sequences over one KV cache.

    Args:
        model: the network, in evaluation mode.
        sequences: get one block each, large enough for prompt and answer.
        on_stage: progress callback.
    """

    def __init__(
        self, model: VisionLanguageModel, sequences: list[Sequence], on_stage: OnStage
    ) -> None:
        self._model, self._on_stage = model, on_stage
        block_size = max(sequence.max_tokens for sequence in sequences)
        if len(sequences) > 1:
            block_size = -(-block_size // _BLOCK_MULTIPLE) * _BLOCK_MULTIPLE
        for index, sequence in enumerate(sequences):
            sequence.blocks = (index,)
        self._kv = KVCache(
            model.config.text, len(sequences), block_size, dtype=model.dtype, device=model.device
        )

    @torch.inference_mode()
    def step(self, sequences: list[Sequence]) -> Tensor:
        """One forward pass over the tokens of each sequence that are not in the cache yet.

        Sequences that are new (prefill) and others (decode) may be mixed.

        Args:
            sequences: some of those the runner was created with.

        Returns:
            float[S, V], logits of the next token of each sequence.
        """
        new = [sequence.sample for sequence in sequences if sequence.needs_prefill]
        embeds = [encode_media(self._model, sample, self._on_stage) for sample in new]
        prompt_tokens = sum(sample.input_ids.numel() for sample in new)
        if new:
            self._on_stage("prefill", 0, prompt_tokens)
        batch = self._batch(sequences)
        hidden = self._model(
            batch.to(self._model.device),
            vision_embeds=torch.cat(embeds) if batch.visual_index.numel() else None,
            kv=self._kv,
        )
        for sequence, length in zip(sequences, batch.attention.query_lengths, strict=True):
            sequence.num_cached += length
        last = [end - 1 for end in accumulate(batch.attention.query_lengths)]
        logits: Tensor = self._model.logits(hidden[last])
        if new:
            self._on_stage("prefill", prompt_tokens, prompt_tokens)
        return logits

    def _batch(self, sequences: list[Sequence]) -> PackedBatch:
        """The tokens of one forward pass, on the CPU."""
        tokens, positions = zip(*(sequence.next_tokens() for sequence in sequences), strict=True)
        lengths = [ids.numel() for ids in tokens]
        starts = [0, *accumulate(lengths)]
        places = [
            sequence.sample.visual_index + start
            for sequence, start in zip(sequences, starts, strict=False)
            if sequence.needs_prefill
        ]
        plan = AttentionPlan.paged(
            lengths,
            [each.num_cached + length for each, length in zip(sequences, lengths, strict=True)],
            [sequence.blocks for sequence in sequences],
            self._kv.block_size,
        )
        return PackedBatch.from_tokens(
            torch.cat(tokens),
            torch.cat(positions, dim=1),
            plan,
            torch.cat(places) if places else None,
        )


def check_length(prompt_tokens: int, max_new_tokens: int, max_position_embeddings: int) -> None:
    """Raise `PromptTooLong` unless prompt and answer fit the context."""
    if prompt_tokens + max_new_tokens <= max_position_embeddings:
        return
    room = max_position_embeddings - prompt_tokens
    less = f"lower max_new_tokens to {room}, or " if room > 0 else ""
    raise PromptTooLong(
        f"the prompt has {prompt_tokens} tokens and the answer may have {max_new_tokens}, "
        f"{prompt_tokens + max_new_tokens} together; the model's context is "
        f"{max_position_embeddings}",
        hint=f"{less}give pictures and videos fewer tokens with max_pixels, fps or nframes",
    )


def encode_media(model: VisionLanguageModel, sample: EncodedSample, on_stage: OnStage) -> Tensor:
    """Encode all media of a sample, one item at a time.

    Returns:
        `[M, D]` in order of appearance; no row for text alone.
    """
    total, done = sample.visual_index.numel(), 0
    parts = [torch.empty(0, model.config.text.hidden_size, dtype=model.dtype, device=model.device)]
    for item in sample.vision:
        on_stage("vision", done, total)
        parts.append(visual_tokens(model, item))
        done += item.num_visual_tokens
    if sample.vision:
        on_stage("vision", total, total)
    return torch.cat(parts)
