# SPDX-License-Identifier: Apache-2.0
"""Next-token cross-entropy, computed only where there is something to learn.

A row of logits as wide as the vocabulary is the largest thing that a small model computes, and most tokens of a sample
(the picture, the question) have no target. So rows are chosen first (`finesight.data.next_token`), and logits are made
for those alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_SCORES_AT_A_TIME = 2**21
"""Logits held at once: 8 MiB of float32, which a last-level cache holds."""

_FEWEST_ROWS = 64
"""Rows scored at once however wide the vocabulary; fewer would starve the matrix product."""


def token_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, row_weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sum of the cross-entropies of `hidden @ weight.T`, and how many of the tokens were the best guess.

    Logits of all rows never exist at once: a few rows are scored at a time, and their gradient is made while they are
    still in the cache. Under autocast the products are done in its dtype, sums in float32.

    Args:
        hidden: float[R, D].
        weight: float[V, D], the output embedding.
        targets: int64[R].
        row_weights: float32[R], factors of the rows; None weighs all alike.

    Returns:
        Scalar float32 sum of the weighted losses of the rows, and scalar number of right tokens.
    """
    scored: tuple[Tensor, Tensor] = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        hidden, weight, targets, row_weights
    )
    return scored


class _LinearCrossEntropy(torch.autograd.Function):
    """Product and cross-entropy in one, with the gradients made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, row_weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        rows, low_weight = hidden.to(dtype), weight.to(dtype)
        hidden_grad = torch.empty_like(rows)
        weight_grad = torch.zeros_like(weight, dtype=torch.float32)
        loss = torch.zeros((), device=hidden.device)
        right = torch.zeros((), device=hidden.device)
        factors = (
            torch.ones(len(rows), device=hidden.device) if row_weights is None else row_weights
        )
        step = max(_SCORES_AT_A_TIME // weight.shape[0], _FEWEST_ROWS)
        for begin in range(0, len(rows), step):
            part, wanted = rows[begin : begin + step], targets[begin : begin + step, None]
            scores = F.linear(part, low_weight).float()
            right += (scores.argmax(dim=-1) == wanted[:, 0]).sum()
            log_sum = scores.logsumexp(dim=-1, keepdim=True)
            factor = factors[begin : begin + step, None]
            loss += ((log_sum - scores.gather(1, wanted)) * factor).sum()
            slope = scores.sub_(log_sum).exp_()  # the softmax; minus one at the target below
            slope.scatter_add_(1, wanted, torch.full_like(log_sum, -1.0))
            low_slope = slope.mul_(factor).to(dtype)
            torch.mm(low_slope, low_weight, out=hidden_grad[begin : begin + step])
            weight_grad += low_slope.T @ part
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.dtypes = hidden.dtype, weight.dtype
        ctx.mark_non_differentiable(right)
        return loss, right

    @staticmethod
    def backward(
        ctx: Any, loss_grad: Tensor, _right_grad: Tensor
    ) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        hidden_dtype, weight_dtype = ctx.dtypes
        return (
            (hidden_grad * loss_grad).to(hidden_dtype),
            (weight_grad * loss_grad).to(weight_dtype),
            None,
            None,
        )
