# SPDX-License-Identifier: Apache-2.0
"""Continuous batching: which tokens of which sequences the next forward pass computes.

Each step has a budget of tokens. Sequences that write their answer come first, with one token each. What is left of the
budget goes to prompts, in chunks, so that a long prompt does not stop the answers of others. Waiting sequences are
admitted in the order of priority and arrival, once the cache has blocks for their prompt.

A running sequence that needs a block when none is free takes those of the last one admitted with the lowest priority,
which waits again and computes its tokens anew (preemption by recomputation). The first sequence in the order is never
preempted, and no sequence is larger than the cache, so every sequence finishes.

The model is not called here, and tokens are not drawn.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from finesight.engine.block_pool import BlockPool
from finesight.engine.sequence import Sequence

_UNLIMITED = 2**62


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one sequence in one forward pass.

    Attributes:
        sequence: the sequence.
        start: index of the first token.
        num_tokens: number of tokens, drafted ones included.
        num_drafts: how many of them are drafted, at the end.
        num_logits: rows of logits that are needed: of the last token so far and of each draft; 0 inside a prompt.
    """

    sequence: Sequence
    start: int
    num_tokens: int
    num_drafts: int
    num_logits: int

    @property
    def end(self) -> int:
        """Tokens of the sequence that are in the cache afterwards."""
        return self.start + self.num_tokens


