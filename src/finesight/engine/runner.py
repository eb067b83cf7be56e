# SPDX-License-Identifier: Apache-2.0
"""One sequence on its way through the network: pictures once, prompt once, then token by token.

The only file of the engine that calls the model. Pictures are encoded one after the other: that
bounds memory on many pictures and lets progress be shown; the tower never mixes them anyway.

Legend: L prompt tokens, M visual tokens, D decoder width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from finesight.batch import (
    IGNORE_INDEX,
    EncodedSample,
    PackedBatch,
    TextLayout,
    VisionLayout,
    pack,
    pack_vision,
)
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
        max_new_tokens: rows to keep free in the cache.
        on_stage: told what is going on.

    Raises:
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
        length = sample.input_ids.numel()
        check_length(length, max_new_tokens, model.config.text.max_position_embeddings)
        self._cache = KVCache(
            model.config.text,
            length + max_new_tokens,
            dtype=model.dtype,
            device=model.device,
        )
        self._row = _one_token_row(model.device)

    @torch.inference_mode()
    def prefill(self) -> Tensor:
        """Read the prompt; float[V], scores of the first token of the answer."""
        embeds = encode_media(self._model, self._sample, self._on_stage)
        length = self._sample.input_ids.numel()
        self._on_stage("prefill", 0, length)
        batch = replace(pack([self._sample]), patches=None, vision=None).to(self._model.device)
        hidden = self._model(batch, vision_embeds=embeds, cache=self._cache)
        logits = self._finite(self._model.logits(hidden[-1:])[0])
        self._on_stage("prefill", length, length)
        return logits

    @torch.inference_mode()
    def step(self, token_id: int) -> Tensor:
        """Append one token of the answer; float[V], scores of the next."""
        position = self._cache.length + self._sample.rope_delta
        self._answer.append(token_id)
        device = self._model.device
        batch = replace(
            self._row,
            input_ids=torch.tensor([token_id], device=device),
            position_ids=torch.full((3, 1), position, device=device),
        )
        hidden = self._model(batch, cache=self._cache)
        return self._finite(self._model.logits(hidden)[0])

    def _finite(self, logits: Tensor) -> Tensor:
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
        layout = _layout_to(pack_vision([item]), model.device)
        parts.append(model.encode_vision(item.patches.to(model.device, model.dtype), layout))
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


def _one_token_row(device: torch.device) -> PackedBatch:
    """A pack of one text token, whose id and position are put in at each step."""
    zero = torch.zeros(1, dtype=torch.int64)
    return PackedBatch(
        input_ids=zero,
        labels=torch.full_like(zero, IGNORE_INDEX),
        position_ids=zero.expand(3, 1),
        text=TextLayout.from_lengths([1]),
        sample_ids=zero,
        visual_index=zero[:0],
    ).to(device)


def _layout_to(layout: VisionLayout, device: torch.device) -> VisionLayout:
    values: dict[str, Any] = {entry.name: getattr(layout, entry.name) for entry in fields(layout)}
    moved = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
    return VisionLayout(**{**values, **moved})
