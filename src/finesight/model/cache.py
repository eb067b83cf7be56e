# SPDX-License-Identifier: Apache-2.0
"""Paged KV cache: keys and values of all layers in blocks of equal size.

The cache only stores blocks and writes rows at slots. The caller tracks which blocks belong to a sequence and how many
tokens it has, and passes both to attention in an `AttentionPlan`. A contiguous cache is the special case of one block
per sequence: keys are then read in place.

Memory is not cleared: attention reads only slots that its sequence has written. It can be in a file that is mapped
into memory, so that long contexts need not fit the memory: the system writes blocks to it that were not used lately.

In int8, each key and each value of a head has a scale of its own: half the memory of bfloat16 and 4 bytes a head more.

Legend: T new tokens, C slots of a block, K key-value heads, E head size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.config.model import TextConfig

_LARGEST_INT8 = 127


@dataclass(frozen=True, slots=True)
class Int8Blocks:
    """Keys or values of one layer in int8.

    Attributes:
        values: int8[num_blocks, C, K, E].
        scales: float32[num_blocks, C, K], by which the values are multiplied.
    """

    values: Tensor
    scales: Tensor

    def store(self, rows: Tensor, slot_mapping: Tensor) -> None:
        """Quantise rows `[T, K, E]` into their slots."""
        wide = rows.float()
        scales = wide.abs().amax(-1) / _LARGEST_INT8
        steps = wide / scales.clamp(min=torch.finfo(torch.float32).tiny).unsqueeze(-1)
        whole = steps.round_().clamp_(-_LARGEST_INT8, _LARGEST_INT8).to(torch.int8)
        self.values.flatten(0, 1).index_copy_(0, slot_mapping, whole)
        self.scales.flatten(0, 1).index_copy_(0, slot_mapping, scales)


class KVCache:
    """Keys and values of all layers, in blocks.

    Args:
        config: layers, heads and head size.
        num_blocks: blocks, shared by all sequences.
        block_size: tokens of a block (C); the varlen back end needs a multiple of 256 for several sequences.
        dtype: of keys and values.
        device: of both.
        allocate: makes a tensor of a shape and dtype for keys or values, such as one in a file; None takes memory.

    Attributes:
        keys: `[layers, num_blocks, C, K, E]`.
        values: `[layers, num_blocks, C, K, E]`.
        key_scales: float32[layers, num_blocks, C, K] in int8, else None.
        value_scales: as `key_scales`.
    """

    def __init__(
        self,
        config: TextConfig,
        num_blocks: int,
        block_size: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        allocate: Callable[[tuple[int, ...], torch.dtype], Tensor] | None = None,
    ) -> None:
        shape = (
            config.num_hidden_layers,
            num_blocks,
            block_size,
            config.num_key_value_heads,
            config.head_dim,
        )
        self.key_scales: Tensor | None = None
        self.value_scales: Tensor | None = None
        if allocate is None:
            self.keys = torch.empty(shape, dtype=dtype, device=device)
            self.values = torch.empty(shape, dtype=dtype, device=device)
        else:
            self.keys, self.values = (allocate(shape, dtype) for _ in range(2))
        if dtype == torch.int8:
            self.key_scales, self.value_scales = (
                torch.empty(shape[:-1], dtype=torch.float32, device=device) for _ in range(2)
            )

    @property
    def num_blocks(self) -> int:
        """Number of blocks."""
        return self.keys.shape[1]

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return self.keys.shape[2]

    @property
    def num_bytes(self) -> int:
        """Memory of keys and values, and of their scales."""
        parts = (self.keys, self.values, self.key_scales, self.value_scales)
        return sum(each.numel() * each.element_size() for each in parts if each is not None)

    def write(
        self, layer: int, k: Tensor, v: Tensor, slot_mapping: Tensor
    ) -> tuple[Tensor, Tensor] | tuple[Int8Blocks, Int8Blocks]:
        """Store new keys and values of one layer.

        Args:
            layer: index of the layer.
            k: `[T, K, E]`.
            v: `[T, K, E]`.
            slot_mapping: int64[T], slot of each row: block * block size + offset.

        Returns:
            All keys and all values of the layer, `[num_blocks, C, K, E]` each.
        """
        keys, values = self.keys[layer], self.values[layer]
        if self.key_scales is not None and self.value_scales is not None:
            small_keys = Int8Blocks(keys, self.key_scales[layer])
            small_values = Int8Blocks(values, self.value_scales[layer])
            small_keys.store(k, slot_mapping)
            small_values.store(v, slot_mapping)
            return small_keys, small_values
        keys.flatten(0, 1).index_copy_(0, slot_mapping, k.to(keys.dtype))
        values.flatten(0, 1).index_copy_(0, slot_mapping, v.to(values.dtype))
        return keys, values
