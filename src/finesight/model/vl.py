# SPDX-License-Identifier: Apache-2.0
"""The whole network: vision tower, decoder, output head.

`forward` returns hidden states, not logits: a vocabulary of 152,064 makes 600 KB of float32 per token, so the output
head is applied only to selected rows (`logits`, `lm_head.loss`). `forward` does not synchronise with the device:
attention plans are part of the batch.

Legend: T packed tokens, N patches, M visual tokens, P values of a patch, D decoder width, V vocabulary.
Source: Qwen2.5-VL report (arXiv 2502.13923), section 2.1; parity: tests/parity/test_logits.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

from finesight.batch import PackedBatch, VisionBatch
from finesight.config.model import ModelConfig
from finesight.errors import LayoutError
from finesight.model.attention import check_backend
from finesight.model.cache import KVCache
from finesight.model.head import OutputHead
from finesight.model.language import TextDecoder
from finesight.model.vision import VisionTransformer


class VisionLanguageModel(nn.Module):
    """Qwen2.5-VL over packed batches.

    Parameters are named as in the published checkpoints: `visual.*`, `model.*`, and `lm_head.weight` unless the
    embedding is tied to the output head.

    Args:
        config: the network's shape.
        attention: "sdpa" (anywhere), "varlen" (CUDA, half precision) or "reference" (tests).

    Raises:
        ConfigError: an unknown back end.
    """

    def __init__(self, config: ModelConfig, *, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.attention = backend = check_backend(attention)
        text = config.text
        self.visual = VisionTransformer(config.vision, attention=backend)
        self.model = TextDecoder(text, attention=backend)
        tied_to = self.model.embed_tokens if text.tie_word_embeddings else None
        self.lm_head = OutputHead(text.hidden_size, text.vocab_size, tied_to=tied_to)

    @classmethod
    def without_memory(cls, config: ModelConfig, *, attention: str = "sdpa") -> VisionLanguageModel:
        """A model whose parameters have names, shapes and dtypes, but no memory: they are on the device "meta".

        Raises:
            ConfigError: an unknown back end.
        """
        with torch.device("meta"), _NoInit():
            return cls(config, attention=attention)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.model.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.model.embed_tokens.weight.dtype

    def num_parameters(self) -> int:
        """Parameter count; tied weights once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Recompute each block in the backward pass instead of storing its activations."""
        self.visual.gradient_checkpointing = enabled
        self.model.gradient_checkpointing = enabled

    def encode_vision(self, vision: VisionBatch) -> Tensor:
        """Turn the patches of a pack into visual tokens, `[M, D]` in order of appearance."""
        return self.visual(vision)  # type: ignore[no-any-return]  # nn.Module call

    def forward(
        self,
        batch: PackedBatch,
        *,
        vision_embeds: Tensor | None = None,
        kv: KVCache | None = None,
    ) -> Tensor:
        """Run the decoder over a pack.

        Args:
            batch: the tokens; its plan says which attend to which and, with a KV cache, where their keys go.
            vision_embeds: `[M, D]`, visual tokens encoded before; without them the batch's patches are encoded.
            kv: keys and values to extend and to attend to; use it without gradients.

        Returns:
            `[T, D]`, hidden states after the final norm.

        Raises:
            LayoutError: the number of visual tokens is not the number of their places, or only one of `kv` and the
                plan's slots is given.
        """
        is_paged = batch.attention.slot_mapping is not None
        if is_paged != (kv is not None):
            raise LayoutError(
                "the plan places keys in a KV cache, but forward got none"
                if is_paged
                else "forward got a KV cache, but the plan places no keys in it",
                hint="with a cache, make the plan with AttentionPlan.paged and pass kv",
            )
        states = self.model.embed_tokens(batch.input_ids)
        if vision_embeds is None and batch.vision is not None:
            vision_embeds = self.encode_vision(batch.vision)
        num_places = batch.visual_index.numel()
        num_embeds = 0 if vision_embeds is None else vision_embeds.shape[0]
        if num_places != num_embeds:
            raise LayoutError(
                f"the pack has {num_places} places for visual tokens but {num_embeds} visual tokens",
                hint="pass the patches of every picture in the pack, or vision_embeds for all of them",
            )
        if vision_embeds is not None:
            states = states.index_copy(0, batch.visual_index, vision_embeds.to(states.dtype))
        return self.model(states, batch.position_ids, batch.attention, kv)  # type: ignore[no-any-return]  # nn.Module call

    def logits(self, hidden_rows: Tensor, *, float32: bool = False) -> Tensor:
        """Score the vocabulary for some rows of hidden states.

        Args:
            hidden_rows: `[rows, D]`, from `forward`.
            float32: return float32 whatever the weights' dtype (the product itself stays in theirs).

        Returns:
            `[rows, V]`.
        """
        scores: Tensor = self.lm_head(hidden_rows)
        return scores.float() if float32 else scores


class _NoInit(TorchFunctionMode):
    """Skip random initialisation: on the device "meta" it would load torch._dynamo, which takes over a second."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (init.kaiming_uniform_, init.normal_, init.uniform_):
            return None  # callers ignore the result
        return func(*args, **(kwargs or {}))
