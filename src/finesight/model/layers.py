# SPDX-License-Identifier: Apache-2.0
"""The layers that the vision tower and the text decoder share.

Legend: N rows (patches or tokens), D width, F width inside the SwiGLU.
Source: Zhang and Sennrich 2019 (arXiv 1910.07467), Shazeer 2020 (arXiv 2002.05202).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.kernels import ops, rows
from finesight.model.chunks import chunk_rows, in_chunks

_FEED_FORWARD_ROWS = 1024
"""Rows of a feed-forward chunk: enough to amortise reading the weights again."""


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
        if ops.fuses(states):
            return ops.rms_norm(states, self.weight, self.eps)
        if rows.fits(states) and states.is_contiguous():
            return rows.rms_norm(states, self.weight, self.eps)
        return in_chunks(self._normalise, chunk_rows(states), states)

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
        return in_chunks(self._feed_forward, _FEED_FORWARD_ROWS, states)

    def _feed_forward(self, states: Tensor) -> Tensor:
        gate, up = self.gate_proj(states), self.up_proj(states)
        if rows.fits(gate, up):
            inner = rows.swiglu_(gate, up)
        elif (
            torch.is_grad_enabled()
        ):  # autograd needs the factors that in-place operations would overwrite
            inner = functional.silu(gate) * up
        elif ops.fuses(gate):
            inner = ops.swiglu(gate, up)
        else:
            inner = functional.silu(gate, inplace=True).mul_(up)
        return self.down_proj(inner)  # type: ignore[no-any-return]  # nn.Module call
