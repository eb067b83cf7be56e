# SPDX-License-Identifier: Apache-2.0
"""Tensors that are divided over ranks: own parts, whole tensors, and the norm of all gradients.

Imported by runs of several ranks only: `torch.distributed.tensor` takes long to load.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from finesight.train.parallel import Ranks, own_part


@torch.no_grad()
def sum_replicated(parameters: Iterable[Tensor], ranks: Ranks) -> None:
    """Sum the gradients of parameters that every rank has whole, over the ranks with other packs or tokens.

    A parameter that has a gradient on no rank stays without.
    """
    whole_ones = [one for one in parameters if not isinstance(one, DTensor)]
    counts = ranks.sums([float(one.grad is not None) for one in whole_ones])
    for parameter, count in zip(whole_ones, counts, strict=True):
        if count:
            if parameter.grad is None:  # no target on this rank
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad, group=ranks.replicas)


@torch.no_grad()
def clip(parameters: Sequence[Tensor], max_norm: float) -> Tensor:
    """Clip the gradients to a norm over all ranks; otherwise as `torch.nn.utils.clip_grad_norm_`.

    Returns:
        The norm before clipping, a scalar.
    """
    found = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = own_part(parameters[0]).new_zeros((), dtype=torch.float32)
    for gradient in found:
        # a part that several ranks have is counted by each of them
        total += own_part(gradient).float().square().sum() * num_parts(gradient)
    dist.all_reduce(total)
    norm = (total / dist.get_world_size()).sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in found:
        own_part(gradient).mul_(factor)
    return norm


def num_parts(tensor: Tensor) -> int:
    """Number of different parts into which a tensor is divided."""
    if not isinstance(tensor, DTensor):
        return 1
    axes = zip(tensor.device_mesh.shape, tensor.placements, strict=True)
    return math.prod(size for size, placed in axes if not placed.is_replicate())
