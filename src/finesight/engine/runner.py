# SPDX-License-Identifier: Apache-2.0
"""Single-sequence prefill and decode.

The only file of the engine that calls the model. Pictures are encoded one after the other: that
bounds memory on many pictures and lets progress be shown; the tower never mixes them anyway.

Legend: L prompt tokens, M visual tokens, D decoder width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from finesight.attention_plan import AttentionPlan
from finesight.batch import IGNORE_INDEX, EncodedSample, PackedBatch, pack, pack_vision
from finesight.engine.nonfinite import first_nonfinite
from finesight.errors import EngineError, PromptTooLong
from finesight.model.cache import KVCache
from finesight.model.vl import VisionLanguageModel

StageName = Literal["load", "media", "vision", "prefill", "decode"]
OnStage = Callable[[StageName, int, int], None]
"""Called with a stage, what is done of it and how much there is.

Loading and media count items, vision counts visual tokens, prefill and decode count tokens.
"""


class SequenceRunner:
    """Runs one encoded conversation.

    Args:
        model: the network, in evaluation mode.
        sample: prompt and media.
        max_new_tokens: slots to keep free in the KV cache.
        on_stage: progress callback `(stage, done, total)`.

    Raises:
        LayoutError: lengths inside the sample disagree.
        PromptTooLong: prompt and answer together exceed the model's context.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        sample: EncodedSample,
        max_new_tokens: int,
        on_stage: OnStage,
    ) -> None:
        self._model, self._sample, self._on_stage = model, sample, on_stage
        self._answer: list[int] = []
        self._num_cached = 0
        length = sample.input_ids.numel()
        check_length(length, max_new_tokens, model.config.text.max_position_embeddings)
        sample.check()
        # One block for the whole sequence: its keys are contiguous and read in place.
        self._kv = KVCache(
            model.config.text,
            1,
            length + max_new_tokens,
            dtype=model.dtype,
            device=model.device,
        )

    @torch.inference_mode()
    def prefill(self) -> Tensor:
        """Read the prompt; float[V], scores of the first token of the answer."""
        sample = self._sample
        embeds = encode_media(self._model, sample, self._on_stage)
        length = sample.input_ids.numel()
        self._on_stage("prefill", 0, length)
        batch = PackedBatch.from_tokens(
            sample.input_ids, sample.position_ids, self._plan(length), sample.visual_index
        )
        logits = self._logits(batch, embeds)
        self._on_stage("prefill", length, length)
        return logits

    @torch.inference_mode()
    def step(self, token_id: int) -> Tensor:
        """Append one token of the answer; float[V], scores of the next."""
        position = self._num_cached + self._sample.rope_delta
        self._answer.append(token_id)
        batch = PackedBatch.from_tokens(
            torch.tensor([token_id]), torch.full((3, 1), position), self._plan(1)
        )
        return self._logits(batch, None)

    def _plan(self, num_new: int) -> AttentionPlan:
        """Attention of the next tokens of the sequence."""
        self._num_cached += num_new
        return AttentionPlan.paged([num_new], [self._num_cached], [[0]], self._kv.block_size)

    def _logits(self, batch: PackedBatch, vision_embeds: Tensor | None) -> Tensor:
        """float[V], scores of the token after the batch."""
        hidden = self._model(batch.to(self._model.device), vision_embeds=vision_embeds, kv=self._kv)
        logits: Tensor = self._model.logits(hidden[-1:])[0]
        if bool(torch.isfinite(logits).all()):
            return logits
        where = first_nonfinite(self._model, pack([extended(self._sample, self._answer)]))
        raise EngineError(
            f"the scores of token {len(self._answer) + 1} of the answer are not finite; "
            f"the first layer that gave NaN or infinity is {where}",
            hint="run `finesight doctor`; try dtype float32, or another copy of the weights",
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


def encode_media(
    model: VisionLanguageModel, sample: EncodedSample, on_stage: OnStage
) -> Tensor | None:
    """Encode all media of a sample, one item at a time.

    Returns:
        `[M, D]` in order of appearance, or None for text alone.
    """
    if not sample.vision:
        return None
    total, done = sample.visual_index.numel(), 0
    parts = []
    for item in sample.vision:
        on_stage("vision", done, total)
        parts.append(model.encode_vision(pack_vision([item]).to(model.device)))
        done += item.num_visual_tokens
    on_stage("vision", total, total)
    return torch.cat(parts)


def extended(sample: EncodedSample, answer: list[int]) -> EncodedSample:
    """A sample with the tokens of its answer appended."""
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
