# SPDX-License-Identifier: Apache-2.0
"""Keys and values of what was already read, so that the next token costs one row.

One contiguous block per sequence, allocated once: a step writes its new rows and reads a view, it never copies what is
there. Sequences of one cache run in step (the same ones in every forward); a scheduler that mixes requests wants a
paged cache, which is not this one.

Legend: S sequences, C places per sequence, T new tokens, H query heads, K key-value heads, E head size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from finesight.batch import TextLayout
from finesight.config.model import TextConfig
from finesight.errors import LayoutError, PromptTooLong
from finesight.model.attention import Backend, dense_attention


class KVCache:
    """Keys and values of a few sequences.

    Args:
        config: layers, heads and head size.
        max_tokens: places per sequence (C).
        num_sequences: sequences that run in step (S).
        dtype: of keys and values.
        device: where they live.

    Attributes:
        keys: `[layers, S, C, K, E]`.
        values: `[layers, S, C, K, E]`.
        lengths: tokens that each sequence holds.
    """

    def __init__(
        self,
        config: TextConfig,
        max_tokens: int,
        *,
        num_sequences: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (
            config.num_hidden_layers,
            num_sequences,
            max_tokens,
            config.num_key_value_heads,
            config.head_dim,
        )
        # Sequences of several lengths are read under a mask up to the longest, and a masked NaN is still a NaN.
        allocate = torch.empty if num_sequences == 1 else torch.zeros
        self.keys = allocate(shape, dtype=dtype, device=device)
        self.values = allocate(shape, dtype=dtype, device=device)
        self.lengths = [0] * num_sequences

    @property
    def max_tokens(self) -> int:
        """Places per sequence."""
        return self.keys.shape[2]

    @property
    def length(self) -> int:
        """Tokens of the longest sequence."""
        return max(self.lengths)

    @property
    def num_bytes(self) -> int:
        """Memory of keys and values."""
        return 2 * self.keys.numel() * self.keys.element_size()

    def truncate(self, length: int, sequence: int = 0) -> None:
        """Forget what a sequence holds past `length` tokens.

        Raises:
            LayoutError: it holds fewer.
        """
        if not 0 <= length <= self.lengths[sequence]:
            raise LayoutError(
                f"cannot cut sequence {sequence} of {self.lengths[sequence]} tokens to {length}"
            )
        self.lengths[sequence] = length

    def plan(self, layout: TextLayout, backend: Backend) -> CachePlan:
        """Prepare one forward that appends the tokens of `layout`, segment s to sequence s.

        Raises:
            LayoutError: another number of sequences than the cache has.
            PromptTooLong: a sequence would not fit.
        """
        new = layout.cu_seqlens_q.diff().tolist()
        if len(new) != len(self.lengths):
            raise LayoutError(
                f"{len(new)} samples against a cache of {len(self.lengths)} sequences"
            )
        totals = [old + more for old, more in zip(self.lengths, new, strict=True)]
        if max(totals) > self.max_tokens:
            raise PromptTooLong(
                f"sequence {totals.index(max(totals))} would reach {max(totals)} tokens, "
                f"the cache holds {self.max_tokens}",
                hint="make a larger cache, or shorten the prompt or the answer",
            )
        slots = [
            torch.arange(index * self.max_tokens + old, index * self.max_tokens + total)
            for index, (old, total) in enumerate(zip(self.lengths, totals, strict=True))
        ]
        return CachePlan(
            cache=self,
            slots=torch.cat(slots).to(self.keys.device),
            new=tuple(new),
            totals=tuple(totals),
            backend=backend,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """One forward over a cache.

    Attributes:
        cache: what to extend.
        slots: int64[T], place of each new token in the flattened `[S * C]`.
        new: new tokens of each sequence.
        totals: tokens of each sequence afterwards.
        backend: who computes.
    """

    cache: KVCache
    slots: Tensor
    new: tuple[int, ...]
    totals: tuple[int, ...]
    backend: Backend

    def commit(self) -> None:
        """Count the new tokens as held; call it once all layers have written."""
        self.cache.lengths = list(self.totals)


def attend_cached(q: Tensor, k: Tensor, v: Tensor, plan: CachePlan, layer: int) -> Tensor:
    """Write new keys and values, then attend over everything the sequences hold.

    Args:
        q: `[T, H, E]`.
        k: `[T, K, E]`.
        v: `[T, K, E]`.
        plan: the sequences.
        layer: whose keys and values.

    Returns:
        `[T, H, E]`; a token sees its whole past and itself.
    """
    keys, values = plan.cache.keys[layer], plan.cache.values[layer]  # [S, C, K, E]
    keys.flatten(0, 1).index_copy_(0, plan.slots, k.to(keys.dtype))
    values.flatten(0, 1).index_copy_(0, plan.slots, v.to(values.dtype))
    if plan.backend == "varlen":
        return _attend_varlen(q, keys, values, plan)
    if plan.backend == "sdpa" and max(plan.new) == 1:
        return _attend_one_token(q, keys, values, plan)
    parts = [
        _attend_sequence(part, keys[index, :total], values[index, :total], plan.backend)
        for index, (part, total) in enumerate(zip(q.split(plan.new), plan.totals, strict=True))
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _attend_one_token(q: Tensor, keys: Tensor, values: Tensor, plan: CachePlan) -> Tensor:
    """One new token per sequence: the heads of a group become the query rows, so keys are read once, in place."""
    longest = max(plan.totals)
    keys, values = (
        states[:, :longest].transpose(1, 2) for states in (keys, values)
    )  # [S, K, U, E]
    mask = None
    if min(plan.totals) < longest:
        totals = torch.tensor(plan.totals, device=q.device)
        mask = (torch.arange(longest, device=q.device) < totals.unsqueeze(1))[:, None, None, :]
    grouped = q.unflatten(1, (keys.shape[1], -1)).to(keys.dtype)  # [S, K, H / K, E]
    out = functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
    return out.flatten(1, 2).to(q.dtype)


def _attend_sequence(q: Tensor, keys: Tensor, values: Tensor, backend: Backend) -> Tensor:
    """Several new tokens of one sequence, aligned with the end of its keys `[U, K, E]`."""
    new, total = q.shape[0], keys.shape[0]
    allowed = None
    if backend == "reference" or new < total:
        ends = torch.arange(total - new, total, device=q.device)
        allowed = torch.arange(total, device=q.device) <= ends.unsqueeze(1)  # [T, U]
    if backend == "reference" and allowed is not None:
        return dense_attention(q, keys.to(q.dtype), values.to(q.dtype), allowed)
    q, keys, values = (states.transpose(0, 1).unsqueeze(0) for states in (q, keys, values))
    out = functional.scaled_dot_product_attention(
        q.to(keys.dtype),
        keys,
        values,
        attn_mask=allowed,
        is_causal=allowed is None,
        enable_gqa=q.shape[1] != keys.shape[1],
    )
    return out.squeeze(0).transpose(0, 1).to(q.dtype)


def _attend_varlen(q: Tensor, keys: Tensor, values: Tensor, plan: CachePlan) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # CUDA only; keeps the CPU start fast

    places = keys.shape[1]
    starts = torch.arange(len(plan.totals) + 1, dtype=torch.int32, device=q.device)
    out = varlen_attn(
        q,
        keys.flatten(0, 1),
        values.flatten(0, 1),
        functional.pad(torch.tensor(plan.new).cumsum(0), (1, 0)).to(q.device, torch.int32),
        starts * places,
        max(plan.new),
        max(plan.totals),
        window_size=(-1, 0),
        enable_gqa=q.shape[1] != keys.shape[2],
        seqused_k=torch.tensor(plan.totals, dtype=torch.int32, device=q.device),
    )
    return out if isinstance(out, Tensor) else out[0]
