# SPDX-License-Identifier: Apache-2.0
"""Block-diagonal attention metadata: which rows attend to which, built on the host before a forward pass.

Rows of several segments (samples, frame pairs, windows, sequences) are concatenated; a row attends only
inside its segment. `pack` makes plans of packed samples, a scheduler makes plans over a paged KV cache. Building
does not synchronise with a device: lengths are plain numbers. Everything a back end needs is computed once per pass.

Legend: T query rows, S segments, R places of rows grouped by length, B blocks of the longest sequence.
Worked example: lengths [4, 2, 4] give `cu_seqlens_q = [0, 4, 6, 10]`; grouped by length, the rows are taken in the
order [0..3, 6..9, 4, 5] and computed as the batches (2 x 4), (1 x 2).
Worked example, paged: a sequence of 6 tokens in blocks [7, 2] of size 4 whose last token is new has
`block_table = [[7, 2]]` and `slot_mapping = [2 * 4 + 1]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from finesight.errors import LayoutError

_MAX_CAUSAL_WASTE = 1.25
"""Maximum ratio of longest to shortest segment in a causal batch: fewer calls for a little padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPlan:
    """Block-diagonal attention metadata of one forward pass.

    Attributes:
        query_lengths: query rows of each segment.
        key_lengths: key rows of each segment; without a KV cache the same.
        causal: whether a row attends only to itself and earlier rows; queries are the last rows of their keys.
        max_seqlen_q: query rows of the longest segment.
        max_seqlen_k: key rows of the longest segment.
        cu_seqlens_q: int32[S+1], query rows before each segment.
        cu_seqlens_k: int32[S+1], key rows before each segment.
        batches: number of segments and their (padded) length, for each batch of equal lengths; without a KV cache only.
        order: int64[R], row at each place of the batches (R > T if segments are padded); None if it is the identity.
        restore: int64[T], place of each row in `order`.
        block_table: int32[S, B], blocks of each sequence in the KV cache, padded with 0.
        slot_mapping: int64[T], slot of each new row in the KV cache: block * block size + offset.
        seqused_k: int32[S], `key_lengths` as a tensor.
        first_slots: first slot of each sequence with contiguous blocks, -1 for others.
        spread: int64[R'], the row at each place of segments that share rows, see `shared`; None if no rows are shared.
            All lengths above are then those of the segments, with their shared rows.
        kept: int64[T], a place of each row in `spread`.
    """

    query_lengths: tuple[int, ...]
    key_lengths: tuple[int, ...]
    causal: bool
    max_seqlen_q: int
    max_seqlen_k: int
    cu_seqlens_q: Tensor
    cu_seqlens_k: Tensor
    batches: tuple[tuple[int, int], ...] = ()
    order: Tensor | None = None
    restore: Tensor | None = None
    block_table: Tensor | None = None
    slot_mapping: Tensor | None = None
    seqused_k: Tensor | None = None
    first_slots: tuple[int, ...] = ()
    spread: Tensor | None = None
    kept: Tensor | None = None

    @property
    def num_rows(self) -> int:
        """Number of query rows (T)."""
        return sum(self.query_lengths) if self.kept is None else self.kept.numel()

    @classmethod
    def from_lengths(cls, lengths: Sequence[int], *, causal: bool) -> AttentionPlan:
        """Plan of segments that attend to themselves, without a KV cache.

        Raises:
            LayoutError: there is no segment.
        """
        if not lengths:
            raise LayoutError("cannot plan the attention of 0 segments")
        cu_seqlens, longest = cumulative(lengths), max(lengths)
        batches, order, restore = _group_by_length(lengths, causal=causal)
        return cls(
            query_lengths=tuple(lengths),
            key_lengths=tuple(lengths),
            causal=causal,
            max_seqlen_q=longest,
            max_seqlen_k=longest,
            cu_seqlens_q=cu_seqlens,
            cu_seqlens_k=cu_seqlens,
            batches=batches,
            order=order,
            restore=restore,
        )

    @classmethod
    def shared(cls, groups: Sequence[tuple[int, Sequence[int]]]) -> AttentionPlan:
        """Causal plan of continuations that share their beginning, without a KV cache.

        The rows of a group are its beginning, then each continuation. A row of a continuation attends to the beginning
        and to its own continuation. Everything but attention is computed once for the beginning.

        Args:
            groups: rows of the beginning, and of each continuation.

        Raises:
            LayoutError: there is no group, or a group without a continuation.

        Worked example: `[(2, [1, 2])]`, rows [0, 1 | 2 | 3, 4], has the segments [0, 1, 2] and [0, 1, 3, 4]:
        `spread = [0, 1, 2, 0, 1, 3, 4]`, `kept = [0, 1, 2, 5, 6]`.
        """
        segments: list[Tensor] = []
        kept: list[Tensor] = []
        row = place = 0
        for beginning, continuations in groups:
            if not continuations:
                raise LayoutError("a beginning of an attention plan has no continuation")
            common = torch.arange(row, row + beginning)
            kept.append(torch.arange(place, place + beginning))
            row += beginning
            for length in continuations:
                segments.append(torch.cat([common, torch.arange(row, row + length)]))
                kept.append(torch.arange(place + beginning, place + beginning + length))
                row += length
                place += beginning + length
        plan = cls.from_lengths([segment.numel() for segment in segments], causal=True)
        return replace(plan, spread=torch.cat(segments), kept=torch.cat(kept))

    @classmethod
    def paged(
        cls,
        query_lengths: Sequence[int],
        key_lengths: Sequence[int],
        blocks: Sequence[Sequence[int]],
        block_size: int,
    ) -> AttentionPlan:
        """Plan of sequences over a paged KV cache; prefill and decode may be mixed.

        Args:
            query_lengths: new tokens of each sequence: 1 for decode, more for prefill.
            key_lengths: all tokens of each sequence, the new ones included.
            blocks: blocks of each sequence, in the order of its tokens; more than it needs yet are allowed.
            block_size: tokens of a block.

        Raises:
            LayoutError: a sequence has no new token, or more tokens than its blocks hold.
        """
        for index, (new, total, owned) in enumerate(
            zip(query_lengths, key_lengths, blocks, strict=True)
        ):
            _check_sequence(index, new, total, len(owned) * block_size)
        used = [
            list(owned[: -(-total // block_size)])
            for owned, total in zip(blocks, key_lengths, strict=True)
        ]
        longest = max(len(row) for row in used)
        return cls(
            query_lengths=tuple(query_lengths),
            key_lengths=tuple(key_lengths),
            causal=True,
            max_seqlen_q=max(query_lengths),
            max_seqlen_k=max(key_lengths),
            cu_seqlens_q=cumulative(query_lengths),
            cu_seqlens_k=cumulative(key_lengths),
            block_table=torch.tensor(
                [row + [0] * (longest - len(row)) for row in used], dtype=torch.int32
            ),
            slot_mapping=torch.tensor(
                [
                    row[token // block_size] * block_size + token % block_size
                    for row, new, total in zip(used, query_lengths, key_lengths, strict=True)
                    for token in range(total - new, total)
                ]
            ),
            seqused_k=torch.tensor(key_lengths, dtype=torch.int32),
            first_slots=tuple(_first_slot(row, block_size) for row in used),
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> AttentionPlan:
        """Copy of the plan with every tensor on `device`."""
        return map_tensors(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))


def cumulative(lengths: Sequence[int]) -> Tensor:
    """int32[n+1] sums of the first 0, 1, ..., n lengths."""
    sums = [0]
    for length in lengths:
        sums.append(sums[-1] + length)
    return torch.tensor(sums, dtype=torch.int32)


RecordT = TypeVar("RecordT")


def map_tensors(record: RecordT, change: Callable[[Tensor], Tensor]) -> RecordT:
    """Copy of a frozen record, and of records inside it, with `change` applied to every tensor."""
    changed: dict[str, Any] = {}
    for entry in fields(record):  # type: ignore[arg-type]  # any dataclass; typeshed's protocol is private
        value = getattr(record, entry.name)
        if isinstance(value, Tensor):
            changed[entry.name] = change(value)
        elif is_dataclass(value):
            changed[entry.name] = map_tensors(value, change)
    return replace(record, **changed)  # type: ignore[type-var]  # as above


def _check_sequence(index: int, new: int, total: int, room: int) -> None:
    if not 1 <= new <= total:
        raise LayoutError(f"sequence {index} has {new} new tokens of {total}")
    if total > room:
        raise LayoutError(
            f"sequence {index} has {total} tokens, its blocks hold {room}",
            hint="give the sequence another block before the forward pass",
        )


def _first_slot(blocks: list[int], block_size: int) -> int:
    is_run = blocks == list(range(blocks[0], blocks[0] + len(blocks)))
    return blocks[0] * block_size if is_run else -1


def _group_by_length(
    lengths: Sequence[int], *, causal: bool
) -> tuple[tuple[tuple[int, int], ...], Tensor | None, Tensor | None]:
    """Sort the segments by length, longest first, and split them into batches.

    Returns:
        Number and padded length of the segments of each batch, `order` and `restore` of the plan.
    """
    found = torch.tensor(lengths)
    by_length = torch.argsort(found, descending=True, stable=True)
    padded, batches = _cut_batches(found[by_length].tolist(), causal=causal)
    total, padded_total = sum(lengths), sum(padded)
    if total == padded_total and bool((by_length.diff() > 0).all()):
        return batches, None, None
    # order[p] = the row at place p. A padding place repeats its segment's last row: finite, and never read back.
    first_rows = (found.cumsum(0) - found)[by_length]
    counts = torch.tensor(padded)
    first_places = counts.cumsum(0) - counts
    within = torch.arange(padded_total) - torch.repeat_interleave(first_places, counts)
    last = torch.repeat_interleave(found[by_length] - 1, counts)
    order = torch.repeat_interleave(first_rows, counts) + within.minimum(last)
    real = within <= last
    restore = torch.empty(total, dtype=torch.int64)
    restore[order[real]] = torch.arange(padded_total)[real]
    return batches, order, restore


def _cut_batches(
    lengths: list[int], *, causal: bool
) -> tuple[list[int], tuple[tuple[int, int], ...]]:
    """Padded length of each segment (longest first), and number and length of the segments of each batch."""
    padded: list[int] = []
    batches: list[tuple[int, int]] = []
    first = 0
    while first < len(lengths):
        longest, count = lengths[first], 1
        shortest = longest / _MAX_CAUSAL_WASTE if causal else longest
        while first + count < len(lengths) and lengths[first + count] >= shortest:
            count += 1
        padded += [longest] * count
        batches.append((count, longest))
        first += count
    return padded, tuple(batches)