class Scheduler:
    """Waiting and running sequences over one pool of blocks.

    Args:
        pool: the blocks.
        max_sequences: most sequences that run at a time.
        max_step_tokens: most tokens of a step; a power of two times the block size if `is_deterministic`.
        shares_prefixes: whether complete blocks are published and found.
        is_deterministic: whether chunks of a prompt always begin at multiples of `max_step_tokens`, so that a prompt
            is computed in the same chunks whatever runs beside it. Such sequences get all their blocks at once and
            are never preempted.
    """

    def __init__(
        self,
        pool: BlockPool,
        *,
        max_sequences: int,
        max_step_tokens: int,
        shares_prefixes: bool = True,
        is_deterministic: bool = False,
    ) -> None:
        self.pool = pool
        self.running: list[Sequence] = []  # in the order of priority and arrival
        self._waiting: list[Sequence] = []  # a heap in the same order
        self._max_sequences = max_sequences
        self._max_step_tokens = max_step_tokens
        self._shares_prefixes = shares_prefixes
        self._is_deterministic = is_deterministic

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self.running or self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Let a sequence wait for admission; its tokens must fit the cache."""
        heapq.heappush(self._waiting, sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, finished or not; its blocks are released."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self._waiting:
            self._waiting.remove(sequence)
            heapq.heapify(self._waiting)
        self.pool.release(sequence.blocks)
        sequence.blocks = []

    def schedule(self) -> list[Chunk]:
        """Chunks of the next step; empty only if nothing waits and nothing runs."""
        chunks: list[Chunk] = []
        # Deterministic chunks are computed one by one, so their sum needs no limit.
        budget = _UNLIMITED if self._is_deterministic else self._max_step_tokens
        order = sorted(self.running, key=lambda each: each.is_prefilling)  # stable
        for sequence in order:
            if sequence in self.running and budget > 0:  # it may have been preempted meanwhile
                chunk = self._continued(sequence, budget, chunks)
                if chunk is not None:
                    chunks.append(chunk)
                    budget -= chunk.num_tokens
        while budget > 0 and self._waiting and len(self.running) < self._max_sequences:
            if not self._admit(self._waiting[0]):
                break
            sequence = heapq.heappop(self._waiting)
            self.running.append(sequence)
            self.running.sort()
            chunk = self._continued(sequence, budget, chunks)
            if chunk is not None:
                chunks.append(chunk)
                budget -= chunk.num_tokens
        return chunks

    def advance(self, chunks: SequenceOf[Chunk]) -> None:
        """Record that chunks were computed; drafts count only once `Sequence` has accepted them."""
        for chunk in chunks:
            sequence = chunk.sequence
            sequence.num_cached = chunk.end - chunk.num_drafts
            if not self._shares_prefixes:
                continue
            is_whole = chunk.num_tokens == self._max_step_tokens and sequence.num_cached <= (
                sequence.num_prompt_tokens
            )
            if is_whole or not self._is_deterministic:
                self._publish(sequence, chunk.start)

    def publish_accepted(self, sequence: Sequence, start: int) -> None:
        """Publish blocks that accepted drafts have completed since the token `start`."""
        if self._shares_prefixes:
            self._publish(sequence, start)

    def rewind(self, sequence: Sequence) -> None:
        """Forget cached tokens that were taken out of the answer; its last token has to be computed again.

        A published block is never written to again, so a sequence gives back those with tokens that changed.
        """
        kept = min(sequence.num_cached, sequence.num_tokens - 1)
        if kept == sequence.num_cached:
            return
        num_whole = kept // self.pool.block_size
        self.pool.release(sequence.blocks[num_whole:])
        del sequence.blocks[num_whole:]
        sequence.keys.cut(num_whole * self.pool.block_size)
        sequence.num_cached = num_whole * self.pool.block_size

    def _publish(self, sequence: Sequence, start: int) -> None:
        first = start // self.pool.block_size
        keys = sequence.keys.up_to(sequence.token_ids, sequence.num_cached)
        for block, key in zip(sequence.blocks[first:], keys[first:], strict=False):
            self.pool.publish(block, key)

    def _continued(self, sequence: Sequence, budget: int, chunks: list[Chunk]) -> Chunk | None:
        """The next chunk of a running sequence, with its blocks; None if it was preempted itself."""
        num_left = sequence.num_tokens - sequence.num_cached
        num_drafts = len(sequence.drafts) if num_left == 1 else 0
        wanted = min(self._chunk_length(sequence, num_left), budget)
        while not self._grow(sequence, sequence.num_cached + wanted):
            victim = self.running[-1]
            self._preempt(victim)
            chunks[:] = [chunk for chunk in chunks if chunk.sequence is not victim]
            if victim is sequence:
                return None
        num_drafts = min(num_drafts, budget - wanted)
        if num_drafts and not self._grow(sequence, sequence.num_cached + wanted + num_drafts):
            num_drafts = 0
        is_last = sequence.num_cached + wanted == sequence.num_tokens
        return Chunk(
            sequence,
            start=sequence.num_cached,
            num_tokens=wanted + num_drafts,
            num_drafts=num_drafts,
            num_logits=1 + num_drafts if is_last else 0,
        )

    def _chunk_length(self, sequence: Sequence, num_left: int) -> int:
        """Tokens that the sequence would compute next, without regard to the budget."""
        if not self._is_deterministic:
            return num_left
        if sequence.num_cached >= sequence.num_prompt_tokens:
            return 1
        size = self._max_step_tokens
        next_boundary = (sequence.num_cached // size + 1) * size
        return min(next_boundary, sequence.num_prompt_tokens) - sequence.num_cached

    def _admit(self, sequence: Sequence) -> bool:
        """Give a waiting sequence the blocks that are cached already, if there are enough free ones for the rest."""
        known = self._known_blocks(sequence)
        total = sequence.max_tokens if self._is_deterministic else sequence.num_tokens
        needed = self.pool.blocks_for(total) - len(known) + self.pool.num_unused(known)
        # Room for one more block keeps a sequence from being preempted in its first steps.
        if self.running:
            needed += 1
        if needed > self.pool.num_free:
            return False
        self.pool.share(known)
        sequence.blocks = list(known)
        sequence.num_cached = len(known) * self.pool.block_size
        if not sequence.num_preemptions:  # later it finds what it computed itself
            sequence.num_reused = sequence.num_cached
        if self._is_deterministic:
            self._grow(sequence, sequence.max_tokens)
        return True

    def _known_blocks(self, sequence: Sequence) -> list[int]:
        """Cached blocks of its first tokens; at least one token is left, whose logits are needed."""
        if not self._shares_prefixes:
            return []
        found = self.pool.find(sequence.keys.up_to(sequence.token_ids, sequence.num_tokens - 1))
        if self._is_deterministic:
            per_chunk = self._max_step_tokens // self.pool.block_size
            found = found[: len(found) // per_chunk * per_chunk]
        return found

    def _grow(self, sequence: Sequence, num_tokens: int) -> bool:
        """Give a sequence blocks for so many tokens; False if there are not enough (it keeps what it got)."""
        while len(sequence.blocks) < self.pool.blocks_for(num_tokens):
            block = self.pool.take()
            if block is None:
                return False
            sequence.blocks.append(block)
        return True

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.num_cached = 0
        sequence.num_preemptions += 1
        heapq.heappush(self._waiting, sequence)
