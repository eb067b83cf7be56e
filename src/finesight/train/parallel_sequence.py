# SPDX-License-Identifier: Apache-2.0
"""Ulysses: the tokens of a pack are divided over ranks, and inside attention the heads are.

Each rank of a group has a contiguous part of the rows of the pack in embeddings, norms, projections and feed-forward.
Around attention, an all-to-all gives every rank all rows of a part of the heads, and another one takes them back. So
attention needs no change: it gets the plan of the whole pack. Positions are those of the whole pack, too.

Every rank of a group computes the same loss of the whole pack and propagates its share `1 / S` of the gradient back;
the gradients of the group are then summed. Functions that combine rows of several ranks therefore have the adjoint
operation as their backward pass.

Legend: S ranks of the group, T rows of the pack, P rows of a part (T / S, rounded up; the last is padded), H heads,
E head size.
Source: Jacobs et al. 2023 (arXiv 2309.14509).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional


class Ulysses:
    """The exchange of rows and heads of one group of ranks; see `finesight.model.language.RowExchange`.

    Args:
        group: the ranks of one pack, in the order of its rows.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group
        self._size = dist.get_world_size(group)
        self._index = dist.get_rank(group)

    def split(self, rows: Tensor) -> Tensor:
        """The part `[P, ...]` of this rank of `[T, ...]`."""
        padded = self._padded(rows)
        length = padded.shape[0] // self._size
        return padded.narrow(0, self._index * length, length)

    def share(self, rows: Tensor) -> Tensor:
        """Every S-th row, the first at the index of this rank."""
        return rows[self._index :: self._size]

    def join(self, part: Tensor, num_rows: int) -> Tensor:
        """`[T, ...]` of the parts `[P, ...]` of all ranks."""
        joined: Tensor = _Gather.apply(part, self._group)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return joined[:num_rows]

    def by_head(self, part: Tensor, num_rows: int) -> Tensor:
        """`[T, H / S, E]`, all rows of the heads of this rank, of `[P, H, E]`, all heads of its rows."""
        heads = part.unflatten(1, (self._size, -1)).transpose(0, 1)  # [S, P, H / S, E]
        return self._exchanged(heads.contiguous()).flatten(0, 1)[:num_rows]

    def by_row(self, heads: Tensor) -> Tensor:
        """`[P, H, E]` of `[T, H / S, E]`, the inverse of `by_head`."""
        parts = self._padded(heads).unflatten(0, (self._size, -1))  # [S, P, H / S, E]
        return self._exchanged(parts.contiguous()).transpose(0, 1).flatten(1, 2)

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a value over the ranks; each gets the sum."""
        total: Tensor = _Sum.apply(value, self._group)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return total

    def _padded(self, rows: Tensor) -> Tensor:
        missing = -rows.shape[0] % self._size
        return functional.pad(rows, (0, 0) * (rows.ndim - 1) + (0, missing)) if missing else rows

    def _exchanged(self, parts: Tensor) -> Tensor:
        """`[S, ...]`, the entry of this rank from every rank."""
        found: Tensor = _Exchange.apply(parts, self._group)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return found


class _Exchange(torch.autograd.Function):
    """All-to-all of equal parts, which is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, parts: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        found = torch.empty_like(parts)
        dist.all_to_all_single(found, parts, group=group)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        parts = grads[0].contiguous()
        found = torch.empty_like(parts)
        dist.all_to_all_single(found, parts, group=ctx.group)
        return found, None


class _Gather(torch.autograd.Function):
    """Rows of all ranks; the adjoint sums the gradients of each rank's rows."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        found = part.new_empty((dist.get_world_size(group) * part.shape[0], *part.shape[1:]))
        dist.all_gather_into_tensor(found, part.contiguous(), group=group)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        size = dist.get_world_size(ctx.group)
        found = grads[0].new_empty((grads[0].shape[0] // size, *grads[0].shape[1:]))
        dist.reduce_scatter_tensor(found, grads[0].contiguous(), group=ctx.group)
        return found, None


class _Sum(torch.autograd.Function):
    """Sum over the ranks, which is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        total = value.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None
