# SPDX-License-Identifier: Apache-2.0
"""Muon for matrices that are divided over ranks.

The momentum is kept in parts. Orthogonalisation needs whole matrices: the ranks gather the updates one after the other,
each orthogonalises every n-th one by torch's own Muon, and sends it to the others. So a step takes as many matrix
products as on one rank, divided by the number of ranks, and a rank has one whole matrix at a time besides its own.

Legend: n ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from finesight.train.parallel import own_part, share_of, whole


class ParallelMuon(torch.optim.Optimizer):
    """The same steps as `torch.optim.Muon` with Nesterov momentum and `adjust_lr_fn="match_rms_adamw"`.

    Args:
        groups: parameter groups with `lr` and `weight_decay`.
        momentum: momentum of all groups.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], momentum: float) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # without a closure
        """Update all parameters; all ranks must call it."""
        for group in self.param_groups:
            matrices = [one for one in group["params"] if one.grad is not None]
            size = dist.get_world_size()
            for first in range(0, len(matrices), size):
                self._update(matrices[first : first + size], group)

    def _update(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        """Update at most n matrices, of which each rank orthogonalises one."""
        rank, own = dist.get_rank(), None
        for owner, matrix in enumerate(matrices):
            direction = whole(self._with_momentum(matrix, group["momentum"]))
            if owner == rank:
                own = _orthogonal(direction, group["lr"])
        for owner, matrix in enumerate(matrices):
            change = own if owner == rank else own_part(matrix).new_empty(matrix.shape)
            assert change is not None
            dist.broadcast(change, owner)
            part = own_part(matrix)
            part.mul_(1 - group["lr"] * group["weight_decay"]).add_(share_of(change, matrix))

    def _with_momentum(self, matrix: Tensor, momentum: float) -> Tensor:
        """The direction of the update before orthogonalisation, divided like the matrix."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix.grad)
        buffer = state["momentum_buffer"]
        buffer.lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(buffer, momentum)


def _orthogonal(direction: Tensor, lr: float) -> Tensor:
    """The change of a whole matrix by one step of torch's Muon without momentum."""
    change = nn.Parameter(torch.zeros_like(direction))
    change.grad = direction
    torch.optim.Muon(
        [change],
        lr=lr,
        weight_decay=0.0,
        momentum=0.0,
        nesterov=False,
        adjust_lr_fn="match_rms_adamw",
    ).step()
    return change.detach()
