# SPDX-License-Identifier: Apache-2.0
"""Blocks of the paged KV cache: which are free, which are shared, and which hold tokens that another request may reuse.

A complete block has a key, a hash of all tokens and media up to its end. A request whose prompt starts with the same
tokens and media takes the block instead of computing it (prefix caching). Positions need no place in the key: they
follow from the tokens, the grids and the clocks of the media, which the media's digests contain.

Released blocks with a key stay readable until their memory is needed; the one released first is reused first.

Worked example: two requests with the same first 70 tokens and blocks of 32 share two blocks; each computes the tokens
from 64 on into blocks of its own.
Source: Kwon et al. 2023 (arXiv 2309.06180).
"""

from __future__ import annotations

import hashlib
import heapq
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate

from finesight.batch import EncodedSample, VisionInput

__all__ = ["BlockKeys", "BlockPool"]


class BlockPool:
    """Reference counts and keys of the blocks of one KV cache.

    Args:
        num_blocks: blocks of the cache.
        block_size: tokens of a block.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self._users = [0] * num_blocks
        self._keys: list[bytes | None] = [None] * num_blocks
        self._by_key: dict[bytes, int] = {}
        # The lowest is taken first: blocks of a lone sequence are then neighbours, which attention reads in place.
        self._empty = list(range(num_blocks))
        self._reusable: OrderedDict[int, None] = OrderedDict()  # free, with a key; oldest first

    @property
    def num_free(self) -> int:
        """Blocks that no sequence uses, those with a key included."""
        return len(self._empty) + len(self._reusable)

    def blocks_for(self, num_tokens: int) -> int:
        """Number of blocks that hold so many tokens."""
        return -(-num_tokens // self.block_size)

    def take(self) -> int | None:
        """An unused block for new tokens, or None; an old key is forgotten if there is no empty block."""
        if self._empty:
            block = heapq.heappop(self._empty)
        elif self._reusable:
            block, _ = self._reusable.popitem(last=False)
            self._forget(block)
        else:
            return None
        self._users[block] = 1
        return block

    def find(self, keys: Sequence[bytes]) -> list[int]:
        """Blocks of the longest run of known keys from the first on; not taken yet."""
        found = []
        for key in keys:
            if key not in self._by_key:
                break
            found.append(self._by_key[key])
        return found

    def num_unused(self, blocks: Sequence[int]) -> int:
        """How many of the blocks count as free at present."""
        return sum(self._users[block] == 0 for block in blocks)

    def share(self, blocks: Sequence[int]) -> None:
        """Add a user to blocks that `find` returned."""
        for block in blocks:
            self._reusable.pop(block, None)
            self._users[block] += 1

    def publish(self, block: int, key: bytes) -> None:
        """Give a complete block its key; the first block with a key keeps it."""
        if self._keys[block] is None and key not in self._by_key:
            self._keys[block] = key
            self._by_key[key] = block

    def release(self, blocks: Sequence[int]) -> None:
        """Remove a user; of a sequence's blocks the last are reused before the first, which more prompts share."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if self._users[block] == 0:
                if self._keys[block] is None:
                    heapq.heappush(self._empty, block)
                else:
                    self._reusable[block] = None

    def _forget(self, block: int) -> None:
        key = self._keys[block]
        assert key is not None
        del self._by_key[key]
        self._keys[block] = None


class BlockKeys:
    """Keys of the complete blocks of one sequence, computed as its tokens become known.

    Args:
        sample: the prompt with its media.
        block_size: tokens of a block.
        adapter: digest of the adapter that computes them; keys of different adapters differ.
    """

    def __init__(self, sample: EncodedSample, block_size: int, adapter: str = "") -> None:
        self._block_size = block_size
        self._start = adapter.encode()
        self._places: list[int] = sample.visual_index.tolist()
        self._items = sample.vision
        self._ends = list(accumulate(item.num_visual_tokens for item in sample.vision))
        self._keys: list[bytes] = []

    def up_to(self, tokens: Sequence[int], num_tokens: int) -> list[bytes]:
        """Keys of the blocks that the first `num_tokens` of the sequence fill.

        Args:
            tokens: prompt and answer so far; earlier calls had a prefix of it.
            num_tokens: tokens that count.
        """
        size = self._block_size
        while (len(self._keys) + 1) * size <= num_tokens:
            start = len(self._keys) * size
            key = hashlib.blake2b(self._keys[-1] if self._keys else self._start, digest_size=16)
            key.update(array("q", tokens[start : start + size]).tobytes())
            for digest, offset in self._media(start, start + size):
                key.update(digest.encode() + offset.to_bytes(8, "little"))
            self._keys.append(key.digest())
        return self._keys[: num_tokens // size]

    def cut(self, num_tokens: int) -> None:
        """Forget the keys of blocks with tokens from `num_tokens` on, which were replaced."""
        del self._keys[num_tokens // self._block_size :]

    def _media(self, start: int, end: int) -> list[tuple[str, int]]:
        """`_cached_units` of the media with visual tokens in `[start, end)`."""
        first, last = bisect_left(self._places, start), bisect_left(self._places, end)
        found = []
        for item, stop in zip(self._items, self._ends, strict=True):
            begin = stop - item.num_visual_tokens
            if begin < last and first < stop:
                found += _cached_units(item, max(first, begin) - begin, min(last, stop) - begin)
        return found


def _cached_units(item: VisionInput, first: int, end: int) -> list[tuple[str, int]]:
    """Digest of each unit of a medium with visual tokens in `[first, end)`, and the index of its first one there.

    A unit is the whole medium, or a frame pair at its time.
    """
    if not item.shares_pairs:
        return [(item.digest, first)]
    size = item.num_visual_tokens // item.grid_thw[0]
    return [
        (
            f"{item.pair_digests[pair]} {item.position_seconds[pair]}",
            max(first - pair * size, 0),
        )
        for pair in range(first // size, -(-end // size))
    ]
