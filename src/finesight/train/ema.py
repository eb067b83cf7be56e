# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of the weights, for evaluation and export.

With a constant learning rate, the averaged weights are about as good as weights after a decay, without its steps. The
copy is that of `torch.optim.swa_utils`, with a warm-up of the decay.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """A copy of a module with averaged weights: call `update_parameters(module)` after each step.

    The decay of update number n is `min(decay, n / (n + 10))`, so that the initial weights are soon forgotten. Frozen
    weights are shared with the module.

    Args:
        module: the module to average.
        decay: share of the old average kept at each update, after the warm-up.
    """

    @torch.no_grad()
    def update(own: Sequence[Tensor], current: Sequence[Tensor], _number: Tensor | int) -> None:
        number = int(average.n_averaged)  # on the host; `_number` is a copy on the device
        kept = min(decay, number / (number + 10))
        changed = [
            pair
            for pair in zip(own, current, strict=True)
            if pair[0].data_ptr() != pair[1].data_ptr()
        ]
        if changed:
            averages, weights = zip(*changed, strict=True)
            torch._foreach_lerp_(averages, weights, 1 - kept)

    average = AveragedModel(module, multi_avg_fn=update)
    for own, weight in zip(average.module.parameters(), module.parameters(), strict=True):
        if not weight.requires_grad:
            own.data = weight.data  # frozen weights are shared
    average.n_averaged.fill_(1)  # at 0, torch copies the weights at the first update
    return average.requires_grad_(False).eval()


def num_updates(average: AveragedModel) -> int:
    """Number of updates of the average."""
    return int(average.n_averaged) - 1


def restore(average: AveragedModel, updates: int) -> None:
    """Set the number of updates of an average whose weights were loaded."""
    average.n_averaged.fill_(updates + 1)
