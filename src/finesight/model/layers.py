# SPDX-License-Identifier: Apache-2.0
"""The layers that the vision tower and the text decoder share, and how their arithmetic is spread over memory.

Trade-off: on a CPU, one float32 temporary of a large picture costs more in fresh memory pages than in arithmetic, so
inference runs element-wise work in slices of rows that fit the cache (`in_slices`). Training and GPUs take whole
tensors: there a slice would only add calls.

Legend: N rows (patches or tokens), D width, F width inside the SwiGLU.
Source: Zhang and Sennrich 2019 (arXiv 1910.07467), Shazeer 2020 (arXiv 2002.05202).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLICE_NUMBERS = 262_144
"""Numbers of one element-wise slice: 1 MiB in float32, half of an L2 cache with its result."""

_FEED_FORWARD_ROWS = 1024
"""Rows of one feed-forward slice: enough that reading the weights again costs nothing."""


def in_slices(
    compute: Callable[..., Tensor], slice_rows: int, first: Tensor, *others: Tensor
) -> Tensor:
    """`compute(first, *others)`, a few rows at a time where that is faster: on a CPU, without gradients.

    Args:
        compute: works row by row; its result has the shape and dtype of `first`.
        slice_rows: rows of one slice.
        first: `[N, ...]`.
        others: `[N, ...]` each, cut like `first`.
    """
    rows = first.shape[0]
    if rows <= slice_rows or first.device.type != "cpu" or torch.is_grad_enabled():
        return compute(first, *others)
    out = torch.empty(first.shape, dtype=first.dtype)
    for start in range(0, rows, slice_rows):
        stop = min(start + slice_rows, rows)
        out[start:stop] = compute(first[start:stop], *(other[start:stop] for other in others))
    return out


def slice_rows(states: Tensor) -> int:
    """Rows of an element-wise slice of `states`."""
    return max(1, _SLICE_NUMBERS * states.shape[0] // max(states.numel(), 1))


class RMSNorm(nn.Module):
    """Divide each row by its root mean square and scale each column.

    Args:
        width: D.
        eps: added to the mean square.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, states: Tensor) -> Tensor:
        """Normalise `[N, D]`; the result has the dtype of `states`, the mean is taken in float32."""
        return in_slices(self._normalise, slice_rows(states), states)

    def _normalise(self, states: Tensor) -> Tensor:
        wide = states.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).to(states.dtype)


class SwiGLU(nn.Module):
    """Gated feed-forward: `down(silu(gate(x)) * up(x))`.

    Args:
        width: D.
        inner_width: F.
        bias: whether the three projections have a bias (vision: yes, text: no).
    """

    def __init__(self, width: int, inner_width: int, *, bias: bool) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner_width, bias=bias)
        self.up_proj = nn.Linear(width, inner_width, bias=bias)
        self.down_proj = nn.Linear(inner_width, width, bias=bias)

    def forward(self, states: Tensor) -> Tensor:
        """Map `[N, D]` to `[N, D]` through `[N, F]`."""
        return in_slices(self._feed_forward, _FEED_FORWARD_ROWS, states)

    def _feed_forward(self, states: Tensor) -> Tensor:
        gate, up = self.gate_proj(states), self.up_proj(states)
        if torch.is_grad_enabled():  # autograd needs the factors that in-place work would overwrite
            inner = functional.silu(gate) * up
        else:
            inner = functional.silu(gate, inplace=True).mul_(up)
        return self.down_proj(inner)  # type: ignore[no-any-return]  # nn.Module call


def add_(states: Tensor, update: Tensor) -> Tensor:
    """`states + update`, in place where no gradient is recorded.

    The caller must own `states`: nothing else may read it afterwards.
    """
    if torch.is_grad_enabled():
        return states + update
    return states.add_(update)
