# SPDX-License-Identifier: Apache-2.0
"""Next-token cross-entropy, computed only where there is something to learn.

A vocabulary-wide row of logits is the widest thing a small model computes, and most tokens of a sample (the picture,
the question) have no target. So rows are chosen first and logits are made for those alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from finesight.batch import IGNORE_INDEX, PackedBatch

_SCORES_AT_A_TIME = 2**21
"""Logits held at once: 8 MiB of float32, which a last-level cache holds."""

_FEWEST_ROWS = 64
"""Rows scored at once however wide the vocabulary; fewer would starve the matrix product."""


def target_rows(batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Rows whose next token is learned, and those tokens.

    Works on CPU tensors before they move to a device, so that the choice costs no synchronisation.

    Returns:
        `int64[R]` rows of the hidden states, and `int64[R]` targets.

    Worked example: labels `[-100, -100, 7, 9]` of one sample give rows `[1, 2]` and targets `[7, 9]`; the first token
    of a sample is never a target of the sample before it.
    """
    following = batch.labels[1:]
    same_sample = batch.sample_ids[1:] == batch.sample_ids[:-1]
    rows = torch.nonzero((following != IGNORE_INDEX) & same_sample).squeeze(1)
    return rows, following[rows]


def answer_weights(rows: Tensor, balance: float) -> Tensor:
    """Weights that keep long answers from ruling over short ones.

    A number says in one token what a list of boxes says in a hundred. With a plain mean over tokens the number is a
    hundredth of the lesson; "square averaging" (`balance` 0.5) makes it a tenth (InternVL 2.5, arXiv 2412.05271).

    Args:
        rows: int64[R], ascending, as `target_rows` gives them; rows without a gap are one answer.
        balance: a token weighs as the length of its answer to the power `-balance`: 0 weighs tokens alike, 1 answers.

    Returns:
        float32[R], with a mean of 1.

    Worked example: answers of 1 and 4 tokens with balance 0.5 weigh `1` and `4 x 0.5` before they are scaled to
    `5/3` and `4 x 5/6`.
    """
    begins = torch.ones_like(rows, dtype=torch.bool)
    begins[1:] = rows.diff() > 1
    answer = begins.cumsum(0) - 1
    lengths = answer.bincount()[answer]
    weights = lengths.float() ** -balance
    return weights / weights.mean()


def token_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, row_weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of `hidden @ weight.T`, and how many of the tokens were the best guess.

    Logits of all rows never exist at once: a few rows are scored at a time, and their gradient is made while they are
    still in the cache. Under autocast the products are done in its dtype, sums in float32.

    Args:
        hidden: float[R, D].
        weight: float[V, D], the output embedding.
        targets: int64[R].
        row_weights: float32[R], factors of the rows; None weighs all alike.

    Returns:
        Scalar float32 loss, the sum of the weighted rows over R, and scalar share of right tokens.
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
        share = right / len(rows)
        ctx.mark_non_differentiable(share)
        return loss / len(rows), share

    @staticmethod
    def backward(
        ctx: Any, loss_grad: Tensor, _share_grad: Tensor
    ) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        factor = loss_grad / len(hidden_grad)
        hidden_dtype, weight_dtype = ctx.dtypes
        return (
            (hidden_grad * factor).to(hidden_dtype),
            (weight_grad * factor).to(weight_dtype),
            None,
            None,
        )
