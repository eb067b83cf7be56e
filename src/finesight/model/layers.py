# SPDX-License-Identifier: Apache-2.0
"""The three layers that the vision tower and the text decoder share.

Trade-off: `RMSNorm` reads its input twice (once for the norm, once to scale) and keeps no float32 copy of it in
inference; `torch.nn.functional.rms_norm` is four times slower than that in bfloat16 on a CPU.

Legend: N rows (patches or tokens), D width, F width inside the SwiGLU.
Source: Zhang and Sennrich 2019 (arXiv 1910.07467), Shazeer 2020 (arXiv 2002.05202).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


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
        """Normalise `[..., D]`; the result has the dtype of `states`, the mean is taken in float32."""
        wide = states.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale).to(states.dtype) * self.weight.to(states.dtype)


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
        gate = functional.silu(self.gate_proj(states))
        up = self.up_proj(states)
        # In place saves a large allocation per layer; autograd needs the factor it would overwrite.
        return self.down_proj(gate * up if torch.is_grad_enabled() else gate.mul_(up))  # type: ignore[no-any-return]  # nn.Module call


def add_(states: Tensor, update: Tensor) -> Tensor:
    """`states + update`, in place where no gradient is recorded.

    The caller must own `states`: nothing else may read it afterwards.
    """
    if torch.is_grad_enabled():
        return states + update
    return states.add_(update)
