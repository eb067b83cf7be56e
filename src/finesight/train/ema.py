# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of weights: what is evaluated and shipped.

With a flat learning rate the average is about where a decay would have led, at no cost in steps. The copy is kept by
`torch.optim.swa_utils`; the warm-up is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """A copy of a module that follows its weights: call `update_parameters(module)` after each step.

    Update number n keeps the share `min(decay, n / (n + 10))` of the old average: a young one must forget its start.

    Args:
        module: whose parameters are averaged.
        decay: share of the old average kept at each update, once warmed up.
    """

    @torch.no_grad()
    def follow(own: Sequence[Tensor], present: Sequence[Tensor], _on_device: Tensor | int) -> None:
        number = int(
            average.n_averaged
        )  # of the host: reading the copy on a device would wait for it
        kept = min(decay, number / (number + 10))
        torch._foreach_lerp_(list(own), list(present), 1 - kept)

    average = AveragedModel(module, multi_avg_fn=follow)
    average.n_averaged.fill_(1)  # torch would take the first weights as they are
    return average.requires_grad_(False).eval()


def num_updates(average: AveragedModel) -> int:
    """How often the average was updated."""
    return int(average.n_averaged) - 1


def restore(average: AveragedModel, updates: int) -> None:
    """Set how often an average whose weights were loaded has been updated."""
    average.n_averaged.fill_(updates + 1)
