# SPDX-License-Identifier: Apache-2.0
"""The text decoder: Qwen2.5 with M-RoPE, over packed tokens.

Attribute names are those of the published checkpoints.
Legend: T packed tokens, S samples, D width, H query heads, K key-value heads, E head size.
Source: Qwen2.5-VL report (arXiv 2502.13923), section 2.1; parity: tests/parity/test_logits.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from finesight.attention_plan import AttentionPlan
from finesight.config.model import TextConfig
from finesight.model.attention import Backend, attend, attend_paged
from finesight.model.cache import KVCache
from finesight.model.chunks import add_
from finesight.model.layers import RMSNorm, SwiGLU
from finesight.model.rope import Rotary, apply_rotary, text_rotary

if TYPE_CHECKING:
    from finesight.model.fused import FusedDecoder
    from finesight.model.fused_gpu import GpuDecoder


class RowExchange(Protocol):
    """Divides the rows of a pack over several ranks, except in attention, where it divides the heads.

    Legend: S ranks, P rows of a rank.
    """

    def split(self, rows: Tensor) -> Tensor:
        """The part `[P, ...]` of this rank of `[T, ...]`."""
        ...

    def share(self, rows: Tensor) -> Tensor:
        """Every S-th row, for work on rows that all ranks have."""
        ...

    def join(self, part: Tensor, num_rows: int) -> Tensor:
        """`[T, ...]` of the parts of all ranks."""
        ...

    def by_head(self, part: Tensor, num_rows: int) -> Tensor:
        """`[T, H / S, E]`, all rows of some heads, of `[P, H, E]`."""
        ...

    def by_row(self, heads: Tensor) -> Tensor:
        """`[P, H, E]` of `[T, H / S, E]`."""
        ...

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a value over the ranks."""
        ...


class TextAttention(nn.Module):
    """Causal self-attention inside each sample, several query heads sharing one key-value head.

    Args:
        config: the decoder's shape.
        layer: index of the layer in a KV cache.
        attention: the back end.

    Attributes:
        exchange: of the rows of several ranks; None if this rank has all rows.
    """

    def __init__(self, config: TextConfig, layer: int, attention: Backend) -> None:
        super().__init__()
        self.layer = layer
        self.attention = attention
        self.exchange: RowExchange | None = None
        self.head_dim = config.head_dim
        kv_width = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, kv_width)
        self.v_proj = nn.Linear(config.hidden_size, kv_width)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self, states: Tensor, rotary: Rotary, plan: AttentionPlan, kv: KVCache | None
    ) -> Tensor:
        """Map `[T, D]` to `[T, D]`; a KV cache is written at the plan's slots, then attended to."""
        q = apply_rotary(
            self.q_proj(states).unflatten(-1, (-1, self.head_dim)), rotary
        )  # [T, H, E]
        k = apply_rotary(
            self.k_proj(states).unflatten(-1, (-1, self.head_dim)), rotary
        )  # [T, K, E]
        v = self.v_proj(states).unflatten(-1, (-1, self.head_dim))
        if self.exchange is not None:
            out = self._attend_by_head(self.exchange, q, k, v, plan)
        elif kv is None:
            out = attend(q, k, v, plan, self.attention)
        else:
            assert plan.slot_mapping is not None
            keys, values = kv.write(self.layer, k, v, plan.slot_mapping)
            out = attend_paged(q, keys, values, plan, self.attention)
        return self.o_proj(out.flatten(1))  # type: ignore[no-any-return]  # nn.Module call

    def _attend_by_head(
        self, exchange: RowExchange, q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan
    ) -> Tensor:
        """Attention of the whole pack, `[P, H, E]` of the rows of this rank."""
        num_rows = sum(plan.query_lengths)
        q, k, v = (exchange.by_head(each, num_rows) for each in (q, k, v))
        return exchange.by_row(attend(q, k, v, plan, self.attention))


class TextLayer(nn.Module):
    """Attention and feed-forward, each pre-normalised and residual."""

    def __init__(self, config: TextConfig, layer: int, attention: Backend) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = TextAttention(config, layer, attention)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size, bias=False)

    def forward(
        self, states: Tensor, rotary: Rotary, plan: AttentionPlan, kv: KVCache | None
    ) -> Tensor:
        """Map `[T, D]` to `[T, D]`; `states` is overwritten where no gradient is recorded."""
        attended = self.self_attn(self.input_layernorm(states), rotary, plan, kv)
        states = add_(states, attended)
        return add_(states, self.mlp(self.post_attention_layernorm(states)))


class TextDecoder(nn.Module):
    """Embedding, layers and the final norm.

    Args:
        config: the decoder's shape.
        attention: the back end of all its layers.

    Attributes:
        fused: runs all layers for steps that it fits, by kernels; see `model.fused`.
        is_adapted: whether the running pass has LoRA adapters, for which the layers have to be called.
        quantised_as: format of weights that `model.quantised_gpu` has rounded.
        exchange: of the rows of several ranks, set by `divide_rows`; None if this rank has all rows.
    """

    def __init__(self, config: TextConfig, *, attention: Backend) -> None:
        super().__init__()
        self.config = config
        self.fused: FusedDecoder | GpuDecoder | None = None
        self.is_adapted: Callable[[], bool] = _never
        self.quantised_as: str | None = None
        self.exchange: RowExchange | None = None
        self.gradient_checkpointing = False
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            TextLayer(config, layer, attention) for layer in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def divide_rows(self, exchange: RowExchange) -> None:
        """Compute only the rows of this rank; all ranks of the exchange must run the decoder on the same pack."""
        self.exchange = exchange
        for module in self.modules():
            if isinstance(module, TextAttention):
                module.exchange = exchange

    def forward(
        self,
        states: Tensor,
        position_ids: Tensor,
        plan: AttentionPlan,
        kv: KVCache | None = None,
    ) -> Tensor:
        """Run the layers.

        Args:
            states: `[T, D]`, token embeddings with visual tokens in their places; overwritten without gradients.
            position_ids: int64[3, T].
            plan: which tokens attend to which.
            kv: KV cache to write to and attend to.

        Returns:
            `[T, D]`, normalised.
        """
        num_rows, exchange = states.shape[0], self.exchange
        if exchange is not None:
            states, position_ids = exchange.split(states), exchange.split(position_ids.T).T
        rotary = text_rotary(position_ids, self.config)
        fused = None if kv is None or self.is_adapted() else self.fused
        if fused is not None and kv is not None and fused.fits(states, plan, kv):
            return fused(states, rotary, plan, kv)
        for layer in self.layers:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                states = checkpoint(layer, states, rotary, plan, kv, use_reentrant=False)
            else:
                states = layer(states, rotary, plan, kv)
        states = self.norm(states)
        return states if exchange is None else exchange.join(states, num_rows)


def _never() -> bool:
    return False
