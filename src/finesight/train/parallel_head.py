# SPDX-License-Identifier: Apache-2.0
"""The output head with its vocabulary divided over the ranks of a tensor group.

No rank has the logits of a row over the whole vocabulary: the ranks exchange the largest logit, the sum of exponentials
and the logit of the target of each row.

Legend: R rows of hidden states (the same on all ranks), D decoder width, V vocabulary, n ranks.
Source: Shoeybi et al. 2019 (arXiv 1909.08053), section 3.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.nn import functional

from finesight.model.head import OutputHead, chunk_rows


class ParallelHead(OutputHead):
    """An output head whose rank has `V / n` rows of the weight.

    Args:
        head: the head that it replaces, with the whole weight.
        embedding: the token embedding, divided by the vocabulary; its weight is used if `head` is tied.
        mesh: the ranks.
    """

    def __init__(self, head: OutputHead, embedding: nn.Embedding, mesh: DeviceMesh) -> None:
        width, vocabulary = embedding.embedding_dim, embedding.num_embeddings
        super().__init__(width, vocabulary, tied_to=embedding)
        self._mesh = mesh
        self._first = mesh.get_local_rank() * (vocabulary // mesh.size())
        if head.weight_owner is head:
            self._tied_to = None
            self.weight = nn.Parameter(distribute_tensor(head.weight.detach(), mesh, [Shard(0)]))

    def forward(self, rows: Tensor) -> Tensor:
        """Logits `[R, V]` of hidden states `[R, D]`, gathered on every rank."""
        replicated = DTensor.from_local(rows, self._mesh, [Replicate()], run_check=False)
        weight = self._vocabulary().to(rows.dtype)
        scores = functional.linear(replicated, weight)
        assert isinstance(scores, DTensor)
        return scores.redistribute(placements=[Replicate()]).to_local()

    def loss(
        self, rows: Tensor, targets: Tensor, row_weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `OutputHead.loss`; the results are the same on all ranks.

        A target counts as predicted if no logit is above its own.
        """
        weight = self._vocabulary()
        assert isinstance(weight, DTensor)
        found: tuple[Tensor, Tensor, Tensor] = _ParallelCrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            rows, weight.to_local(), targets - self._first, row_weights, self._mesh.get_group()
        )
        return found


class _ParallelCrossEntropy(torch.autograd.Function):
    """Fused matrix product and cross-entropy over a divided vocabulary; gradients are computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        row_weights: Tensor | None,
        group: dist.ProcessGroup,
    ) -> tuple[Tensor, Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        rows, low_weight = hidden.to(dtype), weight.to(dtype)
        is_frozen = not ctx.needs_input_grad[1]
        hidden_grad = torch.empty_like(rows)
        weight_grad = None if is_frozen else torch.zeros_like(weight, dtype=torch.float32)
        token_losses = torch.empty(len(rows), device=hidden.device)
        is_right = torch.empty(len(rows), dtype=torch.bool, device=hidden.device)
        step = chunk_rows(weight.shape[0])
        for begin in range(0, len(rows), step):
            chunk = slice(begin, begin + step)
            part = rows[chunk]
            scores = functional.linear(part, low_weight).float()
            losses, right, slope = _of_chunk(scores, targets[chunk], group)
            token_losses[chunk], is_right[chunk] = losses, right
            if row_weights is not None:
                slope.mul_(row_weights[chunk, None])
            low_slope = slope.to(dtype)
            torch.mm(low_slope, low_weight, out=hidden_grad[chunk])
            if weight_grad is not None:
                weight_grad += low_slope.T @ part
        dist.all_reduce(hidden_grad, group=group)
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.dtypes = hidden.dtype, weight.dtype
        ctx.mark_non_differentiable(token_losses, is_right)
        weighted = token_losses if row_weights is None else token_losses * row_weights
        return weighted.sum(), token_losses, is_right

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        hidden_dtype, weight_dtype = ctx.dtypes
        return (
            (hidden_grad * grads[0]).to(hidden_dtype),
            None if weight_grad is None else (weight_grad * grads[0]).to(weight_dtype),
            None,
            None,
            None,
        )


def _of_chunk(
    scores: Tensor, targets: Tensor, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor, Tensor]:
    """Token losses `[r]`, whether the target has the largest logit `[r]`, and the slopes of the own logits.

    Args:
        scores: float32[r, V / n], logits of this rank; overwritten by the slopes.
        targets: int64[r], targets relative to the first token of this rank; most are on other ranks.
        group: the ranks.
    """
    largest = scores.amax(dim=-1, keepdim=True)
    dist.all_reduce(largest, dist.ReduceOp.MAX, group=group)
    is_own = ((targets >= 0) & (targets < scores.shape[1]))[:, None]
    own = targets[:, None].clamp(0, scores.shape[1] - 1)
    wanted = torch.where(is_own, scores.gather(1, own), 0.0)
    slope = scores.sub_(largest).exp_()
    sums = torch.cat([slope.sum(dim=-1, keepdim=True), wanted], dim=1)
    dist.all_reduce(sums, group=group)
    total, wanted = sums.split(1, dim=1)
    slope.div_(total).scatter_add_(1, own, -is_own.float())
    return (largest + total.log() - wanted)[:, 0], (wanted >= largest)[:, 0], slope
