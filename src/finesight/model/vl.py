# SPDX-License-Identifier: Apache-2.0
"""The whole network: vision tower, decoder, output head.

`forward` returns hidden states, not logits: a vocabulary of 152,064 makes 600 KB of float32 per token, so logits are
computed only for the rows that are asked (`logits`).

Legend: T packed tokens, N patches, M visual tokens, P values of a patch, D decoder width, V vocabulary.
Source: Qwen2.5-VL report (arXiv 2502.13923), section 2.1; parity: tests/parity/test_logits.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.batch import PackedBatch, VisionLayout
from finesight.config.model import ModelConfig
from finesight.errors import LayoutError
from finesight.model.attention import check_backend, plan_segments
from finesight.model.cache import KVCache
from finesight.model.language import TextDecoder
from finesight.model.vision import VisionTransformer


class VisionLanguageModel(nn.Module):
    """Qwen2.5-VL over packed batches.

    Parameters are named as in the published checkpoints: `visual.*`, `model.*`, and `lm_head.weight` unless the
    embedding serves as output head.

    Args:
        config: the network's shape.
        attention: "sdpa" (anywhere), "varlen" (CUDA, half precision) or "reference" (tests).

    Raises:
        ConfigError: an unknown back end.
    """

    def __init__(self, config: ModelConfig, *, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.attention = check_backend(attention)
        self.visual = VisionTransformer(config.vision, attention=self.attention)
        self.model = TextDecoder(config.text)
        self.lm_head: nn.Linear | None = None
        if not config.text.tie_word_embeddings:
            self.lm_head = nn.Linear(config.text.hidden_size, config.text.vocab_size, bias=False)

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self.model.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.model.embed_tokens.weight.dtype

    def num_parameters(self) -> int:
        """Numbers in all weights; a tied output head counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Recompute each block in the backward pass instead of keeping what it computed."""
        self.visual.gradient_checkpointing = enabled
        self.model.gradient_checkpointing = enabled

    def encode_vision(self, patches: Tensor, layout: VisionLayout) -> Tensor:
        """Turn patches into visual tokens.

        Args:
            patches: float[N, P], in merge order.
            layout: how they are grouped.

        Returns:
            `[M, D]`, in order of appearance.
        """
        return self.visual(patches, layout)  # type: ignore[no-any-return]  # nn.Module call

    def forward(
        self,
        batch: PackedBatch,
        *,
        vision_embeds: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Run the decoder over a pack.

        Args:
            batch: the samples; with a cache, sample s continues the cache's sequence s, and `position_ids` must say
                where (`batch.text.cu_seqlens_k` is not read, the cache knows what it holds).
            vision_embeds: `[M, D]`, visual tokens encoded before; without them the batch's patches are encoded.
            cache: keys and values to attend to and to extend; use it without gradients.

        Returns:
            `[T, D]`, hidden states after the final norm.

        Raises:
            LayoutError: the number of visual tokens is not the number of their places.
        """
        states = self.model.embed_tokens(batch.input_ids)
        if vision_embeds is None and batch.patches is not None and batch.vision is not None:
            vision_embeds = self.encode_vision(batch.patches, batch.vision)
        num_places = batch.visual_index.numel()
        num_embeds = 0 if vision_embeds is None else vision_embeds.shape[0]
        if num_places != num_embeds:
            raise LayoutError(
                f"the pack has {num_places} places for visual tokens but {num_embeds} visual tokens",
                hint="pass the patches of every picture in the pack, or vision_embeds for all of them",
            )
        if vision_embeds is not None:
            states = states.index_copy(0, batch.visual_index, vision_embeds.to(states.dtype))
        if cache is not None:
            plan = cache.plan(batch.text, self.attention)
            hidden: Tensor = self.model(states, batch.position_ids, plan)
            plan.commit()
            return hidden
        segments = plan_segments(
            batch.text.cu_seqlens_q,
            batch.text.max_seqlen_q,
            causal=True,
            backend=self.attention,
        )
        return self.model(states, batch.position_ids, segments)  # type: ignore[no-any-return]  # nn.Module call

    @property
    def output_embedding(self) -> Tensor:
        """`[V, D]`, what hidden states are compared with; the input embedding itself where the two are tied."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def logits(self, hidden_rows: Tensor, *, float32: bool = False) -> Tensor:
        """Score the vocabulary for some rows of hidden states.

        Args:
            hidden_rows: `[rows, D]`, from `forward`.
            float32: return float32 whatever the weights' dtype (the product itself stays in theirs).

        Returns:
            `[rows, V]`.
        """
        scores = functional.linear(hidden_rows, self.output_embedding)
        return scores.float() if float32 else scores
