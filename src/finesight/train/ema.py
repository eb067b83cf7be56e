# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of weights: what is evaluated and shipped.

With a flat learning rate the average stands where a decay would have led, most of the way, at no cost in steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Running average of a module's parameters, in float32.

    Args:
        module: whose parameters are averaged.
        decay: share of the old average kept at each update, once warmed up.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._module = module
        self.tensors = {
            name: value.detach().float().clone() for name, value in module.named_parameters()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights."""
        self.updates += 1
        decay = min(
            self.decay, self.updates / (self.updates + 10)
        )  # a young average must forget its start
        for name, value in self._module.named_parameters():
            self.tensors[name].lerp_(value.float(), 1 - decay)

    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take over an average that was saved, onto the module's device."""
        places = {name: value.device for name, value in self._module.named_parameters()}
        self.tensors = {
            name: value.detach().float().to(places[name], copy=True)
            for name, value in tensors.items()
        }
        self.updates = updates

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run with the averaged weights in the module, and put the present ones back afterwards."""
        present = {name: value.detach().clone() for name, value in self._module.named_parameters()}
        self._write(self.tensors)
        try:
            yield
        finally:
            self._write(present)

    @torch.no_grad()
    def _write(self, tensors: dict[str, Tensor]) -> None:
        for name, value in self._module.named_parameters():
            value.copy_(tensors[name])
