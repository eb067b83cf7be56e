# SPDX-License-Identifier: Apache-2.0
"""The output head: logits over the vocabulary, and their cross-entropy.

A row of logits over a vocabulary of 152,064 takes 600 KB of float32, and most tokens (the picture, the question) have
no target. So callers select rows first, and `loss` never stores the logits of all rows at once.

Legend: R rows of hidden states, D decoder width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from finesight.kernels import ops

_LOGITS_PER_CHUNK = 2**21
"""Logits per chunk of `loss`: 8 MiB of float32, which fit a last-level cache."""

_MIN_CHUNK_ROWS = 64
"""Minimum rows per chunk for any vocabulary; fewer make the matrix product inefficient."""


_KERNEL_ROWS = 32
"""Most rows for the CPU kernels; with more, oneDNN is faster."""


class OutputHead(nn.Module):
    """Linear map from hidden states to the vocabulary; the only module that reads its weight.

    With its own weight it is stored as `lm_head.weight`. A tied head has no parameter: it uses the token embedding's,
    which is stored and counted once, as the published checkpoints do.

    Args:
        width: D.
        vocab_size: V.
        tied_to: the token embedding whose weight is shared; None gives the head a weight of its own.

    Attributes:
        uses_kernels: whether few rows are computed by the CPU kernels, see `model.fused.use_kernels`.
    """

    def __init__(self, width: int, vocab_size: int, *, tied_to: nn.Embedding | None) -> None:
        super().__init__()
        self.uses_kernels = False
        # The tuple keeps the embedding from being registered as a submodule under a second name.
        self._tied_to = None if tied_to is None else (tied_to,)
        if tied_to is None:
            linear = nn.Linear(width, vocab_size, bias=False)  # its initialisation
            self.weight = linear.weight
        else:
            self.register_parameter("weight", None)

    @property
    def weight_owner(self) -> nn.Module:
        """The module that holds the weight: this one, or the token embedding."""
        return self if self._tied_to is None else self._tied_to[0]

    def forward(self, rows: Tensor) -> Tensor:
        """Logits `[R, V]` of hidden states `[R, D]`, in their dtype."""
        weight = self._vocabulary()
        if self.uses_kernels and _suits_kernels(rows, weight):
            return ops.linear(rows, weight, None, weight.shape[0])
        return functional.linear(rows, weight)

    def loss(
        self, rows: Tensor, targets: Tensor, row_weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy of the logits against target tokens, chunk by chunk.

        The gradient of a chunk is computed while its logits are still in the cache. Under autocast products use
        its dtype, sums float32.

        Args:
            rows: float[R, D], hidden states.
            targets: int64[R].
            row_weights: float32[R], weights of the rows in the sum; None means 1.

        Returns:
            Scalar float32, the weighted sum of the token losses, with a gradient; float32[R], the token losses before
            weighting; bool[R], whether the target had the highest logit. The latter two have no gradient.
        """
        found: tuple[Tensor, Tensor, Tensor] = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            rows, self._vocabulary(), targets, row_weights
        )
        return found

    def log_probs(self, rows: Tensor, targets: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Log-probability of a target token for each row, with a gradient.

        Logits are computed chunk by chunk, and again in the backward pass, so that few are in memory.

        Args:
            rows: float[R, D], hidden states.
            targets: int64[R].
            temperature: the logits are divided by it.

        Returns:
            float32[R].
        """
        weight = self._vocabulary()

        def of_chunk(part: Tensor, wanted: Tensor) -> Tensor:
            scores = functional.linear(part, weight).float() / temperature
            chosen = scores.gather(1, wanted.unsqueeze(1)).squeeze(1)
            return chosen - scores.logsumexp(dim=-1)

        step = max(_LOGITS_PER_CHUNK // weight.shape[0], _MIN_CHUNK_ROWS)
        pairs = zip(rows.split(step), targets.split(step), strict=True)
        if not torch.is_grad_enabled():
            return torch.cat([of_chunk(*pair) for pair in pairs])
        return torch.cat([checkpoint(of_chunk, *pair, use_reentrant=False) for pair in pairs])

    def cosines(self, rows: Tensor) -> Tensor:
        """float32[R, V], cosine of each row with each token's direction; the head's weight gets no gradient."""
        directions = functional.normalize(self._vocabulary().detach().float(), dim=1)
        return functional.linear(functional.normalize(rows.float(), dim=1), directions)

    def _vocabulary(self) -> Tensor:
        """`[V, D]`, the direction of each token."""
        return self.weight if self._tied_to is None else self._tied_to[0].weight


def chunk_rows(num_logits: int) -> int:
    """Rows of a chunk of `loss`, for so many logits a row."""
    return max(_LOGITS_PER_CHUNK // num_logits, _MIN_CHUNK_ROWS)


def _suits_kernels(rows: Tensor, weight: Tensor) -> bool:
    """Whether the kernels can and should multiply these rows."""
    is_bf16 = rows.dtype == weight.dtype == torch.bfloat16
    return (
        is_bf16
        and weight.device.type == "cpu"
        and rows.shape[0] <= _KERNEL_ROWS
        and not (torch.is_grad_enabled() and (rows.requires_grad or weight.requires_grad))
    )


class _LinearCrossEntropy(torch.autograd.Function):
    """Fused matrix product and cross-entropy; gradients are computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, row_weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        rows, low_weight = hidden.to(dtype), weight.to(dtype)
        hidden_grad = torch.empty_like(rows)
        is_frozen = not ctx.needs_input_grad[1]
        weight_grad = None if is_frozen else torch.zeros_like(weight, dtype=torch.float32)
        token_losses = torch.empty(len(rows), device=hidden.device)
        is_right = torch.empty(len(rows), dtype=torch.bool, device=hidden.device)
        step = chunk_rows(weight.shape[0])
        for begin in range(0, len(rows), step):
            chunk = slice(begin, begin + step)
            part, wanted = rows[chunk], targets[chunk, None]
            scores = functional.linear(part, low_weight).float()
            is_right[chunk] = scores.argmax(dim=-1) == wanted[:, 0]
            log_sum = scores.logsumexp(dim=-1, keepdim=True)
            token_losses[chunk] = (log_sum - scores.gather(1, wanted))[:, 0]
            slope = scores.sub_(log_sum).exp_()  # the softmax; minus one at the target below
            slope.scatter_add_(1, wanted, torch.full_like(log_sum, -1.0))
            if row_weights is not None:
                slope.mul_(row_weights[chunk, None])
            low_slope = slope.to(dtype)
            torch.mm(low_slope, low_weight, out=hidden_grad[chunk])
            if weight_grad is not None:
                weight_grad += low_slope.T @ part
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.dtypes = hidden.dtype, weight.dtype
        ctx.mark_non_differentiable(token_losses, is_right)
        weighted = token_losses if row_weights is None else token_losses * row_weights
        return weighted.sum(), token_losses, is_right

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        hidden_dtype, weight_dtype = ctx.dtypes
        return (
            (hidden_grad * grads[0]).to(hidden_dtype),
            None if weight_grad is None else (weight_grad * grads[0]).to(weight_dtype),
            None,
            None,
        )
