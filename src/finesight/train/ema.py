# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of the trained weights, for evaluation and export.

With a constant learning rate, the averaged weights are about as good as weights after a decay, without its steps.
Frozen weights need no average. In a run of several ranks each averages its part.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from finesight.train.parallel import own_part


class Average:
    """Averages of the trained parameters of a module.

    The decay of update number n is `min(decay, n / (n + 10))`, so that the initial weights are soon forgotten.

    Args:
        module: the module; its parameters without gradients are frozen.
        decay: share of the old average kept at each update, after the warm-up.

    Attributes:
        tensors: averages by name.
        updates: number of updates.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self._weights = {
            name: value for name, value in module.named_parameters() if value.requires_grad
        }
        self.tensors = {name: value.detach().clone() for name, value in self._weights.items()}
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the current weights into the average."""
        self.updates += 1
        kept = min(self._decay, self.updates / (self.updates + 10))
        averages, weights = _own(self.tensors), _own(self._weights)
        torch._foreach_lerp_(averages, weights, 1 - kept)

    @torch.no_grad()
    def restart(self, updates: int = 0) -> None:
        """Take over the current weights, as an average of so many updates."""
        self.updates = updates
        torch._foreach_copy_(_own(self.tensors), _own(self._weights))


def copy_with(module: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a module for evaluation, whose parameters are given tensors and share their memory.

    Args:
        module: the module; its buffers are shared.
        tensors: a tensor for each of its parameters, by name.
    """
    shared: dict[int, Tensor] = {id(each): each for each in module.buffers()}
    for name, parameter in module.named_parameters():
        shared[id(parameter)] = nn.Parameter(tensors[name].detach(), requires_grad=False)
    return copy.deepcopy(module, shared).eval()


def _own(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The values on this rank."""
    return [own_part(value) for value in tensors.values()]
