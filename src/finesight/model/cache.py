# SPDX-License-Identifier: Apache-2.0
"""Paged KV cache: keys and values of all layers in blocks of equal size.

The cache only stores blocks and writes rows at slots. The caller tracks which blocks belong to a sequence and how many
tokens it has, and passes both to attention in an `AttentionPlan`. A contiguous cache is the special case of one block
per sequence: keys are then read in place.

Memory is not cleared: attention reads only slots that its sequence has written.

Legend: T new tokens, C slots of a block, K key-value heads, E head size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from finesight.config.model import TextConfig


class KVCache:
    """Keys and values of all layers, in blocks.

    Args:
        config: layers, heads and head size.
        num_blocks: blocks, shared by all sequences.
        block_size: tokens of a block (C); the varlen back end needs a multiple of 256 for several sequences.
        dtype: of keys and values.
        device: of both.

    Attributes:
        keys: `[layers, num_blocks, C, K, E]`.
        values: `[layers, num_blocks, C, K, E]`.
    """

    def __init__(
        self,
        config: TextConfig,
        num_blocks: int,
        block_size: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (
            config.num_hidden_layers,
            num_blocks,
            block_size,
            config.num_key_value_heads,
            config.head_dim,
        )
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)

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
        """Memory of keys and values."""
        return 2 * self.keys.numel() * self.keys.element_size()

    def write(
        self, layer: int, k: Tensor, v: Tensor, slot_mapping: Tensor
    ) -> tuple[Tensor, Tensor]:
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
        keys.flatten(0, 1).index_copy_(0, slot_mapping, k.to(keys.dtype))
        values.flatten(0, 1).index_copy_(0, slot_mapping, v.to(values.dtype))
        return keys, values
